package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Exit codes.
const (
	// ExitOK: everything was decoded, or came true.
	ExitOK = 0
	// ExitFailed: data could not be decoded, a test failed, or a file was not there.
	ExitFailed = 1
	// ExitUsage: the command line is wrong, a codec or an option unknown.
	ExitUsage = 2
)

// Options are what the command line is made of.
type Options struct {
	// Registry holds the built-in codecs.
	Registry *codec.Registry
	// Loader reads plugins; nil where there are none.
	Loader Loader
	// Transform puts stages, a listener's transform, around a codec; nil where there are
	// none. Faults are *codec.OptionError.
	Transform func(stages json.RawMessage, inner codec.Codec) (codec.Codec, error)
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
	// Color has explain write colours.
	Color bool
	// Data is the gateway's data directory.
	Data string
}

// errFailed ends a command whose output has already told what is wrong.
var errFailed = errors.New("not everything was decoded")

// usageError is a fault of the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// command is one subcommand.
type command struct {
	name, args, about string
	run               func(*call) error
}

// call is one invocation of a command.
type call struct {
	ctx   context.Context //nolint:containedctx // the life of the invocation
	opts  Options
	flags *flag.FlagSet
	args  []string
	out   *json.Encoder
}

// commands are the subcommands in the order of the help.
func commands() []command {
	return []command{
		{"decode", "-codec NAME [input...]", "decode bytes; JSON lines of what they mean", decode},
		{"encode", "-codec NAME -command NAME [-payload JSON] [input...]", "the bytes of a command to a device", encode},
		{"frame", "-frame JSON | -codec NAME [input...]", "cut bytes into frames, or wrap them", frames},
		{"explain", "-codec NAME [input...]", "name the byte ranges of frames", explain},
		{"identify", "[input...]", "guess which codec bytes belong to", guess},
		{"codec", "list | test | bench | new ...", "list, test, measure and begin codecs", group(codecCommands)},
		{"devices", "list | put | remove | export | import ...", "the gateway's own list of devices", group(deviceCommands)},
	}
}

func codecCommands() []command {
	return []command{
		{"codec list", "", "the names of the built-in codecs", list},
		{"codec test", "-codec NAME [-update] [case.txtar | folder ...]", "play case files, and a plugin's examples", test},
		{"codec bench", "-codec NAME [-seconds N] [@case.txtar | input...]", "measure decoding", bench},
		{"codec new", "KIND NAME", "begin a codec: files with an example that passes", create},
	}
}

// help lists the commands, a line each, with those of main.
func help() string {
	var b strings.Builder
	line := func(name, about string) { fmt.Fprintf(&b, "  causeway %-14s %s\n", name, about) }
	line("run", "serve, also without a command")
	line("health", "exit 0 when the gateway on this host is alive")
	line("version", "print the version")
	all := commands()
	const groups = 2 // the last ones stand for those
	for _, c := range slices.Concat(all[:len(all)-groups], codecCommands(), deviceCommands()) {
		line(c.name, c.about)
	}
	return b.String()
}

// Run carries out the command that the arguments name (os.Args without the program)
// and returns the exit code.
func Run(ctx context.Context, args []string, opts Options) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	if name == "help" || name == "-h" || name == "--help" {
		fmt.Fprint(opts.Stdout, help())
		return ExitOK
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(opts.Stderr, "causeway: unknown command %q, known are\n%s", name, help())
		return ExitUsage
	}
	return carry(ctx, commands()[i], args[1:], opts)
}

// carry runs one command and makes an exit code of its error.
func carry(ctx context.Context, c command, args []string, opts Options) int {
	one := &call{ctx: ctx, opts: opts, args: args, out: json.NewEncoder(opts.Stdout)}
	one.out.SetEscapeHTML(false)
	one.flags = flag.NewFlagSet(c.name, flag.ContinueOnError)
	one.flags.SetOutput(opts.Stderr)
	one.flags.Usage = func() {
		fmt.Fprintf(opts.Stderr, "usage: causeway %s %s\n%s\n", c.name, c.args, c.about)
		one.flags.PrintDefaults()
	}
	err := c.run(one)
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, flag.ErrHelp) {
		return ExitOK
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		if usage.text != "" { // the flags have told already
			fmt.Fprintf(opts.Stderr, "causeway: %s: %s\n", c.name, usage.text)
		}
		return ExitUsage
	}
	if !errors.Is(err, errFailed) {
		fmt.Fprintf(opts.Stderr, "causeway: %s: %v\n", c.name, err)
	}
	return ExitFailed
}

// parse reads the flags, which may also stand behind the arguments.
func (c *call) parse() error {
	var rest []string
	args := c.args
	for {
		if err := c.flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return err
		} else if err != nil {
			return &usageError{}
		}
		if c.flags.NArg() == 0 {
			break
		}
		if n := len(args) - c.flags.NArg(); n > 0 && args[n-1] == "--" {
			rest = append(rest, c.flags.Args()...)
			break
		}
		rest = append(rest, c.flags.Arg(0))
		args = c.flags.Args()[1:]
	}
	c.args = rest
	return nil
}

// put writes one line of JSON.
func (c *call) put(v any) error {
	if err := c.out.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// group carries out what stands behind a word that has several commands.
func group(commands func() []command) func(*call) error {
	return func(c *call) error {
		var known []string
		for _, sub := range commands() {
			word := strings.TrimPrefix(sub.name, c.flags.Name()+" ")
			known = append(known, word)
			if len(c.args) == 0 || c.args[0] != word {
				continue
			}
			if code := carry(c.ctx, sub, c.args[1:], c.opts); code == ExitUsage {
				return &usageError{}
			} else if code != ExitOK {
				return errFailed
			}
			return nil
		}
		return usagef("known are %s", strings.Join(known, ", "))
	}
}

func list(c *call) error {
	if err := c.parse(); err != nil {
		return err
	}
	for _, name := range c.opts.Registry.Names() {
		if err := c.put(map[string]string{"codec": name}); err != nil {
			return err
		}
	}
	return nil
}

// Terminal tells whether a file is a terminal, to people's best knowledge: a character
// device.
func Terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
