package hub

import "time"

// RaceEnabled tells the external tests of this folder.
const RaceEnabled = raceEnabled

// Pass lets the next batch leave and be accepted, as the loops of a connection do;
// false when there is none.
func (u *Uplink) Pass() bool {
	b, _ := u.next(time.Now().Add(time.Hour)) // later than every linger
	if b == nil {
		return false
	}
	b.transfer()
	u.accepted(b)
	return true
}
