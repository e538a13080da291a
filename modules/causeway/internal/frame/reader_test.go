package frame

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestSilenceEndsAFrameOfTheGapFraming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, link := net.Pipe()
		defer device.Close()
		f := parse(t, `{"type":"gap","milliseconds":50}`, 16)
		r := NewReader(link, f.Split, Options{Limit: 16, Window: f.Window(), Gap: f.Gap})
		go func() {
			write(t, device, "ab")
			time.Sleep(49 * time.Millisecond) // within the bubble's own time
			write(t, device, "cd")
			time.Sleep(51 * time.Millisecond)
			write(t, device, "ef")
			_ = device.Close()
		}()
		for _, want := range []string{"abcd", "ef"} {
			if frame, err := r.Next(); string(frame) != want || err != nil {
				t.Errorf("got %q, %v, want %q", frame, err, want)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want %v", err, io.EOF)
		}
	})
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Error(err)
	}
}

func TestDeadlineOfTheCallerIsNotTakenForAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, link := net.Pipe()
		defer device.Close()
		f := parse(t, `{"type":"gap","milliseconds":50}`, 16)
		r := NewReader(link, f.Split, Options{Limit: 16, Window: f.Window(), Gap: f.Gap})
		if err := r.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		go write(t, device, "ab")
		if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
		if r.Buffered() != 2 || r.Received() != 2 || r.Consumed() != 0 {
			t.Errorf("buffered %d, received %d, consumed %d", r.Buffered(), r.Received(), r.Consumed())
		}
		if err := r.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if frame, err := r.Next(); string(frame) != "ab" || err != nil {
			t.Errorf("after the deadline: got %q, %v", frame, err)
		}
	})
}

func TestDeadlineInThePastEndsAWaitFromAnotherGoroutine(t *testing.T) {
	for _, spec := range []string{`{"type":"line"}`, `{"type":"gap","milliseconds":60000}`} {
		synctest.Test(t, func(t *testing.T) {
			device, link := net.Pipe()
			defer device.Close()
			f := parse(t, spec, 16)
			r := NewReader(link, f.Split, Options{Limit: 16, Window: f.Window(), Gap: f.Gap})
			go func() {
				write(t, device, "ab")
				synctest.Wait()
				if err := r.SetReadDeadline(time.Unix(1, 0)); err != nil {
					t.Error(err)
				}
			}()
			if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
			}
		})
	}
}

func TestBufferGrowsOnDemandAndIsGivenBackAfterASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, link := net.Pipe()
		defer device.Close()
		f := parse(t, `{"type":"line"}`, 1<<20)
		r := NewReader(link, f.Split, Options{Limit: 1 << 20, Window: f.Window()})
		long := strings.Repeat("x", 100_000)
		go func() {
			write(t, device, "short\n")
			write(t, device, long+"\n")
			time.Sleep(10 * time.Second) // within the bubble's own time
			write(t, device, "short\n")
		}()
		for i, want := range []string{"short", long, "short"} {
			frame, err := r.Next()
			if string(frame) != want || err != nil {
				t.Fatalf("frame %d: got %d bytes, %v", i, len(frame), err)
			}
			if size := len(r.buf); (size == firstBuffer) != (len(want) < firstBuffer) || size > 2*len(want)+firstBuffer {
				t.Errorf("after frame %d of %d bytes the buffer has %d", i, len(want), size)
			}
		}
	})
}

func TestAReaderThatMayRestTellsOfSilenceOnlyWhereNothingIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, link := net.Pipe()
		defer device.Close()
		f := parse(t, `{"type":"line"}`, 100)
		r := NewReader(link, f.Split, Options{Limit: 100, Window: f.Window(), Rest: true})
		go func() {
			for range 4 { // a busy link is not silent
				write(t, device, "x\n")
				time.Sleep(600 * time.Millisecond) // within the bubble's own time
			}
			time.Sleep(5 * time.Second)
			write(t, device, "ha")
			time.Sleep(5 * time.Second)
			write(t, device, "lf\n")
		}()
		for range 4 {
			if frame, err := r.Next(); string(frame) != "x" || err != nil {
				t.Fatalf("got %q, %v", frame, err)
			}
		}
		began := time.Now()
		if _, err := r.Next(); !errors.Is(err, ErrSilent) || time.Since(began) > 2*idleAfter {
			t.Fatalf("got %v after %v", err, time.Since(began))
		}
		for {
			frame, err := r.Next()
			if errors.Is(err, ErrSilent) && r.Buffered() == 0 {
				continue
			}
			if string(frame) != "half" || err != nil {
				t.Errorf("got %q, %v", frame, err)
			}
			break
		}
	})
}

