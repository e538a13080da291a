package hub

import "time"

// RaceEnabled tells the external tests of this folder.
const RaceEnabled = raceEnabled

// Pass lets the next batch leave and be accepted, as the loops of a connection do;
// false when there is none.
func (u *Uplink) Pass() bool {
	f, _ := u.next(time.Now().Add(time.Hour)) // later than every linger
	if f == nil {
		return false
	}
	u.transfer(f)
	u.accepted(f)
	return true
}

// Reached tells the uplink that the hub is there.
func (u *Uplink) Reached() { u.reached(true) }

// Left tells whether anything is still on its way, in memory or on disk.
func (u *Uplink) Left() bool {
	first, last := u.disk.store.Bounds()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count > 0 || u.disk.safe > 0 || first <= last && u.disk.readNext <= last
}
