package hub_test

import (
	"context"
	"sync"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/internal/spool"
)

// BenchmarkDisk compares, in one run and with the same lines: the direct way to a hub
// that accepts at once, the way to the disk while the hub is away, and the way from
// the disk when it is back.
func BenchmarkDisk(b *testing.B) {
	s := shapes(b)["json line"]
	b.Run("direct", func(b *testing.B) {
		travel(b, s.profile, s.opening, s.packet, b.N)
		perSecond(b)
	})
	b.Run("to disk", func(b *testing.B) {
		u, stop := onDisk(b)
		defer stop()
		into(b, u, s.profile, s.packet, b.N)
		perSecond(b)
	})
	b.Run("from disk", func(b *testing.B) {
		u, stop := onDisk(b)
		defer stop()
		into(b, u, s.profile, s.packet, b.N)
		b.ResetTimer()
		u.Reached()
		for u.Left() {
			u.Pass()
		}
		perSecond(b)
	})
}

func perSecond(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// onDisk is an uplink with a real spool whose hub is away.
func onDisk(b *testing.B) (u *hub.Uplink, stop func()) {
	b.Helper()
	store, err := spool.Open(spool.Options{Dir: b.TempDir(), Bytes: 4 << 30})
	if err != nil {
		b.Fatal(err)
	}
	u = hub.NewUplink(hub.UplinkOptions{})
	u.UseStore(store, hub.SpillOptions{Failed: func(err error) { b.Error(err) }})
	u.Force()
	ctx, cancel := context.WithCancel(context.Background())
	var spilling sync.WaitGroup
	spilling.Go(func() { u.Spill(ctx) })
	return u, func() {
		cancel()
		spilling.Wait()
		u.Close()
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	}
}

// into sends packets until all of their messages are on disk.
func into(b *testing.B, u *hub.Uplink, p *session.Profile, packet []byte, packets int) {
	b.Helper()
	spooled := sameProfile(p)
	spooled.Uplink = u
	d := &device{packet: packet, left: packets, done: make(chan struct{})}
	s, err := session.Begin(spooled, d)
	if err != nil {
		b.Fatal(err)
	}
	s.Serve(context.Background(), context.Background(), d)
	if err := u.Drain(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// sameProfile is a profile of the same settings with memory of its own.
func sameProfile(p *session.Profile) *session.Profile {
	return &session.Profile{
		Listener: p.Listener, CodecName: p.CodecName, Output: p.Output, Codec: p.Codec, Framing: p.Framing,
		Admission: p.Admission, FrameBytes: p.FrameBytes, LoginBytes: p.LoginBytes, LoginTime: p.LoginTime, Idle: p.Idle,
		Router: p.Router, Table: session.NewTable(), Observer: p.Observer,
	}
}
