package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"time"
)

// A send queue starts at the first size (an acknowledgement is 4 to 20 bytes, so
// some hundred fit) and is kept for reuse up to the second.
const (
	queueSize    = 512
	queueSizeMax = 16 << 10
)

// After the last byte the socket is half closed and what the device still sends
// is read away for a moment, because closing with unread data resets the
// connection and many stacks then throw away the last acknowledgement.
const (
	lingerTime  = 250 * time.Millisecond
	lingerBytes = 64 << 10
)

// Send queues b, which it copies, to be written in order. It never blocks.
// Sending to a stream link whose device leaves more than Options.SendBuffer
// unread closes it and returns ErrSlow. A datagram is handed to the system at
// once; ErrSlow means that the system had no room for it.
func (k *Link) Send(b []byte) error {
	if k.raw == nil {
		if k.isClosed() {
			return ErrClosed
		}
		return k.listener.packets.send(b, k.peer.Remote)
	}
	limit := k.listener.opts.SendBuffer
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed.Load() || !k.opened:
		return ErrClosed
	case len(b) == 0:
		return nil
	case len(b) > limit:
		return ErrTooLarge
	case k.pending+len(b) > limit:
		k.endLocked(ReasonSlow)
		k.abortLocked()
		return ErrSlow
	}
	if k.queue == nil {
		k.queue = k.listener.takeQueue()
	}
	*k.queue = append(*k.queue, b...)
	k.pending += len(b)
	k.startFlusherLocked()
	return nil
}

func (k *Link) startFlusherLocked() {
	if k.active {
		return
	}
	k.active = true
	k.flushing.Add(1)
	go k.flush()
}

// flushQueue is the flusher: it writes until nothing is queued, and then closes
// the connection if the link is closed.
func (k *Link) flushQueue() {
	defer k.flushing.Done()
	for {
		queue, more := k.nextQueue()
		if !more {
			return
		}
		if queue == nil {
			k.hangUp()
			return
		}
		n := len(*queue)
		_, err := k.conn.Write(*queue)
		k.listener.giveQueue(queue)
		if err != nil {
			k.abort(writeReason(err))
			return
		}
		k.mu.Lock()
		k.pending -= n
		k.mu.Unlock()
	}
}

// nextQueue takes what is to be written. No queue means that the link is closed
// and everything is written; no more, that the flusher ends.
func (k *Link) nextQueue() (queue *[]byte, more bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.aborted:
		return nil, false
	case k.queue != nil:
		queue, k.queue = k.queue, nil
		if !k.closed.Load() { // Close has set the last deadline
			_ = k.raw.SetWriteDeadline(time.Now().Add(k.listener.opts.WriteTimeout))
		}
		return queue, true
	case k.closed.Load():
		return nil, true
	}
	k.active = false
	return nil, false
}

// hangUp closes a connection after its last byte.
func (k *Link) hangUp() {
	if secured, ok := k.conn.(*tls.Conn); ok {
		_ = secured.CloseWrite() // close_notify; bounded by crypto/tls to 5 seconds
	}
	if k.raw.CloseWrite() == nil && k.raw.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, onlyReader{k.raw}, lingerBytes)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.aborted = true
	_ = k.raw.Close()
}

// onlyReader hides the connection's WriterTo, which would splice.
type onlyReader struct{ io.Reader }

func writeReason(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ReasonSlow
	}
	return ReasonWrite
}

func (l *Listener) takeQueue() *[]byte {
	if queue, ok := l.queues.Get().(*[]byte); ok {
		return queue
	}
	queue := make([]byte, 0, queueSize)
	return &queue
}

func (l *Listener) giveQueue(queue *[]byte) {
	if cap(*queue) > queueSizeMax {
		return
	}
	*queue = (*queue)[:0]
	l.queues.Put(queue)
}
