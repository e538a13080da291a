package amqp

import "time"

// defaultHeartbeat is how often the edge hub writes to a client that asked for
// nothing.
const defaultHeartbeat = 120 * time.Second * 7 / 8

// emit queues a frame. The caller holds mu.
func (c *Conn) emit(channel uint16, body frameBody) {
	if c.isClosing || c.deaf {
		return
	}
	c.out = appendFrame(c.out, frameAMQP, channel, body)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write sends what has gathered, until quit is closed and all is sent, or the
// transport fails. It keeps the client from timing out.
func (c *Conn) write(quit <-chan struct{}) {
	beat := defaultHeartbeat
	if c.remote.IdleTimeout != 0 {
		beat = time.Duration(c.remote.IdleTimeout) * time.Millisecond * 7 / 8
	}
	timer := time.NewTimer(beat)
	defer timer.Stop()
	var spare []byte
	for last := false; ; {
		buf := c.swap(spare, last)
		if len(buf) == 0 {
			if last {
				return
			}
			select {
			case <-c.wake:
				spare = buf
				continue
			case <-quit:
				last, spare = true, buf
				continue
			case <-timer.C:
				buf = appendFrame(buf, frameAMQP, 0, nil)
			}
		}
		_ = c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.net.Write(buf); err != nil {
			c.silence()
			return
		}
		timer.Reset(beat)
		if cap(buf) > 2*maxOut {
			buf = nil
		}
		spare = buf[:0]
	}
}

// swap takes what is queued and leaves an empty buffer.
func (c *Conn) swap(spare []byte, last bool) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	buf := c.out
	c.out = spare[:0]
	c.deaf = c.deaf || last && len(buf) == 0
	if c.stalled {
		c.stalled = false
		for _, s := range c.sessions {
			s.pump()
		}
	}
	if len(buf) > 0 {
		c.room.Broadcast()
	}
	return buf
}

// silence stops all output after a failed write and ends the reader too.
func (c *Conn) silence() {
	c.mu.Lock()
	c.deaf, c.out = true, nil
	c.room.Broadcast()
	c.mu.Unlock()
	_ = c.net.Close()
}
