package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened is a ring and what it told.
type opened struct {
	*Ring
	file *state.File

	mu     sync.Mutex
	stored []uint64
	failed []error
}

func open(t *testing.T, dir string, count, size int) *opened {
	t.Helper()
	f := state.New(dir)
	if err := f.Open(); err != nil && !errors.Is(err, state.ErrUnavailable) {
		t.Fatal(err)
	}
	o := &opened{file: f}
	o.Ring = New(Options{
		File: f, Count: count, Bytes: size,
		Stored: func(l *Letter) { o.mu.Lock(); o.stored = append(o.stored, l.ID); o.mu.Unlock() },
		Failed: func(err error) { o.mu.Lock(); o.failed = append(o.failed, err); o.mu.Unlock() },
	})
	if err := o.Start(); err != nil && !errors.Is(err, state.ErrUnavailable) {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	return o
}

func (o *opened) close() {
	o.Close()
	_ = o.file.Close()
}

// told waits until n letters went through the writer.
func (o *opened) told(t *testing.T, n int) {
	t.Helper()
	within(t, fmt.Sprintf("%d letters went through the writer", n), func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.stored) >= n
	})
}

func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-tick.C
	}
}

func frame(i int) Letter {
	return Letter{
		Time: time.Now(), Kind: Malformed, Reason: "bad crc", Listener: "trackers", Codec: "teltonika", CodecVersion: "1.0",
		Transport: "tcp", Remote: "127.0.0.1:1", Device: "t-1", Body: fmt.Appendf(nil, "frame %d", i),
	}
}

func bodies(t *testing.T, r *Ring) (list []string) {
	t.Helper()
	letters, err := r.List(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		list = append(list, string(l.Body))
	}
	return list
}

func TestLettersComeBackAsTheyWereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, 100, 1<<20)
	refused := OfMessage(&message.Message{
		Device: "t-2", Listener: "meters", Codec: "json", Output: "alarms", Epoch: 7, Seq: 8, Body: []byte("{}"),
		ContentType: "application/json", ContentEncoding: "utf-8", Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Properties: []message.Property{{Name: "a", Value: "b"}},
	}, errors.New("no"))
	refused.Time = time.Now()
	first := frame(1)
	first.Uncut = true
	o.Add(first)
	o.Add(refused)
	o.close()

	o = open(t, dir, 100, 1<<20)
	list, err := o.List(0, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d letters, %v", len(list), err)
	}
	for i, want := range []Letter{first, refused} {
		want.ID, want.Time = list[i].ID, want.Time.UTC()
		if got := *list[i]; !got.Time.Equal(want.Time) {
			t.Errorf("time %v, want %v", got.Time, want.Time)
		}
		list[i].Time = want.Time
		if !reflect.DeepEqual(*list[i], want) {
			t.Errorf("%+v, want %+v", *list[i], want)
		}
	}
	if m, ok := list[1].Resend(); !ok || string(m.AppendID(nil)) != "t-2-7-8" || m.Output != "alarms" {
		t.Errorf("%v, %+v", ok, m)
	}
	if _, ok := list[0].Resend(); ok {
		t.Error("a frame was taken for a message")
	}
	if s := o.Stats(); s.Count != 2 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
	o.Add(frame(3))
	o.told(t, 1)
	if o.stored[0] <= list[1].ID {
		t.Errorf("id %d does not follow %d", o.stored[0], list[1].ID)
	}
}

func TestTheOldestGoWhenTheRingIsFull(t *testing.T) {
	o := open(t, t.TempDir(), 3, 1<<20)
	for i := range 5 {
		o.Add(frame(i))
	}
	o.told(t, 5)
	if got := fmt.Sprint(bodies(t, o.Ring)); got != "[frame 2 frame 3 frame 4]" {
		t.Errorf("kept %s", got)
	}
	if s := o.Stats(); s.Count != 3 || s.Dropped != 2 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	size := o.Stats().Bytes / 3
	o.Bound(3, 2*size+10)
	o.Add(frame(5))
	o.told(t, 6)
	if s := o.Stats(); s.Count != 2 || s.Bytes > 2*size+10 {
		t.Errorf("after the bound in bytes: %+v", s)
	}
	large := frame(6)
	large.Body = make([]byte, 2*size+10)
	o.Add(large)
	o.told(t, 7)
	if s := o.Stats(); s.Count != 2 || s.Lost != 1 {
		t.Errorf("after a letter larger than the ring: %+v", s)
	}
}

