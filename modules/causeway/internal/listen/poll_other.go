//go:build !linux

package listen

import "time"

// poller is not there on this platform: links keep their goroutines.
type poller struct{}

func newPoller() *poller { return nil }

func (*poller) close() {}

func (*poller) arm(*Link) bool { return false }

func (*poller) wait(time.Duration) (ids []uint64, open bool) { return nil, false }
