package exproto

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	pb "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto/exprotov1"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDialogues(t *testing.T) {
	a, _, _ := start(t, Config{})
	if _, err := say(begin(t, a, "", codec.Peer{Transport: "udp"}), "ping"); err != nil { // which connects both ways
		t.Fatal(err)
	}
	codectest.Replay(t, a.New, "testdata")
}

// begin begins a link that is closed when the test ends.
func begin(t *testing.T, a *Adapter, options string, p codec.Peer) codec.Dialogue {
	t.Helper()
	made, err := a.New([]byte(options))
	if err != nil {
		t.Fatal(err)
	}
	d, err := made.Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { codec.Close(d) })
	return d
}

func say(d codec.Dialogue, text string) (codec.Outcome, error) {
	var out codec.Outcome
	err := d.Receive(codec.Frame{Bytes: []byte(text), At: time.Unix(1000, 0)}, &out)
	return out, err
}

func TestTheHandlerIsToldOfEachLinkOnce(t *testing.T) {
	a, h, _ := start(t, Config{})
	d := begin(t, a, "", codec.Peer{
		Transport: "tls", Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:9"), TLS: &codec.TLSIdentity{CommonName: "cn"},
	})
	codec.Close(begin(t, a, "", codec.Peer{Transport: "tcp"})) // to ask what it can do
	for range 2 {
		if _, err := say(d, "ping"); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.created) != 1 || h.created[0].GetSocktype() != pb.SocketType_SSL || h.created[0].GetPeername().GetHost() != "192.0.2.1" ||
		h.created[0].GetPeername().GetPort() != 9 || h.created[0].GetPeercert().GetCn() != "cn" || h.created[0].GetSockname() == nil {
		t.Errorf("created: %v", h.created)
	}
	codec.Close(d)
	soon(t, "the handler hears of the end", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.closed == 1 && len(h.open) == 0
	})
}

func TestWhatTheHandlerAsksForLaterComesWithATick(t *testing.T) {
	a, h, _ := start(t, Config{})
	d := begin(t, a, "", codec.Peer{Transport: "tcp"})
	if _, err := say(d, "later"); err != nil {
		t.Fatal(err)
	}
	h.free()
	h.later.Wait()
	var out codec.Outcome
	if err := d.(codec.Ticker).Tick(time.Unix(1001, 0), &out); err != nil || string(out.Ack) != "late\n" {
		t.Errorf("got %q, %v", out.Ack, err)
	}
}

func TestCallsThatCannotBeAreAnswered(t *testing.T) {
	a, h, _ := start(t, Config{})
	d := begin(t, a, "", codec.Peer{Transport: "tcp"})
	all := "lost\nraw\nflood\npublish t 1\nsubscribe t\nconnect\nconnect a\nconnect b\npublish\npublish t 1 3\nkeepalive 0\nsubscribe\n"
	for range maxTopics + 1 {
		all += "subscribe t" + strings.Repeat("x", strings.Count(all, "\n")) + "\n"
	}
	out, err := say(d, all)
	if err != nil || out.Identity.Device != "a" || len(out.Messages) != 0 {
		t.Fatalf("%v, %v", out, err)
	}
	want := []string{
		"CONN_PROCESS_NOT_ALIVE", "REQUIRED_PARAMS_MISSED conn", "PERMISSION_DENY a message without", "UNKNOWN more than 1048576",
		"PERMISSION_DENY the connection is not authenticated", "PERMISSION_DENY the connection is not authenticated",
		"REQUIRED_PARAMS_MISSED clientinfo", "PERMISSION_DENY the connection is authenticated already",
		"REQUIRED_PARAMS_MISSED topic", "PARAMS_TYPE_ERROR qos 3", "PARAMS_TYPE_ERROR want the type", "REQUIRED_PARAMS_MISSED topic",
		"PERMISSION_DENY 64 topics",
	}
	got := strings.Split(h.noted(), "\n")
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("answer %d is %q, want %q", i+1, got[i], want[i])
		}
	}
}

func TestBytesAreWrittenAtOnceWhereTheOptionsSaySo(t *testing.T) {
	a, _, _ := start(t, Config{})
	d := begin(t, a, `{"ack": "reply", "contentType": "text/plain"}`, codec.Peer{Transport: "udp"})
	if _, own := d.(codec.Framer); own {
		t.Error("datagrams are cut")
	}
	out, err := say(d, "connect a\npublish t 1\n")
	if err != nil || string(out.Reply) != "connected\npublished\n" || out.Ack != nil || out.Messages[0].ContentType != "text/plain" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	a, _, _ := start(t, Config{})
	for _, options := range []string{`{"ack": "never"}`, `{"speed": 1}`} {
		if _, err := a.New([]byte(options)); err == nil || errors.Is(err, codec.ErrBroken) {
			t.Errorf("%s: %v", options, err)
		}
	}
}

const impatient = time.Second

