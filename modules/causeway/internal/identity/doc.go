// Package identity says which IoT Hub identity a device has, and how it proves it: a
// [Mapping] translates the device's own id into the hub's, and [Keys] finds what proves
// it, asking key sources in their configured order.
//
// It opens no connection to a hub and knows none. What it hands out signs or presents a
// certificate; no error, String or dump of any of its values shows a key, and no key is
// written to disk.
package identity
