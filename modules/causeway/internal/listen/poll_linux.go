package listen

import (
	"os"
	"syscall"
	"time"
)

// pollEvents is how many links one look at the poller may name.
const pollEvents = 256

// poller tells which of the links that rest have something to read: an epoll instance
// of our own beside the runtime's, which would want a goroutine for each of them. It is
// itself waited for through the runtime's, so that it takes no thread.
type poller struct {
	file   *os.File
	conn   syscall.RawConn
	events [pollEvents]syscall.EpollEvent
	ids    []uint64
}

// newPoller returns nil where the system has none to give.
func newPoller() *poller {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll")} //nolint:gosec // a descriptor
	if p.conn, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails where the runtime cannot wait for it
	}
	if err != nil {
		_ = p.file.Close()
		return nil
	}
	return p
}

func (p *poller) close() { _ = p.file.Close() }

// arm has the link named once, when it has something to read or is closed by the
// device. A socket that is closed here leaves the poller by itself.
func (p *poller) arm(k *Link) bool {
	socket, err := k.raw.SyscallConn()
	if err != nil {
		return false
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     int32(k.id), Pad: int32(k.id >> 32), //nolint:gosec // the two halves of the number
	}
	operation := syscall.EPOLL_CTL_MOD
	if !k.polled {
		operation = syscall.EPOLL_CTL_ADD
	}
	var failed error
	err = p.conn.Control(func(poll uintptr) {
		failed = socket.Control(func(fd uintptr) {
			k.polled = syscall.EpollCtl(int(poll), operation, int(fd), &event) == nil //nolint:gosec // descriptors
		})
	})
	return err == nil && failed == nil && k.polled
}

// wait returns the numbers of links that were named, none when the time has passed, and
// false once the poller is closed. They are valid until the next call.
func (p *poller) wait(most time.Duration) (ids []uint64, open bool) {
	if p.file.SetReadDeadline(time.Now().Add(most)) != nil {
		return nil, false
	}
	n := 0
	err := p.conn.Read(func(poll uintptr) bool {
		var err error
		n, err = syscall.EpollWait(int(poll), p.events[:], 0) //nolint:gosec // a descriptor
		return err == nil && n > 0
	})
	if err != nil && !os.IsTimeout(err) {
		return nil, false
	}
	p.ids = p.ids[:0]
	for _, e := range p.events[:max(n, 0)] {
		p.ids = append(p.ids, uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32) //nolint:gosec // as arm wrote them
	}
	return p.ids, true
}