func TestAHandlerThatFailsCostsTheLink(t *testing.T) {
	a, _, stop := start(t, Config{Deadline: impatient, Window: 1})
	p := codec.Peer{Transport: "tcp"}
	failing, hanging, other, last := begin(t, a, "", p), begin(t, a, "", p), begin(t, a, "", p), begin(t, a, "", p)
	for _, c := range []struct {
		d          codec.Dialogue
		text, want string
	}{{failing, "fail", "no such table"}, {hanging, "hang", "no answer within 1s"}} {
		for range 2 {
			if _, err := say(c.d, c.text); !errors.Is(err, codec.ErrBroken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.text, err)
			}
		}
	}
	if out, err := say(other, "ping"); err != nil || string(out.Ack) != "pong\n" {
		t.Errorf("another link: %q, %v", out.Ack, err)
	}
	stop()
	if _, err := say(other, "ping"); !errors.Is(err, codec.ErrBroken) {
		t.Errorf("a handler that is gone: %v", err)
	}
	var out codec.Outcome
	if err := last.(codec.Ticker).Tick(time.Now(), &out); !errors.Is(err, codec.ErrBroken) {
		t.Errorf("a tick without a handler: %v", err)
	}
	if _, err := a.New(nil); !errors.Is(err, codec.ErrBroken) {
		t.Errorf("a codec without a handler: %v", err)
	}
}

func TestAHandlerThatIsLateForATickIsNotCalledByTicksForAWhile(t *testing.T) {
	a, h, _ := start(t, Config{})
	d := begin(t, a, "", codec.Peer{Transport: "tcp"})
	if _, err := say(d, "keepalive 10\nmute"); err != nil {
		t.Fatal(err)
	}
	var out codec.Outcome
	silent := time.Unix(2000, 0)
	if err := d.(codec.Ticker).Tick(silent, &out); !errors.Is(err, codec.ErrBroken) {
		t.Fatalf("got %v", err)
	}
	other := begin(t, a, "", codec.Peer{Transport: "tcp"})
	if err := other.(codec.Ticker).Tick(silent, &out); err != nil || len(h.created) != 1 {
		t.Errorf("%v, %d links were told of", err, len(h.created))
	}
	if out, err := say(other, "ping"); err != nil || string(out.Ack) != "pong\n" {
		t.Errorf("bytes of another link: %q, %v", out.Ack, err)
	}
}

func TestManyLinksAtOnce(t *testing.T) {
	a, h, _ := start(t, Config{Window: 8})
	made, err := a.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			d, err := made.Begin(codec.Peer{Transport: "tcp"})
			if err != nil {
				t.Error(err)
				return
			}
			defer codec.Close(d)
			if out, err := say(d, "connect a"); err != nil || string(out.Ack) != "connected\n" {
				t.Errorf("%q, %v", out.Ack, err)
			}
			for range 10 {
				if out, err := say(d, "publish t 1"); err != nil || len(out.Messages) != 1 || string(out.Ack) != "published\n" {
					t.Errorf("%v, %v", out, err)
				}
			}
		})
	}
	all.Wait()
	if got := h.noted(); got != "" {
		t.Error(got)
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	good := Config{Handler: "127.0.0.1:1", Listen: "127.0.0.1:0"}
	for want, change := range map[string]func(*Config){
		"handler and listen": func(c *Config) { c.Handler = "" },
		"deadline 2m0s":      func(c *Config) { c.Deadline = 2 * time.Minute },
		"window -1":          func(c *Config) { c.Window = -1 },
		"load certificate":   func(c *Config) { c.ListenTLS = &ServerTLS{} },
		"read ca":            func(c *Config) { c.HandlerTLS = &rpc.TLS{CA: "/nowhere"} },
		"listen tcp":         func(c *Config) { c.Listen = "127.0.0.1:port" },
	} {
		c := good
		change(&c)
		if a, err := Listen(t.Context(), "h", c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
			if a != nil {
				_ = a.Close()
			}
		}
	}
}

func TestSettingsBecomeAConfig(t *testing.T) {
	got, err := ParseConfig([]byte(`{
		"handler": "a:1", "handlerTls": {"ca": "b"}, "listen": "c:2",
		"listenTls": {"certificate": "d", "key": "e", "clientCa": "f"}, "deadlineMilliseconds": 5, "window": 6}`))
	want := Config{
		Handler: "a:1", HandlerTLS: &rpc.TLS{CA: "b"}, Listen: "c:2",
		ListenTLS: &ServerTLS{Certificate: "d", Key: "e", ClientCA: "f"}, Deadline: 5 * time.Millisecond, Window: 6,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for raw, pointer := range map[string]string{
		`{"listen": "a:1"}`:  "/handler",
		`{"handler": "a:1"}`: "/listen",
		`{"handler": "a:1", "listen": "a:1", "window": -1}`:           "/window",
		`{"handler": "a:1", "listen": "a:1", "speed": 1}`:             "/speed",
		`{"handler": "a", "listen": "b", "deadlineMilliseconds": -1}`: "/deadlineMilliseconds",
	} {
		_, err := ParseConfig([]byte(raw))
		if got, ok := errors.AsType[*codec.OptionError](err); !ok || got.Pointer != pointer {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestTopicsAreCoveredAsInMQTT(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"a/+", "a/b", true}, {"a/+", "a/b/c", false}, {"+/+", "a/b", true},
		{"a/#", "a/b/c", true}, {"#", "a", true}, {"a/#", "b/a", false}, {"a/#", "a", true},
	} {
		if got := covers(c.filter, c.topic); got != c.want {
			t.Errorf("%s and %s: %v", c.filter, c.topic, got)
		}
	}
}
