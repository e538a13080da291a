package rig

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Contender is one gateway of the comparison.
type Contender struct {
	// Name is how it is asked for, Label how it is shown.
	Name, Label string
	// Peer marks what others wrote: that it reorders is reported, and fails nothing.
	Peer bool
	// Standard tells that it reaches the hub on AMQP's own port only.
	Standard bool
	// module is the library whose version is told, program the file to start.
	module, program string
	command         func(*Programs, Setup) (Command, error)
}

// Setup is what a gateway is started with.
type Setup struct {
	Sink *Sink
	// Dir is an empty folder, or that of its last run.
	Dir string
	// Listen are the addresses that it has to listen on; all but Causeway take one.
	Listen []string
}

// Programs is the folder of the programs, and that of the Node gateway.
type Programs struct{ Bin, Node string }

// Causeway is the name of the contender that everything is about.
const Causeway = "causeway"

// Contenders are all gateways, in the order of the tables.
func Contenders() []Contender {
	return []Contender{
		{Name: Causeway, Label: "Causeway", program: "causeway", command: causeway},
		{
			Name: "prototype-plain", Label: "prototype, without TLS", program: "bench-prototype",
			module: goAMQP, command: prototype("plain"),
		},
		{Name: "prototype", Label: "prototype", program: "bench-prototype", module: goAMQP, command: prototype("tls")},
		{
			Name: "prototype-json", Label: "prototype, JSON validity", program: "bench-prototype",
			module: goAMQP, command: prototype("tls", "-valid"),
		},
		{Name: "naive", Label: "naive Go", program: "bench-naive", module: goAMQP, command: naive},
		{
			Name: "benthos", Label: "Benthos amqp_1", Peer: true, program: "bench-benthos",
			module: "github.com/benthosdev/benthos/v4", command: benthos,
		},
		{Name: "node", Label: "Node SDK", Peer: true, Standard: true, command: node},
	}
}

const goAMQP = "github.com/Azure/go-amqp"

// Find returns the contender of a name.
func Find(name string) (Contender, error) {
	var names []string
	for _, c := range Contenders() {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Contender{}, fmt.Errorf("contender %q must be one of %s", name, strings.Join(names, ", "))
}

// Version states what would run; an error says why it cannot.
func (c *Contender) Version(ctx context.Context, p Programs) (string, error) {
	if c.program == "" {
		return nodeVersion(ctx, p.Node)
	}
	path := filepath.Join(p.Bin, c.program)
	if c.module == "" {
		out, err := exec.CommandContext(ctx, path, "version").Output()
		if err != nil {
			return "", fmt.Errorf("version of %s: %w", c.Name, err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", c.Name, err)
	}
	for _, m := range info.Deps {
		if m.Path == c.module {
			return filepath.Base(strings.TrimSuffix(m.Path, "/v4")) + " " + m.Version, nil
		}
	}
	return "", fmt.Errorf("version of %s: %s is not in it", c.Name, c.module)
}

// Start starts the gateway. It may not listen yet.
func (c *Contender) Start(ctx context.Context, p Programs, s Setup) (*Process, error) {
	command, err := c.command(&p, s)
	if err != nil {
		return nil, err
	}
	command.Name, command.Dir = c.Name, s.Dir
	command.Log = filepath.Join(s.Dir, "log")
	if command.Path == "" {
		command.Path = filepath.Join(p.Bin, c.program)
	}
	return command.Start(ctx)
}

// causeway is started as the IoT Edge simulator of Microsoft starts a module. Its
// configuration is the default one: only paths and ports are this machine's.
func causeway(_ *Programs, s Setup) (Command, error) {
	return Command{Env: []string{
		"EdgeHubConnectionString=" + s.Sink.ConnectionString, "EdgeModuleCACertificateFile=" + s.Sink.CA,
		"CAUSEWAY_DATA_DIR=" + filepath.Join(s.Dir, "data"), "CAUSEWAY_METRICS_ADDR=127.0.0.1:0",
	}}, nil
}

func prototype(transport string, more ...string) func(*Programs, Setup) (Command, error) {
	return func(_ *Programs, s Setup) (Command, error) {
		hub := "amqps://" + s.Sink.Secure
		if transport == "plain" {
			hub = "amqp://" + s.Sink.Plain
		}
		return Command{Args: append([]string{"-listen", s.Listen[0], "-ca", s.Sink.CA, "-hub", hub}, more...)}, nil
	}
}

func naive(_ *Programs, s Setup) (Command, error) {
	return Command{Args: []string{"-listen", s.Listen[0], "-ca", s.Sink.CA, "-hub", "amqps://" + s.Sink.Secure}}, nil
}

// benthos runs a stream from lines to AMQP 1.0. JSON is valid YAML.
func benthos(_ *Programs, s Setup) (Command, error) {
	text, err := json.Marshal(map[string]any{
		"http":   map[string]any{"enabled": false},
		"logger": map[string]any{"level": "WARN"},
		"input": map[string]any{"socket_server": map[string]any{
			"network": "tcp", "address": s.Listen[0], "codec": "lines",
		}},
		"output": map[string]any{"amqp_1": map[string]any{
			"urls": []string{"amqps://" + s.Sink.Secure}, "target_address": "bench", "max_in_flight": 1000,
			"tls": map[string]any{"enabled": true, "root_cas_file": s.Sink.CA},
		}},
	})
	if err != nil {
		return Command{}, fmt.Errorf("configuration of benthos: %w", err)
	}
	file := filepath.Join(s.Dir, "benthos.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return Command{}, fmt.Errorf("configuration of benthos: %w", err)
	}
	return Command{Args: []string{"-c", file}}, nil
}

func node(p *Programs, s Setup) (Command, error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return Command{}, err
	}
	return Command{
		Path: path, Args: []string{filepath.Join(p.Node, "gateway.js"), s.Listen[0]},
		Env: []string{
			"EdgeHubConnectionString=" + s.Sink.ConnectionString, "EdgeModuleCACertificateFile=" + s.Sink.CA,
			"NODE_ENV=production",
		},
	}, nil
}

// nodeVersion is that of the SDK as installed, and of Node.
func nodeVersion(ctx context.Context, dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "azure-iot-device", "package.json"))
	if err != nil {
		return "", fmt.Errorf("version of node: %w", err)
	}
	var sdk struct{ Version string }
	if err := json.Unmarshal(text, &sdk); err != nil {
		return "", fmt.Errorf("version of node: %w", err)
	}
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("version of node: %w", err)
	}
	return "azure-iot-device " + sdk.Version + ", node " + strings.TrimSpace(string(out)), nil
}
