// Command acme serves the acme codec over gRPC, so that it can be compared and
// measured as a process of its own. It prints the address that it listens on.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/acme"
	"github.com/causeway-iot/causeway/modules/causeway/kits/rpc"
)

// framing cuts acme's stream and leaves the length in the frame, as acme.New wants it.
const framing = `{"type": "length", "size": 2, "strip": false}`

func main() {
	address := flag.String("listen", "127.0.0.1:0", "where to serve the codec")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *address)
	if err == nil {
		fmt.Fprintln(os.Stdout, l.Addr())
		err = rpc.Server{Factory: acme.New, Framing: framing}.Serve(ctx, l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
