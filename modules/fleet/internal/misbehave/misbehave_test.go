package misbehave

import (
	"context"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	got, err := Parse("idle=1000,garbage,slow-loris=5")
	want := []Mode{{"idle", 1000}, {"garbage", 1}, {"slow-loris", 5}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"rude", "idle=", "idle=0", "idle=20001", "idle=x"} {
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// first records what each connection sends first, and closes it then.
func first(t *testing.T, bytes int) (net.Listener, <-chan string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, ended := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			b := make([]byte, bytes)
			conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			n, _ := io.ReadFull(conn, b)
			_ = conn.Close()
			select {
			case got <- string(b[:n]):
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener, got
}

func TestModes(t *testing.T) {
	login := "\x00\x0f123456789012345"
	for name, begins := range map[string]string{
		"idle": "", "garbage": "", "slow-loris": "\x00", "half": login + "\x00\x00\x00\x00\x00", "oversized": login + "\x00\x00\x00\x00\x7f",
	} {
		t.Run(name, func(t *testing.T) {
			listener, got := first(t, 22)
			ctx, cancel := context.WithCancel(t.Context())
			var dialer net.Dialer
			crowd := Start(ctx, []Mode{{name, 2}}, dialer.DialContext, listener.Addr().String(),
				func(int) string { return "123456789012345" })
			for range 3 { // one of the two has come again
				if text := <-got; !strings.HasPrefix(text, begins) || name == "idle" && text != "" {
					t.Errorf("a connection begins with %q", text)
				}
			}
			cancel()
			if n := crowd.Wait()[name]; n.Opened < 3 || name != "half" && n.Closed == 0 {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

func TestAbsentServerIsCounted(t *testing.T) {
	listener, _ := first(t, 1)
	_ = listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	tried := make(chan struct{}, 100)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		defer func() { tried <- struct{}{} }()
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, address)
	}
	crowd := Start(ctx, []Mode{{"idle", 1}}, dial, listener.Addr().String(), func(int) string { return "" })
	<-tried
	<-tried
	cancel()
	if n := crowd.Wait()["idle"]; n.Failed == 0 || n.Opened != 0 {
		t.Errorf("counts %+v", n)
	}
}
