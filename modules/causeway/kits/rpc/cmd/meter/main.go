// Command meter serves the codec of the Brook water meter, see docs/codecs/rpc.md.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// framing cuts: B7, the length of the body, the body, its sum. B7 and the length are
// dropped, so that a frame is the body and the sum.
const framing = `{"type": "length", "prefix": "b7", "size": 1, "adjustment": 1, "strip": true}`

// New makes the codec; it has no options.
func New(options json.RawMessage) (codec.Codec, error) {
	return meters{}, codec.DecodeOptions(options, &struct{}{})
}

type meters struct{}

// Begin is called for each connection.
func (meters) Begin(codec.Peer) (codec.Dialogue, error) { return &meter{}, nil }

// meter is the state of one connection.
type meter struct{ known bool }

// Receive is called for each frame.
func (m *meter) Receive(f codec.Frame, out *codec.Outcome) error {
	last := len(f.Bytes) - 1
	if last < 1 || sum(f.Bytes[:last]) != f.Bytes[last] {
		return fmt.Errorf("checksum: %w", codec.ErrMalformed)
	}
	switch body := f.Bytes[:last]; {
	case body[0] == 'H' && len(body) == 9:
		m.known = true
		out.Identity = codec.Identity{Device: string(body[1:]), Accept: answer('A'), Refuse: answer('N')}
	case body[0] == 'R' && len(body) == 8 && m.known:
		reading := out.Add()
		reading.ContentType, reading.ContentEncoding = "application/json", "utf-8"
		reading.Body = fmt.Appendf(nil, `{"litres":%d,"battery":%d}`, binary.BigEndian.Uint32(body[3:]), body[7])
		out.Ack = answer('A', body[1], body[2]) // written when the reading is safe
	case body[0] == 'R':
		return fmt.Errorf("a reading before hello, or of the wrong length: %w", codec.ErrProtocol)
	default:
		return fmt.Errorf("type %q: %w", body[0], codec.ErrMalformed)
	}
	return nil
}

func answer(body ...byte) []byte {
	return append(append([]byte{0xb7, byte(len(body))}, body...), sum(body))
}

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

func main() {
	address := flag.String("listen", ":7000", "where to serve the codec")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *address)
	if err == nil {
		err = rpc.Server{Factory: New, Framing: framing}.Serve(ctx, l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
