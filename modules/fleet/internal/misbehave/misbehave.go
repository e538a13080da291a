// Package misbehave opens connections that do what no device should: the load
// under which a server has to go on serving the others.
package misbehave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
	"github.com/causeway-iot/causeway/modules/fleet/internal/teltonika"
)

// DialFunc connects; it is net.Dialer.DialContext or the like.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Mode is one way to misbehave, on so many connections at a time.
type Mode struct {
	Name        string
	Connections int
}

// maxConnections of one mode: a process has at most 20,000 open files on most
// test machines.
const maxConnections = 20_000

const (
	dialTimeout = 10 * time.Second
	// pause is the mean time between the end of a connection and the next.
	pause = 200 * time.Millisecond
	// drip is the time between the bytes of a slow-loris.
	drip = time.Second
	// patience is how long a mode that has said its piece waits to be closed.
	patience = 30 * time.Second
)

// act misbehaves on one connection until it has enough; the context ends the
// connection's reads and writes.
type act func(ctx context.Context, conn net.Conn, imei string) error

// acts are the modes by name.
var acts = map[string]act{
	"garbage":    garbage,
	"oversized":  oversized,
	"half":       half,
	"slow-loris": slowLoris,
	"idle":       idle,
}

// Names returns the modes in ascending order.
func Names() []string {
	names := make([]string, 0, len(acts))
	for name := range acts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Parse reads "idle=1000,garbage"; a mode without a number has one connection.
func Parse(text string) ([]Mode, error) {
	var modes []Mode
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		name, number, given := strings.Cut(part, "=")
		n := 1
		if given {
			var err error
			if n, err = strconv.Atoi(number); err != nil || n < 1 || n > maxConnections {
				return nil, fmt.Errorf("misbehave %q: allowed are 1 to %d connections", part, maxConnections)
			}
		}
		if acts[name] == nil {
			return nil, fmt.Errorf("misbehave %q: allowed are %s", name, strings.Join(Names(), ", "))
		}
		modes = append(modes, Mode{name, n})
	}
	return modes, nil
}

// Crowd is the misbehaving connections of a run.
type Crowd struct {
	running sync.WaitGroup
	counts  map[string]*counts
}

type counts struct{ opened, closed, failed atomic.Uint64 }

// Start opens the connections and opens them again when they end, until the
// context does. The imei function makes ids that no real device has.
func Start(ctx context.Context, modes []Mode, dial DialFunc, address string, imei func(n int) string) *Crowd {
	c := &Crowd{counts: make(map[string]*counts)}
	number := 0
	for _, m := range modes {
		if c.counts[m.Name] == nil {
			c.counts[m.Name] = new(counts)
		}
		for range m.Connections {
			number++
			one := villain{act: acts[m.Name], counts: c.counts[m.Name], dial: dial, address: address, imei: imei(number)}
			c.running.Go(func() { one.run(ctx) })
		}
	}
	return c
}

// Wait waits for the end and returns what each mode did.
func (c *Crowd) Wait() map[string]report.Abuse {
	c.running.Wait()
	if len(c.counts) == 0 {
		return nil
	}
	out := make(map[string]report.Abuse, len(c.counts))
	for name, n := range c.counts {
		out[name] = report.Abuse{Opened: n.opened.Load(), Closed: n.closed.Load(), Failed: n.failed.Load()}
	}
	return out
}

// villain is one misbehaving connection after another.
type villain struct {
	act           act
	counts        *counts
	dial          DialFunc
	address, imei string
}

func (v *villain) run(ctx context.Context) {
	for ctx.Err() == nil {
		v.once(ctx)
		sleep(ctx, rand.N(2*pause))
	}
}

func (v *villain) once(ctx context.Context) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := v.dial(dialing, "tcp", v.address)
	if err != nil {
		if ctx.Err() == nil {
			v.counts.failed.Add(1)
		}
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	v.counts.opened.Add(1)
	err = v.act(ctx, conn, v.imei)
	if err != nil && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
		v.counts.closed.Add(1)
	}
}

// untilClosed reads until the server closes.
func untilClosed(conn net.Conn) error {
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return err
	}
	return io.EOF
}

// idle says nothing at all.
func idle(_ context.Context, conn net.Conn, _ string) error { return untilClosed(conn) }

// garbage writes random bytes, a megabyte at most.
func garbage(_ context.Context, conn net.Conn, _ string) error {
	var b [4096]byte
	for range 256 {
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		if _, err := conn.Write(b[:]); err != nil {
			return err
		}
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	return untilClosed(conn)
}

// oversized logs in and announces a packet of two gigabytes.
func oversized(_ context.Context, conn net.Conn, imei string) error {
	b := teltonika.AppendLogin(nil, imei)
	b = append(b, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF)
	if _, err := conn.Write(append(b, make([]byte, 64<<10)...)); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	return untilClosed(conn)
}

// half logs in, sends half a packet and goes away.
func half(_ context.Context, conn net.Conn, imei string) error {
	records := []teltonika.Record{{Time: time.Now(), Sequence: 1}}
	b := teltonika.AppendLogin(nil, imei)
	b = teltonika.AppendPacket(b, teltonika.Codec8, records)
	_, err := conn.Write(b[:len(b)-20])
	return err
}

// slowLoris logs in a byte at a time, and so goes on with a packet.
func slowLoris(ctx context.Context, conn net.Conn, imei string) error {
	records := make([]teltonika.Record, teltonika.MaxRecords)
	for i := range records {
		records[i].Time = time.Now()
	}
	b := teltonika.AppendPacket(teltonika.AppendLogin(nil, imei), teltonika.Codec8, records)
	for i := range b {
		if _, err := conn.Write(b[i : i+1]); err != nil {
			return err
		}
		if !sleep(ctx, drip) {
			return nil
		}
	}
	return nil
}

// sleep returns false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
