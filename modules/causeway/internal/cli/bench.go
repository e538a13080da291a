package cli

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// measured is the answer of a benchmark.
type measured struct {
	Codec string `json:"codec"`
	// Frames are those of the input that are decoded again and again; Decoded is how
	// often one was.
	Frames  int     `json:"frames"`
	Decoded int     `json:"decoded"`
	Seconds float64 `json:"seconds"`
	// What one frame costs.
	FrameBytes      float64 `json:"frameBytes"`
	NsPerFrame      float64 `json:"nsPerFrame"`
	AllocsPerFrame  float64 `json:"allocsPerFrame"`
	BytesPerFrame   float64 `json:"allocBytesPerFrame"`
	FramesPerSecond float64 `json:"framesPerSecond"`
	MBPerSecond     float64 `json:"mbPerSecond"`
}

func bench(c *call) (err error) {
	s := sourceFlags(c.flags)
	format := c.flags.String("format", "auto", formatUsage)
	seconds := c.flags.Float64("seconds", 1, "how long to measure, 0.01 to 600")
	p, err := c.prepare(s, format, false)
	if err != nil {
		return err
	}
	defer p.plugin.close(&err)
	const shortest, longest = 0.01, 600
	if *seconds < shortest || *seconds > longest {
		return usagef("-seconds is %v, allowed are %v to %v", *seconds, shortest, longest)
	}
	defer dialogue.Recovered(&err)
	l, err := p.setting.Begin(p.codec)
	if err != nil {
		return usageOf(err)
	}
	defer l.Close()
	for i := range p.input.steps {
		l.Do(&p.input.steps[i])
	}
	list := again(l)
	if len(list) == 0 {
		return errors.New("no frame of the input can be decoded again and again")
	}
	m := measure(c, l, list, time.Duration(*seconds*float64(time.Second)))
	m.Codec = s.spec
	return c.put(m)
}

// again returns the frames that the dialogue decodes without an error once more (a
// second login, say, is none of them): those that become messages where there are any.
func again(l *dialogue.Link) [][]byte {
	var list, silent [][]byte
	for _, f := range l.Frames {
		l.Out.Reset()
		err := l.Dialogue.Receive(codec.Frame{Bytes: slices.Clone(f), At: l.Now}, &l.Out)
		switch {
		case err != nil:
		case len(l.Out.Messages) > 0:
			list = append(list, f)
		default:
			silent = append(silent, f)
		}
	}
	if len(list) == 0 {
		return silent
	}
	return list
}

// measure decodes the frames in turn, until the time is over or the context ends.
func measure(c *call, l *dialogue.Link, list [][]byte, atLeast time.Duration) measured {
	longest, total := 0, 0
	for _, f := range list {
		longest, total = max(longest, len(f)), total+len(f)
	}
	buffer := make([]byte, longest)
	pass := func() {
		for _, f := range list {
			b := buffer[:copy(buffer, f):len(f)] // a dialogue may change it in place
			l.Out.Reset()
			_ = l.Dialogue.Receive(codec.Frame{Bytes: b, At: l.Now}, &l.Out) // again has tried it
		}
	}
	pass() // warm
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	passes, batch := 0, 1
	start := time.Now()
	elapsed := time.Duration(0)
	for elapsed < atLeast && c.ctx.Err() == nil {
		for range batch {
			pass()
		}
		passes += batch
		elapsed = time.Since(start)
		const tick = time.Millisecond // between looks at the clock
		if elapsed < tick {
			batch *= 2
		}
	}
	runtime.ReadMemStats(&after)
	n := float64(passes * len(list))
	took := elapsed.Seconds()
	return measured{
		Frames: len(list), Decoded: passes * len(list), Seconds: round(took, 3),
		FrameBytes: round(float64(total)/float64(len(list)), 1), NsPerFrame: round(took*1e9/n, 1),
		AllocsPerFrame:  round(float64(after.Mallocs-before.Mallocs)/n, 2),
		BytesPerFrame:   round(float64(after.TotalAlloc-before.TotalAlloc)/n, 1),
		FramesPerSecond: math.Round(n / took), MBPerSecond: round(float64(total*passes)/took/1e6, 2),
	}
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