func TestANewBoundTakesEffectWithoutALetter(t *testing.T) {
	o := open(t, t.TempDir(), 10, 1<<20)
	for i := range 5 {
		o.Add(frame(i))
	}
	o.told(t, 5)
	o.Bound(1, 1<<20)
	o.Close()
	if got := fmt.Sprint(bodies(t, o.Ring)); got != "[frame 4]" {
		t.Errorf("kept %s", got)
	}
}

func TestPagesGetsAndDeletes(t *testing.T) {
	o := open(t, t.TempDir(), 100, 1<<20)
	for i := range 5 {
		o.Add(frame(i))
	}
	o.told(t, 5)
	page, err := o.List(o.stored[1], 2)
	if err != nil || len(page) != 2 || string(page[0].Body) != "frame 2" || string(page[1].Body) != "frame 3" {
		t.Errorf("page %v, %v", page, err)
	}
	if err := o.Delete(o.stored[0], o.stored[3], 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Get(o.stored[0]); !errors.Is(err, ErrNone) {
		t.Errorf("a deleted letter: %v", err)
	}
	if l, err := o.Get(o.stored[4]); err != nil || string(l.Body) != "frame 4" {
		t.Errorf("%v, %v", l, err)
	}
	if s := o.Stats(); s.Count != 3 {
		t.Errorf("%+v", s)
	}
	if err := o.Delete(o.stored...); err != nil {
		t.Fatal(err)
	}
	if s := o.Stats(); s.Count != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAddNeverWaitsAndCountsWhatItCannotTake(t *testing.T) {
	o := open(t, t.TempDir(), 100, 64<<20)
	o.writing.Lock() // the disk takes its time
	release := sync.OnceFunc(o.writing.Unlock)
	defer release()
	l := frame(0)
	l.Body = make([]byte, 1<<20)
	o.Add(l)
	within(t, "the writer has taken the letter and stands at the disk", func() bool { return o.queuedBytes() == 0 })
	for range 10 {
		o.Add(l)
	}
	if s := o.Stats(); s.Lost != 6 {
		t.Errorf("%+v", s)
	}
	release()
	o.told(t, 5)
	if s := o.Stats(); s.Count != 5 {
		t.Errorf("%+v", s)
	}
}

func (o *opened) queuedBytes() int {
	o.Ring.mu.Lock()
	defer o.Ring.mu.Unlock()
	return o.queued
}

func TestTheBytesOfALetterMayChangeOnceItWasAdded(t *testing.T) {
	o := open(t, t.TempDir(), 100, 1<<20)
	l := frame(0)
	o.Add(l)
	copy(l.Body, "XXXXXXX")
	o.told(t, 1)
	if got := bodies(t, o.Ring)[0]; got != "frame 0" {
		t.Errorf("%q", got)
	}
}

func TestADiskThatCannotBeUsedLosesLettersAndNothingElse(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := open(t, filepath.Join(blocked, "below"), 10, 1<<20)
	o.Add(frame(1))
	o.told(t, 1) // the output is told nevertheless
	if s := o.Stats(); s.Lost != 1 || s.Count != 0 {
		t.Errorf("%+v", s)
	}
	if len(o.failed) != 1 || !errors.Is(o.failed[0], state.ErrUnavailable) {
		t.Errorf("failures %v", o.failed)
	}
	if _, err := o.List(0, 1); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
	if _, err := o.Get(1); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	if err := o.Delete(1); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("delete: %v", err)
	}
}

func TestADeviceWithAStrangeClockAndLongReasonsIsKept(t *testing.T) {
	o := open(t, t.TempDir(), 10, 1<<20)
	l := OfMessage(&message.Message{Device: "d", Created: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)},
		errors.New(string(bytes.Repeat([]byte("\xc3\xa9"), 2000))))
	l.Time = time.Now()
	o.Add(l)
	o.told(t, 1)
	list, err := o.List(0, 1)
	if err != nil || len(list) != 1 || len(list[0].Reason) > reasonLimit || !list[0].Message.Created.IsZero() {
		t.Errorf("%v, %v", list, err)
	}
}

func FuzzDecode(f *testing.F) {
	l := frame(1)
	b, err := l.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decode(1, b)
		if err != nil {
			return
		}
		l.settle()
		again, err := l.encode()
		if err != nil {
			return // a time of year 10000 is no JSON
		}
		if l2, err := decode(1, again); err != nil || !bytes.Equal(l2.Body, l.Body) {
			t.Errorf("%+v, then %+v, %v", l, l2, err)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	f := state.New(b.TempDir())
	if err := f.Open(); err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r := New(Options{File: f, Count: 10000, Bytes: 16 << 20})
	if err := r.Start(); err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	l := frame(1)
	b.ReportAllocs()
	for b.Loop() {
		r.Add(l)
	}
}
