// Command sink is the hub of the comparison as a process, so that it can be stopped and its
// cost be told from the gateway's. It prints where it is as one line of JSON, and what it
// counted as another when it is ended.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/causeway-iot/causeway/tests/bench/sink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sink:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o sink.Options
	desired := flag.String("desired", "", "`file` of the module's desired properties")
	flag.StringVar(&o.State, "state", ".", "`folder` of the certificates")
	flag.StringVar(&o.Secure, "secure", "127.0.0.1:0", "listening `address` of AMQP over TLS")
	flag.DurationVar(&o.Delay, "ackdelay", 0, "`time` by which every transfer is answered late")
	flag.Parse()
	if *desired != "" {
		text, err := os.ReadFile(*desired)
		if err != nil {
			return err
		}
		o.Desired = text
	}
	s, err := sink.Start(ctx, o)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(s.Ready); err != nil {
		return err
	}
	<-ctx.Done()
	if err := out.Encode(s.Figures()); err != nil {
		return err
	}
	return s.Close()
}
