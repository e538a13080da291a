package rpc

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
	kit "github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc/codecv1"
)

// acmeLogin and acmeData are what a device of the benchmark sends.
var (
	acmeLogin = []byte("\x00\x08\x01unit-7\x1d")
	acmeData  = []byte("\x00\x0e\x02\x00\x01\x01\x69\x55\xb9\x00\x00\xd7\x0e\x10\x00\x4e")
)

// BenchmarkReceive is what one data frame costs with both processes on one machine;
// the frames a second are over all links.
func BenchmarkReceive(b *testing.B) {
	for _, c := range []struct {
		name    string
		framing string
	}{{"cut-by-gateway", acmeFraming}, {"cut-by-plugin", ""}} {
		for _, links := range []int{1, 50} {
			b.Run(fmt.Sprintf("%s/links=%d", c.name, links), func(b *testing.B) {
				address, _ := serve(b, kit.Server{Factory: acme.New, Framing: c.framing})
				client := dial(b, Config{Endpoints: []string{address}})
				dialogues := make([]codec.Dialogue, links)
				for i := range dialogues {
					dialogues[i] = begin(b, client)
					if _, err := receive(dialogues[i], acmeLogin); err != nil {
						b.Fatal(err)
					}
				}
				share(b, links, func(i int) error { return oneFrame(dialogues[i], c.framing == "") })
			})
		}
	}
}

// oneFrame cuts and decodes a frame, as a session does.
func oneFrame(d codec.Dialogue, split bool) error {
	f := acmeData
	if split {
		var err error
		if _, f, err = d.(codec.Framer).Split(acmeData, false); err != nil {
			return err
		}
	}
	out, err := receive(d, f)
	if err == nil && len(out.Messages) != 1 {
		err = fmt.Errorf("%d messages", len(out.Messages))
	}
	return err
}

// share has the links do b.N rounds between them.
func share(b *testing.B, links int, round func(link int) error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	for i := range links {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := round(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkOneStreamForAllLinks is the other way to carry many links: their steps
// share one stream, and the answers are told apart by a number. It is the best case
// of that way, with a server that decodes on the stream's own goroutine, so that one
// slow link would stop them all. See docs/adr/0014.
func BenchmarkOneStreamForAllLinks(b *testing.B) {
	for _, links := range []int{1, 50} {
		b.Run(fmt.Sprintf("links=%d", links), func(b *testing.B) {
			s := openShared(b, links)
			share(b, links, func(i int) error {
				s.mu.Lock()
				err := s.stream.Send(numbered(i, acmeData))
				s.mu.Unlock()
				if err == nil {
					<-s.answers[i]
				}
				return err
			})
		})
	}
}

// shared is a stream with many links on it.
type shared struct {
	mu      sync.Mutex
	stream  codecv1.Codec_DialogueClient
	answers []chan *codecv1.Answer
}

func openShared(b *testing.B, links int) *shared {
	b.Helper()
	address := serveScript(b, func(stream codecv1.Codec_DialogueServer) error { return decodeShared(stream, links) })
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	s := &shared{answers: make([]chan *codecv1.Answer, links)}
	for i := range s.answers {
		s.answers[i] = make(chan *codecv1.Answer, 1)
	}
	if s.stream, err = codecv1.NewCodecClient(conn).Dialogue(b.Context()); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			a, err := s.stream.Recv()
			if err != nil {
				return
			}
			s.answers[binary.BigEndian.Uint16(a.GetOutcome().GetReply())] <- a
		}
	}()
	b.Cleanup(func() { _ = conn.Close(); <-ended })
	return s
}

// numbered is a step with the link's number before its frame.
func numbered(link int, b []byte) *codecv1.Step {
	data := append(binary.BigEndian.AppendUint16(nil, uint16(link)), b...)
	return &codecv1.Step{Kind: &codecv1.Step_Receive{Receive: &codecv1.Frame{Data: data}}}
}

// decodeShared decodes frames with the dialogue of their number.
func decodeShared(stream codecv1.Codec_DialogueServer, links int) error {
	made, err := acme.New(nil)
	if err != nil {
		return err
	}
	dialogues := make([]codec.Dialogue, links)
	var out codec.Outcome
	for i := range dialogues {
		if dialogues[i], err = made.Begin(codec.Peer{}); err == nil {
			err = dialogues[i].Receive(codec.Frame{Bytes: acmeLogin}, &out)
		}
		if err != nil {
			return err
		}
	}
	for {
		step, err := stream.Recv()
		if err != nil {
			return err // the benchmark is over
		}
		data := step.GetReceive().GetData()
		out.Reset()
		if err := dialogues[binary.BigEndian.Uint16(data)].Receive(codec.Frame{Bytes: data[2:], At: time.Unix(1, 0)}, &out); err != nil {
			return err
		}
		answer := outcome(&codecv1.Outcome{Reply: data[:2], Ack: out.Ack})
		for _, m := range out.Messages {
			answer.GetOutcome().Messages = append(answer.GetOutcome().Messages, &codecv1.Message{
				Body: m.Body, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding,
				Properties: []*codecv1.Property{{Name: m.Properties[0].Name, Value: m.Properties[0].Value}},
			})
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}
