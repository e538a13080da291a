package amqp

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// quiet opens a connection over a pipe and returns when the first heartbeat came.
func quiet(t *testing.T, idle uint32) time.Duration {
	t.Helper()
	ours, theirs := net.Pipe()
	srv := handling(anyTerms)
	done := make(chan error, 1)
	go func() { done <- srv.ServeConn(context.Background(), ours) }()
	r := &raw{t: t, conn: theirs, in: newFrameReader(theirs, maxFrame)}
	r.header(protoAMQP)
	r.send(0, &Open{ContainerID: "quiet", MaxFrame: 65536, IdleTimeout: idle})
	expect[*Open](r)
	start := time.Now()
	_, _, body, err := r.in.next()
	if err != nil || len(body) > 0 {
		t.Fatalf("got %x, %v", body, err)
	}
	after := time.Since(start)
	r.send(0, &Close{})
	expect[*Close](r)
	if err := <-done; err != nil {
		t.Error(err)
	}
	return after
}

func TestTheServerBeatsWhenThereIsNothingToSay(t *testing.T) {
	for idle, want := range map[uint32]time.Duration{0: 105 * time.Second, 5000: 4375 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			if after := quiet(t, idle); after != want {
				t.Errorf("idle time-out of %d ms: beat after %s, want %s", idle, after, want)
			}
		})
	}
}
