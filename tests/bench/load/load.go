package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/tests/bench/payload"
)

const (
	// tick is the step of a paced load.
	tick = time.Millisecond
	// chunk is how many lines leave with one write, fewer where less is allowed.
	chunk = 64
	// stopGrace is how long a gateway may take to read what was begun.
	stopGrace = 2 * time.Minute
)

// errAck is wrapped by errors about what a gateway answered to a packet.
var errAck = errors.New("wrong acknowledgement")

// Load is a number of open connections. Its methods may be called from any goroutine, except
// that one Run or Pace is under way at a time.
type Load struct {
	kind    payload.Kind
	links   []*link
	sent    atomic.Int64
	allowed atomic.Int64

	// more tells connections that wait that more is allowed; its lock is held for that
	// only. A timer for each of ten thousand would cost more than what is measured.
	more *sync.Cond
}

// Sent is how many messages have left, or are just leaving.
func (l *Load) Sent() int64 { return l.sent.Load() }

// Allow lets up to n messages leave in all, the same number on each connection: what is left
// for one of them would be sent one after the other. Without a call there is no bound.
func (l *Load) Allow(n int64) {
	if l.share(l.allowed.Swap(n)) != l.share(n) {
		l.wake()
	}
}

// share is what is allowed on each connection.
func (l *Load) share(n int64) int64 { return n / int64(len(l.links)) }

// wake has every connection that waits look again.
func (l *Load) wake() {
	l.more.L.Lock()
	defer l.more.L.Unlock()
	l.more.Broadcast()
}

// Close closes all connections.
func (l *Load) Close() error {
	for _, k := range l.links {
		if k != nil {
			_ = k.Close()
		}
	}
	return nil
}

// Once sends one message on each connection, which tells the gateway whose they are.
func (l *Load) Once() error {
	for i := range l.links {
		if err := l.write(l.links[i], 1); err != nil {
			return err
		}
	}
	return nil
}

// Run sends on all connections as fast as they are read until ctx ends. What was begun is
// sent to its end; a gateway that stops reading is an error after two minutes.
func (l *Load) Run(ctx context.Context) error {
	var group sync.WaitGroup
	failures := make(chan error, len(l.links))
	stop := context.AfterFunc(ctx, l.wake)
	defer stop()
	for _, k := range l.links {
		group.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = k.SetDeadline(time.Now().Add(stopGrace)) })
			defer stop()
			if err := l.stream(ctx, k); err != nil {
				failures <- err
			}
		})
	}
	group.Wait()
	close(failures)
	return <-failures
}

// stream is the loop of one connection.
func (l *Load) stream(ctx context.Context, k *link) error {
	for {
		left := l.left(ctx, k)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end
		}
		var err error
		if l.kind == payload.Teltonika {
			err = l.packet(k)
		} else {
			err = l.write(k, int(min(left, chunk)))
		}
		if err != nil {
			return err
		}
	}
}

// left is how much may be sent on a connection; it waits until that is something, or ctx ends.
func (l *Load) left(ctx context.Context, k *link) int64 {
	if left := l.share(l.allowed.Load()) - k.sent; left > 0 {
		return left
	}
	l.more.L.Lock()
	defer l.more.L.Unlock()
	for {
		if left := l.share(l.allowed.Load()) - k.sent; left > 0 || ctx.Err() != nil {
			return left
		}
		l.more.Wait()
	}
}

// write sends n messages with one call.
func (l *Load) write(k *link, n int) error {
	l.sent.Add(int64(n))
	k.sent += int64(n)
	k.buffer = k.source.Append(k.buffer[:0], n, time.Now().UnixNano())
	if _, err := k.Write(k.buffer); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// packet sends a packet of records and waits until all are acknowledged, as a tracker does.
func (l *Load) packet(k *link) error {
	if err := l.write(k, payload.PacketRecords); err != nil {
		return err
	}
	var ack [4]byte
	if _, err := io.ReadFull(k, ack[:]); err != nil {
		return fmt.Errorf("acknowledgement: %w", err)
	}
	if n := binary.BigEndian.Uint32(ack[:]); n != payload.PacketRecords {
		return fmt.Errorf("%w: %d records of %d", errAck, n, payload.PacketRecords)
	}
	return nil
}

// Pace sends rate messages a second, one after the other on each connection, until ctx ends.
// After a pause of the machine it sends what is missing, up to a tenth of a second; what it
// could not send beyond that is left out, so the rate that was reached is told by Sent.
func (l *Load) Pace(ctx context.Context, rate float64) error {
	if l.kind == payload.Teltonika {
		return errors.New("trackers wait for their acknowledgements: they cannot be paced")
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	begun, due, at := time.Now(), 0.0, 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		want := time.Since(begun).Seconds() * rate
		due = max(due, want-rate/10)
		for ; due < want; due++ {
			if err := l.write(l.links[at], 1); err != nil {
				return err
			}
			if at++; at == len(l.links) {
				at = 0
			}
		}
	}
}
