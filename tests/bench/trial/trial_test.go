package trial

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/tests/bench/payload"
	"github.com/causeway-iot/causeway/tests/bench/rig"
	"github.com/causeway-iot/causeway/tests/bench/sink"
)

// The test is also the programs of the comparison: under the names of a sink and of gateways
// it plays them.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "bench-sink":
		playSink()
	case "bench-naive":
		playGateway(func(_ int64, send func()) { send() })
	case "bench-prototype":
		playGateway(wrong)
	default:
		goleak.VerifyTestMain(m)
	}
}

// wrong loses message 10 and sends message 20 twice.
func wrong(n int64, send func()) {
	if n == 20 {
		send()
	}
	if n != 10 {
		send()
	}
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func playSink() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var o sink.Options
	flag.StringVar(&o.State, "state", "", "")
	flag.DurationVar(&o.Delay, "ackdelay", 0, "")
	flag.String("desired", "", "")
	flag.Parse()
	s, err := sink.Start(ctx, o)
	fatal(err)
	fatal(json.NewEncoder(os.Stdout).Encode(s.Ready))
	<-ctx.Done()
	fatal(s.Close())
}

// playGateway passes lines on, each the way that is given.
func playGateway(pass func(n int64, send func())) {
	listen := flag.String("listen", "", "")
	ca := flag.String("ca", "", "")
	hub := flag.String("hub", "", "")
	flag.Parse()
	ctx := context.Background()
	root, err := os.ReadFile(*ca)
	fatal(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	conn, err := amqp.Dial(ctx, *hub, &amqp.ConnOptions{TLSConfig: &tls.Config{RootCAs: pool}})
	fatal(err)
	session, err := conn.NewSession(ctx, nil)
	fatal(err)
	sender, err := session.NewSender(ctx, sink.Address, nil)
	fatal(err)
	l, err := net.Listen("tcp", *listen)
	fatal(err)
	var count atomic.Int64
	for {
		c, err := l.Accept()
		fatal(err)
		go func() {
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				m := amqp.NewMessage(bytes.Clone(lines.Bytes()))
				pass(count.Add(1), func() {
					_, err := sender.SendWithReceipt(ctx, m, nil)
					fatal(err)
				})
			}
		}()
	}
}

func runner(t *testing.T) *Runner {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range []string{"bench-sink", "bench-naive", "bench-prototype"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return &Runner{Programs: rig.Programs{Bin: bin}, Scratch: t.TempDir()}
}

func once(t *testing.T, r *Runner, trial Trial, contender string) Result {
	t.Helper()
	c, err := rig.Find(contender)
	if err != nil {
		t.Fatal(err)
	}
	result, err := r.Run(t.Context(), trial, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestAGatewayThatIsRightIsMeasured(t *testing.T) {
	t.Parallel()
	trial := Trial{Name: "flow", Kind: payload.Lines, Network: "tcp", Connections: 3, Seconds: 0.3}
	r := runner(t)
	result := once(t, r, trial, "naive")
	if result.Wrong(false) != "" || result.Sent == 0 || result.Rate <= 0 || result.CPU <= 0 || result.P99 != 0 {
		t.Errorf("%+v", result)
	}
	if result.IdleRSS <= 0 || result.LoadRSS <= 0 || result.PeakRSS < result.LoadRSS/2 {
		t.Errorf("memory: %+v", result)
	}
	trial.Rate, trial.Delay = 500, 10*time.Millisecond
	if result = once(t, r, trial, "naive"); result.Wrong(false) != "" || result.P50 <= 0 || result.P999 < result.P50 {
		t.Errorf("paced: %+v", result)
	}
	trial.Shape, trial.Rate = Idle, 0
	if result = once(t, r, trial, "naive"); result.Wrong(false) != "" || result.Sent != 3 || result.LoadRSS <= 0 {
		t.Errorf("idle: %+v", result)
	}
	if left, err := os.ReadDir(r.Scratch); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAGatewayIsMeasuredOverAnOutageAndAStart(t *testing.T) {
	t.Parallel()
	trial := Trial{
		Name: "outage", Kind: payload.Lines, Network: "tcp", Connections: 2, Rate: 500, Seconds: 0.2, Shape: Outage,
	}
	r := runner(t)
	if result := once(t, r, trial, "naive"); result.Wrong(false) != "" || result.PeakRSS <= 0 {
		t.Errorf("outage: %+v", result)
	}
	trial.Shape = Startup
	if result := once(t, r, trial, "naive"); result.StartMS <= 0 || result.Sent != 0 {
		t.Errorf("start: %+v", result)
	}
}

func TestAGatewayThatLosesAndRepeatsIsFound(t *testing.T) {
	t.Parallel()
	trial := Trial{Name: "wrong", Kind: payload.Lines, Network: "tcp", Connections: 1, Rate: 500, Seconds: 0.2}
	r := runner(t)
	r.Patience = 200 * time.Millisecond
	if result := once(t, r, trial, "prototype"); result.Lost != 1 || result.Duplicates != 1 || result.Wrong(true) == "" {
		t.Errorf("%+v", result)
	}
}

func TestWhatIsWrong(t *testing.T) {
	for want, r := range map[string]Result{
		"":                                {Sent: 9},
		"2 of 9 messages were lost":       {Sent: 9, Lost: 2, Reordered: 5},
		"1 messages could not be read":    {Foreign: 1, Duplicates: 1},
		"3 messages arrived twice":        {Duplicates: 3, Reordered: 1},
		"4 messages arrived out of order": {Reordered: 4},
	} {
		if got := r.Wrong(false); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	if r := (Result{Duplicates: 3, Resends: true}); r.Wrong(false) != "" {
		t.Error("what the hub could not answer may come twice")
	}
	if r := (Result{Reordered: 4}); r.Wrong(true) != "" {
		t.Error("a peer may reorder")
	}
}

func TestTheTrialsNameWhatExists(t *testing.T) {
	seen := map[string]bool{}
	for _, trial := range All(false) {
		if seen[trial.Name] || trial.Title == "" {
			t.Errorf("%q: twice, or without a title", trial.Name)
		}
		seen[trial.Name] = true
		for _, name := range trial.Contenders {
			if _, err := rig.Find(name); err != nil || !trial.For(name) {
				t.Errorf("%s of %s: %v", name, trial.Name, err)
			}
		}
		certificates := &rig.Sink{}
		if text, err := trial.desired([]string{"127.0.0.1:1"}, certificates); err != nil || !json.Valid(text) {
			t.Errorf("%s: %s, %v", trial.Name, text, err)
		}
	}
	for _, trial := range All(true) {
		if trial.For("naive") != (trial.Kind == payload.Lines && trial.Network == "tcp" && trial.Listeners < 2 &&
			trial.Routes == 0 && trial.Name != Start) {
			t.Errorf("%s for naive Go: %v", trial.Name, trial.For("naive"))
		}
		if trial.Rounds > 1 || trial.Seconds > 2 {
			t.Errorf("%s is not quick", trial.Name)
		}
	}
	for _, name := range []string{Lines50, Lines1000, Tracker, Late, Paced, Idle10k, Stopped, UDP, Start} {
		if !seen[name] {
			t.Errorf("no trial %s", name)
		}
	}
}
