package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// testLogger writes at a fixed time.
func testLogger(tb testing.TB, w io.Writer, level string) (zerolog.Logger, *Level) {
	tb.Helper()
	l, err := NewLevel(level)
	if err != nil {
		tb.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 5, 24, 23, 123456789, time.FixedZone("", 3600))
	return zerolog.New(&lineWriter{out: w, level: l, now: func() time.Time { return at }}).Sample(l), l
}

func TestALineHasTheFormOfTheRuntime(t *testing.T) {
	for _, c := range []struct {
		write func(l zerolog.Logger)
		want  string // after the time
	}{
		{func(l zerolog.Logger) { l.Info().Str("listener", "trackers").Int("port", 5027).Msg("listener opened") },
			"<6> [INF] - listener opened listener=trackers port=5027"},
		{func(l zerolog.Logger) { l.Trace().Msg("x") }, "<7> [VRB] - x"},
		{func(l zerolog.Logger) { l.Debug().Str("source", "hub").Int("a", 1).Msg("x") }, "<7> [DBG] [hub] - x a=1"},
		{func(l zerolog.Logger) { l.Warn().Msg("x") }, "<4> [WRN] - x"},
		{func(l zerolog.Logger) { l.Error().Err(errors.New(`it "broke"`)).Msg("x") }, `<3> [ERR] - x err="it \"broke\""`},
		{func(l zerolog.Logger) { l.WithLevel(zerolog.FatalLevel).Msg("x") }, "<0> [FTL] - x"},
		{func(l zerolog.Logger) { l.Log().Msg("no level") }, "<6> [INF] - no level"},
		{func(l zerolog.Logger) { l.Info().Send() }, "<6> [INF] - "},
		{func(l zerolog.Logger) { l.Info().Msg("two\nlines \"and\" more") }, `<6> [INF] - two\nlines "and" more`},
		{func(l zerolog.Logger) { l.Info().Str("none", "").Str("space", "a b").Str("equals", "a=b").Msg("x") },
			`<6> [INF] - x none="" space="a b" equals="a=b"`},
		{func(l zerolog.Logger) { l.Info().Str("lines", "a\r\nb\t\u2028").Str("nul", "\x00").Msg("x") },
			`<6> [INF] - x lines="a\r\nb\t\u2028" nul="\x00"`},
		{func(l zerolog.Logger) { l.Info().Str("back", `a\b`).Str("word", "é").Msg("x") }, `<6> [INF] - x back="a\\b" word="é"`},
		{func(l zerolog.Logger) { l.Info().Bool("yes", true).Float64("f", 1.5).Float64("n", math.NaN()).Msg("x") },
			"<6> [INF] - x yes=true f=1.5 n=NaN"},
		{func(l zerolog.Logger) { l.Info().Interface("no", nil).Dur("d", 1500*time.Millisecond).Msg("x") },
			"<6> [INF] - x no=null d=1500"},
		{func(l zerolog.Logger) {
			l.Info().Strs("list", []string{"a", "b c"}).IPAddr("ip", net.IPv4(1, 2, 3, 4)).Msg("x")
		},
			`<6> [INF] - x list=["a","b c"] ip=1.2.3.4`},
		{func(l zerolog.Logger) {
			l.Info().Dict("o", zerolog.Dict().Dict("k", zerolog.Dict().Int("a", 1))).Msg("x")
		},
			`<6> [INF] - x o={"k":{"a":1}}`},
		{func(l zerolog.Logger) { l.Info().RawJSON("raw", []byte("{\n\"a\": [1,\n2] }")).Msg("x") },
			`<6> [INF] - x raw={ "a": [1, 2] }`},
		{func(l zerolog.Logger) { l.Info().Int("a key", 1).Int(`q"k`, 2).Msg("x") }, `<6> [INF] - x "a key"=1 "q\"k"=2`},
		{func(l zerolog.Logger) {
			child := l.With().Int("link", 7).Logger()
			child.Info().Str("device", "d").Msg("child")
		}, "<6> [INF] - child link=7 device=d"},
	} {
		var out bytes.Buffer
		log, _ := testLogger(t, &out, "verbose")
		c.write(log)
		want := strings.Replace(c.want, "> ", "> 2026-11-22 04:24:23.123 +00:00 ", 1) + "\n"
		if got := out.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestTheSourceIsShownOnlyWhenDebugging(t *testing.T) {
	var out bytes.Buffer
	log, _ := testLogger(t, &out, "info")
	log.Info().Str("source", "hub").Msg("x")
	if got := out.String(); !strings.HasSuffix(got, "[INF] - x\n") {
		t.Errorf("line is %q", got)
	}
}

func TestTheLevelChangesWhileLoggersAreInUse(t *testing.T) {
	var out bytes.Buffer
	log, level := testLogger(t, &out, "warning")
	child := log.With().Str("a", "b").Logger()
	child.Info().Msg("hidden")
	if err := level.Set("Debug"); err != nil {
		t.Fatal(err)
	}
	child.Debug().Msg("shown")
	if err := level.Set("fatal"); err != nil {
		t.Fatal(err)
	}
	child.Error().Msg("hidden")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "shown") {
		t.Errorf("log is %q", got)
	}
	if err := level.Set("loud"); err == nil || !strings.Contains(err.Error(), "verbose, debug, info, warning, error, fatal") {
		t.Errorf("error is %v", err)
	}
	if level.String() != "fatal" || new(Level).String() != "info" {
		t.Errorf("levels are %s and %s", level, new(Level))
	}
}

func TestAHugeValueIsCut(t *testing.T) {
	var out bytes.Buffer
	log, _ := testLogger(t, &out, "info")
	log.Info().Str("a", strings.Repeat("x", 1<<20)).RawJSON("b", []byte(`"`+strings.Repeat("y", 1<<20)+`"`)).
		Ints("c", make([]int, 1<<20)).Msg(strings.Repeat("z", 1<<20))
	if out.Len() > 4*maxValue+200 || strings.Count(out.String(), "...") != 4 {
		t.Errorf("line has %d bytes", out.Len())
	}
}

func TestEveryLineIsOneWriteFromManyGoroutines(t *testing.T) {
	var out lineChecker
	log := NewLogger(&out, new(Level))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				log.Info().Int("i", i).Str("text", "a\nb").Msg("x")
			}
		})
	}
	wg.Wait()
	if out.lines != 800 || out.bad != "" {
		t.Errorf("%d lines, bad %q", out.lines, out.bad)
	}
}

