package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// errLate ends a call whose answer did not come in time.
var errLate = errors.New("late")

// One goroutine ticks all links of a listener, so a tick has little time, and after
// one that was late an endpoint gets none for a while: whatever it does, and however
// many links it has, it takes a tenth of that goroutine's time at most.
const (
	tickPatience = 500 * time.Millisecond
	tickRest     = 10 * tickPatience
)

// dialogue is one call on one endpoint. It implements every add-on but the Framer.
type dialogue struct {
	client   *Client
	endpoint *endpoint
	manifest *codecv1.Manifest
	stream   codecv1.Codec_DialogueClient
	ctx      context.Context //nolint:containedctx // the life of the call
	end      context.CancelCauseFunc
	timer    *time.Timer // ends the call with errLate; runs during a step only
	broken   error       // every later step fails with it
}

// framed is a dialogue whose stream the gateway cuts.
type framed struct {
	*dialogue
	Cutter
}

// splitting is a dialogue that cuts its stream itself.
type splitting struct{ *dialogue }

// call carries out one step. Size is that of the bytes in it.
func (d *dialogue) call(step *codecv1.Step, size int, patience time.Duration) (*codecv1.Answer, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	d.timer.Reset(patience)
	answer, err := d.exchange(step, size)
	if !d.timer.Stop() && err == nil {
		err = errLate // at the very last moment
	}
	if err != nil {
		return nil, d.fail(err, patience)
	}
	return answer, nil
}

// fullError says that a step found no room within its deadline.
type fullError struct {
	size int
	of   string
}

func (e *fullError) Error() string { return fmt.Sprintf("the window of %d %s is full", e.size, e.of) }

// exchange sends the step when there is room for it, and receives its answer.
func (d *dialogue) exchange(step *codecv1.Step, size int) (*codecv1.Answer, error) {
	select {
	case d.client.slots <- struct{}{}:
		defer func() { <-d.client.slots }()
	case <-d.ctx.Done():
		return nil, &fullError{d.client.config.Window, "steps"}
	}
	weight := int64(min(size, d.client.config.WindowBytes))
	if err := d.client.bytes.Acquire(d.ctx, weight); err != nil {
		return nil, &fullError{d.client.config.WindowBytes, "bytes"}
	}
	defer d.client.bytes.Release(weight)
	if err := d.stream.Send(step); err != nil && !errors.Is(err, io.EOF) { // of EOF, Recv tells the reason
		return nil, err
	}
	return d.stream.Recv()
}

// fail ends the dialogue for an error of the call, and returns it for people.
func (d *dialogue) fail(err error, patience time.Duration) error {
	var why string
	switch cause := context.Cause(d.ctx); {
	case errors.Is(cause, errLate) || errors.Is(err, errLate):
		why = fmt.Sprintf("no answer within %v", patience)
		if full, ok := errors.AsType[*fullError](err); ok {
			why += ": " + full.Error()
		}
	case cause != nil:
		why = cause.Error()
	case errors.Is(err, io.EOF):
		why = "the server ended the dialogue"
	default:
		why = status.Convert(err).Message()
	}
	d.endpoint.doubt()
	return d.breakUp(why)
}

// wrong ends the dialogue for an answer that cannot be.
func (d *dialogue) wrong(format string, args ...any) error {
	return d.breakUp("wrong answer: " + fmt.Sprintf(format, args...))
}

func (d *dialogue) breakUp(why string) error {
	d.broken = fmt.Errorf("%w: plugin %s at %s: %s", codec.ErrBroken, d.client.name, d.endpoint.address, why)
	d.end(d.broken)
	return d.broken
}

// Close implements codec.Closer.
func (d *dialogue) Close() error {
	if d.broken == nil {
		d.broken = fmt.Errorf("%w: %w", codec.ErrBroken, errClosed)
	}
	d.timer.Stop()
	d.end(errClosed)
	return nil
}

// Receive implements codec.Dialogue.
func (d *dialogue) Receive(f codec.Frame, out *codec.Outcome) error {
	return d.outcome(&codecv1.Step{Kind: &codecv1.Step_Receive{
		Receive: &codecv1.Frame{Data: f.Bytes, At: timestamppb.New(f.At)},
	}}, len(f.Bytes), d.client.config.Deadline, out)
}

// Command implements codec.Commander.
func (d *dialogue) Command(c codec.Command, out *codec.Outcome) error {
	if !d.manifest.GetCommands() {
		return fmt.Errorf("plugin %s has no commands: %w", d.client.name, errors.ErrUnsupported)
	}
	return d.outcome(&codecv1.Step{Kind: &codecv1.Step_Command{
		Command: &codecv1.Command{Correlation: c.Correlation, Name: c.Name, Payload: c.Payload},
	}}, len(c.Payload), d.client.config.Deadline, out)
}

// Tick implements codec.Ticker. Where the plugin wants none it costs nothing.
func (d *dialogue) Tick(now time.Time, out *codec.Outcome) error {
	if !d.manifest.GetTicks() || d.endpoint.resting() {
		return nil
	}
	err := d.outcome(&codecv1.Step{Kind: &codecv1.Step_Tick{
		Tick: &codecv1.Tick{Now: timestamppb.New(now)},
	}}, 0, min(tickPatience, d.client.config.Deadline), out)
	if errors.Is(context.Cause(d.ctx), errLate) {
		d.endpoint.rest()
	}
	return err
}

// Resume implements codec.Resumer.
func (d *dialogue) Resume(device string) error {
	if !d.manifest.GetResumes() {
		return errors.ErrUnsupported
	}
	var none codec.Outcome
	return d.outcome(&codecv1.Step{Kind: &codecv1.Step_Resume{
		Resume: &codecv1.Resume{Device: device},
	}}, 0, d.client.config.Deadline, &none)
}

// Explain implements codec.Explainer. What cannot be had is left out.
func (d *dialogue) Explain(frame []byte) []codec.Field {
	if !d.manifest.GetExplains() {
		return nil
	}
	answer, err := d.call(&codecv1.Step{Kind: &codecv1.Step_Explain{
		Explain: &codecv1.Explain{Frame: frame},
	}}, len(frame), d.client.config.Deadline)
	if err != nil {
		return nil
	}
	return fields(answer.GetExplanation(), len(frame))
}

// Split implements codec.Framer.
func (d splitting) Split(data []byte, atEOF bool) (advance int, frame []byte, err error) {
	if len(data) == 0 {
		return 0, nil, nil
	}
	answer, err := d.call(&codecv1.Step{Kind: &codecv1.Step_Split{
		Split: &codecv1.Split{Data: data, AtEof: atEOF},
	}}, len(data), d.client.config.Deadline)
	if err != nil {
		return 0, nil, err
	}
	advance, frame, ok := cut(answer.GetCut(), data)
	if !ok || answer.GetCut() == nil && answer.GetFailure() == nil {
		return 0, nil, d.wrong("%.200v in answer to split of %d bytes", answer, len(data))
	}
	if f := answer.GetFailure(); f != nil {
		return advance, nil, failed(f)
	}
	return advance, frame, nil
}