func TestCallersDeadlineHoldsWhileABufferWaitsToBeGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, link := net.Pipe()
		defer device.Close()
		f := parse(t, `{"type":"line"}`, 1<<16)
		r := NewReader(link, f.Split, Options{Limit: 1 << 16, Window: f.Window()})
		go write(t, device, strings.Repeat("x", 10_000)+"\nhalf")
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := r.SetReadDeadline(began.Add(2500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 2500*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestReaderKeepsTheBufferWithinTheWindow(t *testing.T) {
	f := parse(t, `{"type":"delimited","preset":"jt808"}`, 5000)
	wire, err := f.Append(nil, bytes.Repeat([]byte{0x7e}, 5000))
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(stream{iotest.OneByteReader(bytes.NewReader(wire))}, f.Split, Options{Limit: 5000, Window: f.Window()})
	if frame, err := r.Next(); len(frame) != 5000 || err != nil {
		t.Errorf("got %d bytes, %v", len(frame), err)
	}
	if len(r.buf) > f.Window() {
		t.Errorf("the buffer has %d bytes, the window %d", len(r.buf), f.Window())
	}
}

func TestErrorsOfTheSourceComeAfterTheFramesBeforeThem(t *testing.T) {
	reset := errors.New("connection reset")
	src := stream{io.MultiReader(strings.NewReader("a\nb\nhalf"), iotest.ErrReader(reset))}
	f := parse(t, `{"type":"line"}`, 16)
	r := NewReader(src, f.Split, Options{Limit: 16, Window: f.Window()})
	for _, want := range []string{"a", "b"} {
		if frame, err := r.Next(); string(frame) != want || err != nil {
			t.Errorf("got %q, %v, want %q", frame, err, want)
		}
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, reset) {
			t.Errorf("got %v, want %v", err, reset)
		}
	}
}

func TestBrokenSplitFunctionsAreStopped(t *testing.T) {
	cases := map[string]struct {
		split func([]byte, bool) (int, []byte, error)
		want  error
	}{
		"a frame without advance":    {func(d []byte, _ bool) (int, []byte, error) { return 0, d[:1], nil }, ErrNoProgress},
		"an advance past the data":   {func(d []byte, _ bool) (int, []byte, error) { return len(d) + 1, d, nil }, ErrNoProgress},
		"a negative advance":         {func(d []byte, _ bool) (int, []byte, error) { return -1, d, nil }, ErrNoProgress},
		"never enough":               {func([]byte, bool) (int, []byte, error) { return 0, nil, nil }, ErrTooLong},
		"a frame over the limit":     {func(d []byte, _ bool) (int, []byte, error) { return 20, d[:20], nil }, ErrTooLong},
		"an error that is passed on": {func([]byte, bool) (int, []byte, error) { return 0, nil, io.ErrClosedPipe }, io.ErrClosedPipe},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			src := stream{strings.NewReader(strings.Repeat("x", 4096))}
			r := NewReader(src, c.split, Options{Limit: 16})
			if _, err := r.Next(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestSplitMayChangeBetweenFrames(t *testing.T) {
	size := 1
	split := func(d []byte, _ bool) (int, []byte, error) {
		if len(d) < size {
			return 0, nil, nil
		}
		frame := d[:size]
		return size, frame, nil
	}
	r := NewReader(stream{strings.NewReader("abbccc")}, split, Options{Limit: 16})
	for _, want := range []string{"a", "bb", "ccc"} {
		if frame, err := r.Next(); string(frame) != want || err != nil {
			t.Errorf("got %q, %v, want %q", frame, err, want)
		}
		size++
	}
}

func TestSourceThatReturnsNothingIsGivenUp(t *testing.T) {
	src := stream{emptyReader{}}
	r := NewReader(src, parse(t, `{"type":"line"}`, 16).Split, Options{Limit: 16})
	if _, err := r.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestSilenceEndsAFrameOnARealConnection(t *testing.T) {
	device, link := tcpPair(t)
	f := parse(t, `{"type":"gap","milliseconds":10}`, 16)
	r := NewReader(link, f.Split, Options{Limit: 16, Window: f.Window(), Gap: f.Gap})
	for _, want := range []string{"ab", "cd"} {
		write(t, device, want)
		if frame, err := r.Next(); string(frame) != want || err != nil {
			t.Fatalf("got %q, %v, want %q", frame, err, want)
		}
	}
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestLargeFramesCrossARealConnection(t *testing.T) {
	device, link := tcpPair(t)
	f := parse(t, `{"type":"delimited","preset":"hdlc"}`, 1<<18)
	r := NewReader(link, f.Split, Options{Limit: 1 << 18, Window: f.Window()})
	payload := bytes.Repeat([]byte("~}data"), 40_000)
	const frames = 5
	go func() {
		for range frames {
			wire, err := f.Append(nil, payload)
			if err != nil {
				t.Error(err)
			}
			write(t, device, string(wire))
		}
		_ = device.Close()
	}()
	for range frames {
		if frame, err := r.Next(); !bytes.Equal(frame, payload) || err != nil {
			t.Fatalf("got %d bytes, %v", len(frame), err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want %v", err, io.EOF)
	}
}

// tcpPair returns both ends of a connection.
func tcpPair(t *testing.T) (device, link net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if device, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if link, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = device.Close(); _ = link.Close() })
	return device, link
}