type lineChecker struct {
	lines int
	bad   string
}

func (c *lineChecker) Write(p []byte) (int, error) {
	if !regexp.MustCompile(`^<6> [0-9-]{10} [0-9:.]{12} \+00:00 \[INF\] - x i=[0-7] text="a\\nb"\n$`).Match(p) {
		c.bad = string(p)
	}
	c.lines++
	return len(p), nil
}

func FuzzAnEventIsOneLine(f *testing.F) {
	f.Add([]byte(`{"level":"info","a":"b","message":"x"}`))
	f.Add([]byte(`{"a":{"b":["c\"]",{"d":1}]},"e":"\ud800","f":`))
	f.Add([]byte("{\"a\":1\n2,\"b\":\"\n\"}"))
	f.Fuzz(func(t *testing.T, event []byte) {
		var out bytes.Buffer
		w := lineWriter{out: &out, level: new(Level), now: time.Now}
		if n, err := w.Write(event); n != len(event) || err != nil {
			t.Fatal(n, err)
		}
		line := out.Bytes()
		if bytes.IndexByte(line, '\n') != len(line)-1 || bytes.ContainsAny(line, "\r\x00\x1b") {
			t.Fatalf("%q gives %q", event, line)
		}
	})
}

func FuzzAnyTextSurvivesInAField(f *testing.F) {
	f.Add("key", "value with \"quotes\"\nand lines")
	f.Fuzz(func(t *testing.T, key, text string) {
		var out bytes.Buffer
		log, _ := testLogger(t, &out, "info")
		log.Info().Str("k"+key, text).Str("last", "z").Msg("m")
		line := out.String()
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, " last=z\n") || !utf8.ValidString(line) {
			t.Fatalf("%q = %q gives %q", key, text, line)
		}
	})
}

func BenchmarkALine(b *testing.B) {
	log := NewLogger(io.Discard, new(Level))
	b.ReportAllocs()
	for b.Loop() {
		log.Info().Str("listener", "trackers").Str("device", "356307042441013").Int("records", 7).Msg("session opened")
	}
}

func BenchmarkALineAboveTheLevel(b *testing.B) {
	log := NewLogger(io.Discard, new(Level))
	b.ReportAllocs()
	for b.Loop() {
		log.Debug().Str("listener", "trackers").Int("records", 7).Msg("frame received")
	}
}

func TestALineAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates for itself
	}
	log := NewLogger(io.Discard, new(Level))
	err := errors.New("broken pipe")
	if got := testing.AllocsPerRun(200, func() {
		log.Info().Str("listener", "trackers").Int("records", 7).Err(err).Msg("session opened")
		log.Debug().Str("listener", "trackers").Msg("frame received")
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestEventFieldsFollowJSON(t *testing.T) {
	event := []byte(`{"a":"x\"}","b":[{"c":"]"}],"d":-1.5e3,"e":null,"f":{}}` + "\n")
	var want map[string]json.RawMessage
	if err := json.Unmarshal(event, &want); err != nil {
		t.Fatal(err)
	}
	fields, n := eventFields{data: event}, 0
	for ; fields.next(); n++ {
		if got := string(fields.value); got != string(want[string(fields.key)]) {
			t.Errorf("%s is %s, want %s", fields.key, got, want[string(fields.key)])
		}
	}
	if n != len(want) {
		t.Errorf("%d fields, want %d", n, len(want))
	}
}
