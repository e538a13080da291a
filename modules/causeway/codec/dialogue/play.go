package dialogue

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/frame"
)

// Failure is one step of a case that did not come true.
type Failure struct {
	// Step is the line of the case, as it is written.
	Step string
	// Got and Want are the lines that followed, and those that should have.
	Got, Want []string
}

// String shows the failure over several lines.
func (f Failure) String() string {
	return fmt.Sprintf("after %s\ngot:\n%s\nwant:\n%s", f.Step, Indent(f.Got), Indent(f.Want))
}

// Indent shows lines below each other, set in.
func Indent(lines []string) string { return "\t" + strings.Join(lines, "\n\t") }

// Play plays a case, the text of a txtar file of that name, against a codec of the
// factory, and returns the steps that did not come true, in order. The error tells
// of a case that cannot be played: it cannot be read, the factory refuses its
// options, the codec cannot begin or panics (ErrBroken).
func Play(factory codec.Factory, name string, txtar []byte) ([]Failure, error) {
	s, err := Parse(name, string(txtar))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	failures, _, err := s.Check(factory)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return failures, nil
}

// Check plays the case against a codec of the factory. It returns what did not come
// true, and what came of each step. Errors are those of Play.
func (s *Script) Check(factory codec.Factory) (failures []Failure, got [][]string, err error) {
	defer Recovered(&err)
	c, err := factory(s.Options)
	if err != nil {
		return nil, nil, fmt.Errorf("options: %w", err)
	}
	got, l, err := s.Play(c, nil)
	if err != nil {
		return nil, nil, err
	}
	l.Close()
	return s.Failures(got), got, nil
}

// Recovered is deferred, and makes an error of a panic: it wraps codec.ErrBroken and
// says where the codec panicked.
func Recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v at %s: %w", v, place(), codec.ErrBroken)
	}
}

// place is where the panic that is being recovered happened: the first lines of the
// stack behind those of the run time.
func place() string {
	_, after, found := strings.Cut(string(debug.Stack()), "panic(")
	lines := strings.Split(after, "\n")
	const call = 3 // the rest of panic's own two lines, then the function and its place
	if !found || len(lines) <= call {
		return "an unknown place"
	}
	where, _, _ := strings.Cut(strings.TrimSpace(lines[call]), " +")
	return where
}

// Begin starts a link of the case.
func (s *Script) Begin(c codec.Codec) (*Link, error) {
	var framing *frame.Framing
	if s.Frame != nil {
		var err error
		if framing, err = frame.Parse(s.Frame, FrameLimit); err != nil {
			return nil, fmt.Errorf("frame: %w", err)
		}
	}
	return Open(c, s.Transport(), framing)
}

// Transport is "tcp" or "udp".
func (s *Script) Transport() string {
	if s.UDP {
		return "udp"
	}
	return "tcp"
}

// Play carries out all steps on a new link, which prepare, when it is not nil, sees
// before. It returns the lines that followed each step.
func (s *Script) Play(c codec.Codec, prepare func(*Link)) (got [][]string, l *Link, err error) {
	if l, err = s.Begin(c); err != nil {
		return nil, nil, err
	}
	if prepare != nil {
		prepare(l)
	}
	for i := range s.Steps {
		got = append(got, l.Do(&s.Steps[i]))
	}
	return got, l, nil
}

// Failures compares what followed each step with what the case expects.
func (s *Script) Failures(got [][]string) []Failure {
	var failures []Failure
	for i := range s.Steps {
		if want := s.Steps[i].Want; !AllMatch(want, got[i]) {
			failures = append(failures, Failure{Step: s.Steps[i].Line, Got: got[i], Want: want})
		}
	}
	return failures
}

// Settle replaces what a case got by what it expects wherever the two say the same,
// so that Update keeps what matches as it is written.
func (s *Script) Settle(got [][]string) {
	for i := range got {
		for j, line := range got[i] {
			if j < len(s.Steps[i].Want) && Matches(s.Steps[i].Want[j], line) {
				got[i][j] = s.Steps[i].Want[j]
			}
		}
	}
}
