package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/inject"
	"github.com/causeway-iot/causeway/tests/simulator/manifest"
	"github.com/causeway-iot/causeway/tests/simulator/runner"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ", ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// upFlags are what `simulator up` is told.
type upFlags struct {
	sim             sim.Options
	modules, leaves list
	style           string
	inputs          string
	show            bool
	ready           string
	grace           time.Duration
	env             list
}

// Ready is the content of the ready file.
type Ready struct {
	PID      int            `json:"pid"`
	State    string         `json:"state"`
	AMQP     string         `json:"amqp"`
	MQTT     string         `json:"mqtt"`
	Web      string         `json:"web"`
	Gateway  string         `json:"gateway"`
	IoTHub   string         `json:"iothub"`
	Device   string         `json:"device"`
	Control  string         `json:"control"`
	Portal   string         `json:"portal"`
	Workload string         `json:"workload"`
	CA       string         `json:"ca"`
	Modules  map[string]int `json:"modules"`

	// Service and ServiceAMQP are the cloud's side, host:port; ServiceConnection is the
	// connection string of its policy.
	Service           string `json:"service"`
	ServiceAMQP       string `json:"serviceAMQP"`
	ServiceConnection string `json:"serviceConnectionString"`
	// Direct is the IoT hub for devices that come without an edge device, host:port, and
	// DirectConnection the connection string of the policy that may connect as any. The
	// first is for AMQP, DirectMQTT and DirectWeb are for MQTT and WebSocket.
	Direct           string `json:"direct"`
	DirectMQTT       string `json:"directMQTT"`
	DirectWeb        string `json:"directWeb"`
	DirectConnection string `json:"directConnectionString"`
	// Inject is the URL of single-module mode, empty without.
	Inject string `json:"inject,omitempty"`
}

// readyFile is written in the state folder, so that the other commands find the simulator.
const readyFile = "ready.json"

