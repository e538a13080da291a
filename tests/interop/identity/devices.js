// What both players of the devices and the checks have to agree on.
'use strict';

const names = Array.from({ length: 300 }, (_, i) => String(356307042440001 + i)); // IMEIs, as trackers have them

module.exports = {
  names,
  // answer is what a device says to the method getver.
  answer: (id) => ({ response: `Ver:03.18 IMEI:${id}` }),
};
