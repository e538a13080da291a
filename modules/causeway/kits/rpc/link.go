package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// link is one dialogue, and the memory that its outcomes are made in.
type link struct {
	dialogue  codec.Dialogue
	framer    codec.Framer
	commander codec.Commander
	ticker    codec.Ticker
	resumer   codec.Resumer
	explainer codec.Explainer
	out       codec.Outcome
}

// Dialogue implements the service: receive a step, work, send the answer.
func (s *service) Dialogue(stream codecv1.Codec_DialogueServer) error {
	l := &link{}
	defer l.close()
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer := s.answer(l, step)
		if answer == nil {
			return status.Errorf(codes.InvalidArgument, "step %T is not known, or not in its place", step.GetKind())
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// answer carries out a step; nil where it makes no sense.
func (s *service) answer(l *link, step *codecv1.Step) (a *codecv1.Answer) {
	defer func() {
		if v := recover(); v != nil {
			err := fmt.Errorf("%w: panic: %v at %.2000s", codec.ErrBroken, v, debug.Stack())
			a = &codecv1.Answer{Failure: failure(err, codecv1.Failure_BROKEN)}
		}
	}()
	if begin := step.GetBegin(); begin != nil && l.dialogue == nil {
		return s.begin(l, begin)
	}
	if l.dialogue == nil {
		return nil
	}
	return l.step(step)
}

// begin starts the dialogue.
func (s *service) begin(l *link, b *codecv1.Begin) *codecv1.Answer {
	c, err := s.codec(b.GetOptions())
	if err != nil {
		return &codecv1.Answer{Failure: optionFailure(err)}
	}
	d, err := c.Begin(peer(b.GetPeer()))
	if err != nil {
		return &codecv1.Answer{Failure: failure(err, codecv1.Failure_REFUSED)}
	}
	l.dialogue = d
	l.framer, _ = d.(codec.Framer)
	l.commander, _ = d.(codec.Commander)
	l.ticker, _ = d.(codec.Ticker)
	l.resumer, _ = d.(codec.Resumer)
	l.explainer, _ = d.(codec.Explainer)
	framing := s.server.Framing
	return &codecv1.Answer{Kind: &codecv1.Answer_Manifest{Manifest: &codecv1.Manifest{
		Framing: framing, Split: framing == "" && l.framer != nil,
		Commands: l.commander != nil, Ticks: l.ticker != nil,
		Resumes: l.resumer != nil, Explains: l.explainer != nil,
	}}}
}

func peer(p *codecv1.Peer) codec.Peer {
	out := codec.Peer{Listener: p.GetListener(), Transport: p.GetTransport()}
	out.Remote, _ = netip.ParseAddrPort(p.GetAddress()) // stays zero where the gateway knows none
	if id := p.GetTls(); id != nil {
		out.TLS = &codec.TLSIdentity{
			CommonName: id.GetCommonName(), Names: id.GetNames(), Fingerprint: id.GetFingerprint(),
		}
	}
	return out
}

// step carries out a step of a dialogue that has begun.
func (l *link) step(step *codecv1.Step) *codecv1.Answer {
	l.out.Reset()
	switch k := step.GetKind().(type) {
	case *codecv1.Step_Receive:
		f := codec.Frame{Bytes: k.Receive.GetData(), At: k.Receive.GetAt().AsTime()}
		return l.outcome(l.dialogue.Receive(f, &l.out))
	case *codecv1.Step_Command:
		return l.outcome(l.command(k.Command))
	case *codecv1.Step_Tick:
		if l.ticker == nil {
			return l.outcome(nil)
		}
		return l.outcome(l.ticker.Tick(k.Tick.GetNow().AsTime(), &l.out))
	case *codecv1.Step_Resume:
		if l.resumer == nil {
			return l.outcome(errors.ErrUnsupported)
		}
		return l.outcome(l.resumer.Resume(k.Resume.GetDevice()))
	case *codecv1.Step_Split:
		return l.split(k.Split)
	case *codecv1.Step_Explain:
		return l.explain(k.Explain)
	default:
		return nil
	}
}

func (l *link) command(c *codecv1.Command) error {
	if l.commander == nil {
		return errors.ErrUnsupported
	}
	return l.commander.Command(codec.Command{
		Correlation: c.GetCorrelation(), Name: c.GetName(), Payload: c.GetPayload(),
	}, &l.out)
}

// split asks the dialogue for a frame. It works on a copy, since it may unescape in
// place, and the gateway's bytes are as they came.
func (l *link) split(s *codecv1.Split) *codecv1.Answer {
	cut := &codecv1.Cut{}
	answer := &codecv1.Answer{Kind: &codecv1.Answer_Cut{Cut: cut}}
	if l.framer == nil {
		answer.Failure = failure(errors.ErrUnsupported, codecv1.Failure_PROTOCOL)
		return answer
	}
	data := s.GetData()
	n, f, err := l.framer.Split(bytes.Clone(data), s.GetAtEof())
	if n < 0 || n > len(data) {
		n, f, err = 0, nil, fmt.Errorf("%w: split consumed %d of %d bytes", codec.ErrBroken, n, len(data))
	}
	cut.Advance = uint32(n)
	if err != nil {
		answer.Failure = failure(err, codecv1.Failure_PROTOCOL)
	}
	if f == nil {
		return answer
	}
	if at := bytes.Index(data[:n], f); at >= 0 {
		cut.Frame = &codecv1.Cut_At{At: &codecv1.Range{Offset: uint32(at), Length: uint32(len(f))}}
	} else {
		cut.Frame = &codecv1.Cut_Unescaped{Unescaped: f}
	}
	return answer
}

func (l *link) explain(e *codecv1.Explain) *codecv1.Answer {
	explanation := &codecv1.Explanation{}
	if l.explainer != nil {
		for _, f := range l.explainer.Explain(e.GetFrame()) {
			explanation.Fields = append(explanation.Fields, &codecv1.Field{
				At: &codecv1.Range{Offset: uint32(f.Offset), Length: uint32(f.Len)}, Name: f.Name, Value: f.Value,
			})
		}
	}
	return &codecv1.Answer{Kind: &codecv1.Answer_Explanation{Explanation: explanation}}
}

// close tells the dialogue that its link is over.
func (l *link) close() {
	defer func() { _ = recover() }() // nothing is left that a panic could cost
	if l.dialogue != nil {
		codec.Close(l.dialogue)
	}
}