func parseUp(args []string, stderr io.Writer) (*upFlags, error) {
	f := &upFlags{}
	flags := flag.NewFlagSet("simulator up", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&f.sim.State, "state", defaultState(), "folder for certificates, keys and twins; `dir`")
	flags.StringVar(&f.sim.AMQP, "amqp", "127.0.0.1:0",
		"listening `address` of AMQP over TLS; port 0 takes the last one or a free one")
	flags.StringVar(&f.sim.MQTT, "mqtt", "127.0.0.1:0", "listening `address` of MQTT over TLS; 8883 is the standard port")
	flags.StringVar(&f.sim.Web, "web", "127.0.0.1:0",
		"listening `address` of AMQP and MQTT over WebSocket; 443 is the standard port")
	flags.BoolVar(&f.sim.MQTTStrict, "mqtt-strict", false,
		"end an MQTT connection where the real hub acknowledges a mistake and loses the message")
	flags.StringVar(&f.sim.Control, "control", "127.0.0.1:0",
		"listening `address` of the control and service API; loopback only")
	flags.StringVar(&f.sim.Service, "service", "127.0.0.1:0",
		"listening `address` of the service side's HTTPS; SDKs need port 443")
	flags.StringVar(&f.sim.ServiceAMQP, "service-amqp", "127.0.0.1:0",
		"listening `address` of the service side's AMQP over TLS; SDKs need port 5671")
	flags.StringVar(&f.sim.Direct, "direct", "127.0.0.1:0",
		"listening `address` of IoT Hub for devices that come without an edge device, AMQP over TLS")
	flags.StringVar(&f.sim.DirectMQTT, "direct-mqtt", "127.0.0.1:0", "the same for MQTT over TLS")
	flags.StringVar(&f.sim.DirectWeb, "direct-web", "127.0.0.1:0", "the same for AMQP and MQTT over WebSocket")
	flags.StringVar(&f.sim.Workload, "workload", "", "`path` of the workload API's socket (default <state>/workload.sock)")
	flags.StringVar(&f.sim.Device, "device", "edge", "device `id`")
	flags.StringVar(&f.sim.Gateway, "gateway", "localhost", "host `name` by which modules reach the hub")
	flags.StringVar(&f.sim.GatewayPort, "gateway-port", "amqp",
		"whose `port` goes with that name in modules' environments: amqp, mqtt or web")
	flags.StringVar(&f.sim.IoTHub, "iothub", "", "host `name` of the IoT hub (default causeway.azure-devices.net)")
	flags.StringVar(&f.sim.Journal, "journal", "", "`file` that keeps upstream messages over a restart")
	flags.BoolVar(&f.sim.Hub.CountOnly, "count-only", false, "count upstream messages and keep none")
	flags.IntVar(&f.sim.Hub.KeepMessages, "keep", 100_000, "`number` of upstream messages that stay visible")
	flags.DurationVar(&f.sim.Hub.Reauth, "reauth", 5*time.Minute, "`time` between checks of connected clients' tokens")
	flags.DurationVar(&f.sim.Hub.AckTimeout, "ack-timeout", 30*time.Second,
		"`time` that an input message may stay unsettled")
	flags.DurationVar(&f.sim.Hub.SubscribeGrace, "subscribe-grace", 3*time.Second,
		"`time` from a subscription to methods to the calls that waited for it")
	flags.IntVar(&f.sim.Hub.Admission.Clients, "clients", 0,
		"`number` of clients that may be connected, 100 on a real edge hub; 0 for no limit")
	flags.IntVar(&f.sim.Hub.Admission.Connects, "connect-rate", 0,
		"`number` of identities that may connect in a second; 0 for no limit")
	flags.IntVar(&f.sim.Hub.Admission.Twins, "twin-rate", 0,
		"`number` of twin operations in a second; 0 for no limit")
	flags.BoolVar(&f.sim.Hub.Admission.Refuse, "throttle-refuses", false,
		"refuse what is beyond the two rates, as IoT Hub does; otherwise it waits its turn")
	flags.StringVar(&f.inputs, "inputs", "", "`in1,in2` starts single-module mode: the module target has these inputs")
	flags.StringVar(&f.sim.Inject, "inject", "127.0.0.1:53000",
		"listening `address` of POST /api/v1/messages in single-module mode; loopback only")
	flags.Var(&f.modules, "module", "`name=command` runs a program as a module; name alone makes it known")
	flags.Var(&f.leaves, "leaf",
		"`id[=key]` makes a leaf device known, or many: meter-[001-300]; the key derived:<module> is computed")
	flags.Var(&f.env, "env", "`NAME=value` for the programs of -module")
	flags.StringVar(&f.style, "style", sim.StyleWorkload,
		"environment `style` of those programs: workload or connectionstring")
	flags.DurationVar(&f.grace, "grace", 10*time.Second, "`time` from SIGTERM to SIGKILL for those programs")
	flags.BoolVar(&f.show, "messages", false, "print upstream messages as they arrive")
	flags.StringVar(&f.ready, "ready-file", "", "`path` of a JSON file that is written when everything is up")
	rest, err := parse(flags, args)
	if err != nil {
		return nil, err
	}
	if f.inputs != "" {
		f.sim.Inputs = strings.Split(f.inputs, ",")
	}
	if len(f.sim.Inputs) > 0 && len(rest) > 0 {
		return nil, misuse("single-module mode takes no deployment, got %q", rest)
	}
	if f.style != sim.StyleWorkload && f.style != sim.StyleConnectionString {
		return nil, misuse("-style is %q, it must be %s or %s", f.style, sim.StyleWorkload, sim.StyleConnectionString)
	}
	if f.sim.Hub.SubscribeGrace == 0 {
		f.sim.Hub.SubscribeGrace = -1 // zero means the default there
	}
	if len(rest) > 0 {
		if f.sim.Manifest, err = manifest.Read(rest[0], os.LookupEnv, rest[1:]...); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// programs reads -module and -leaf into the options.
func (f *upFlags) programs(stdout, stderr io.Writer) ([]*runner.Program, error) {
	var programs []*runner.Program
	for _, text := range f.modules {
		name, line, given := strings.Cut(text, "=")
		if name == "" {
			return nil, misuse("-module %q has no name", text)
		}
		f.sim.Modules = append(f.sim.Modules, name)
		if !given {
			continue
		}
		command, err := runner.Split(line)
		if err != nil || len(command) == 0 {
			return nil, misuse("-module %s: the command must not be empty or end inside a quote", name)
		}
		programs = append(programs, &runner.Program{
			Name: name, Command: command, Grace: f.grace, Stdout: stdout, Stderr: stderr,
			Log: func(line string) { fmt.Fprintln(stderr, "simulator:", line) },
		})
	}
	f.sim.Leaves = map[string]string{}
	for _, text := range f.leaves {
		id, key, _ := strings.Cut(text, "=")
		if id == "" {
			return nil, misuse("-leaf %q has no id", text)
		}
		f.sim.Leaves[id] = key
	}
	return programs, nil
}

func up(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parseUp(args, stderr)
	if err != nil {
		return err
	}
	out, errOut := &lockedWriter{w: stdout}, &lockedWriter{w: stderr}
	programs, err := f.programs(out, errOut)
	if err != nil {
		return err
	}
	if f.ready != "" {
		_ = os.Remove(f.ready) // one of an earlier run would mislead who waits for it
	}
	f.sim.Log = func(line string) { fmt.Fprintln(errOut, "simulator:", line) }
	e, err := sim.Start(ctx, f.sim)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(e.State(), readyFile)) }()
	fmt.Fprintf(errOut, "simulator: hub %s at %s, MQTT %s, WebSocket %s, control %s, workload %s, root %s\n",
		e.Hub().IoTHub(), e.Addr(), e.MQTTAddr(), e.WebAddr(), e.Control(), e.Workload(), e.CAFile())
	fmt.Fprintf(errOut, "simulator: portal %s\n", e.Portal())
	runErr := serve(ctx, f, e, programs, out)
	return errors.Join(runErr, e.Close())
}

// serve runs the modules and the live view until ctx ends, or a module cannot be started. One
// that ends is not the end of the others, or of the hub.
func serve(ctx context.Context, f *upFlags, e *sim.Edge, programs []*runner.Program, out io.Writer) error {
	viewing, stopViewing := context.WithCancel(context.Background())
	var view, modules sync.WaitGroup
	defer view.Wait()
	defer stopViewing() // the last words of the modules are still shown
	if url := e.Inject(); url != "" {
		fmt.Fprintf(out, "simulator: single-module mode; send messages to the module %s with\n  "+
			"curl -H 'Content-Type: application/json' -d '{\"inputName\":\"%s\",\"data\":\"hello world\"}' %s\n",
			inject.Target, f.sim.Inputs[0], url)
	}
	if f.show {
		since := e.Hub().Stats().Sequence
		view.Go(func() { watch(viewing, e.Hub(), since, out) })
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer modules.Wait()
	programs = f.running(programs)
	pids := newPids(programs)
	for _, p := range programs {
		if err := f.prepare(e, p); err != nil {
			cancel(err)
			break
		}
		modules.Go(func() {
			if err := p.Run(ctx, func(pid int) { pids.set(p.Name, pid) }); err != nil {
				cancel(err)
				pids.set(p.Name, 0)
			}
		})
	}
	if pids.await(ctx) {
		if err := announce(f, e, pids.all()); err != nil {
			cancel(err)
		}
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// running leaves out the programs of modules that the deployment wants stopped.
func (f *upFlags) running(programs []*runner.Program) []*runner.Program {
	return slices.DeleteFunc(programs, func(p *runner.Program) bool {
		m := f.deployed(p.Name)
		stopped := m != nil && m.Status == "stopped"
		if stopped {
			p.Log(p.Name + " is not started: its status in the deployment is stopped")
		}
		return stopped
	})
}

// deployed is a module of the deployment, or nil.
func (f *upFlags) deployed(name string) *manifest.Module {
	if f.sim.Manifest == nil {
		return nil
	}
	for i := range f.sim.Manifest.Modules {
		if m := &f.sim.Manifest.Modules[i]; m.Name == name {
			return m
		}
	}
	return nil
}

// prepare completes a program from the manifest and the simulator's environment.
func (f *upFlags) prepare(e *sim.Edge, p *runner.Program) error {
	p.Env = map[string]string{}
	if m := f.deployed(p.Name); m != nil {
		p.Policy = m.RestartPolicy
		maps.Copy(p.Env, m.Env)
	}
	for _, entry := range f.env {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			return misuse("-env %q must be NAME=value", entry)
		}
		p.Env[name] = value
	}
	env, err := e.Env(p.Name, f.style)
	if err != nil {
		return err
	}
	maps.Copy(p.Env, env)
	return nil
}

// announce writes the ready file in the state folder, and where it was asked for.
func announce(f *upFlags, e *sim.Edge, pids map[string]int) error {
	text, err := json.MarshalIndent(Ready{
		PID: os.Getpid(), State: e.State(), AMQP: e.Addr(), MQTT: e.MQTTAddr(), Web: e.WebAddr(),
		Gateway: e.Gateway(), IoTHub: e.Hub().IoTHub(), Device: e.Hub().Device(),
		Control: e.Control(), Portal: e.Portal(), Workload: e.Workload(), CA: e.CAFile(), Modules: pids,
		Service: e.Service(), ServiceAMQP: e.ServiceAMQP(), ServiceConnection: e.ServiceConnectionString(),
		Direct: e.Direct(), DirectMQTT: e.DirectMQTT(), DirectWeb: e.DirectWeb(),
		DirectConnection: e.DeviceConnectionString(), Inject: e.Inject(),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	for _, path := range []string{filepath.Join(e.State(), readyFile), f.ready} {
		if path == "" {
			continue
		}
		// Readers poll for the file, so it appears whole.
		temp := path + ".new"
		if err := os.WriteFile(temp, append(text, '\n'), 0o600); err != nil {
			return fmt.Errorf("write ready file: %w", err)
		}
		if err := os.Rename(temp, path); err != nil {
			return fmt.Errorf("write ready file: %w", err)
		}
	}
	return nil
}
