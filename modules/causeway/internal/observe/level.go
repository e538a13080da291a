package observe

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// Level is the log level, which may change while loggers are in use. The zero
// value is info. It is safe for concurrent use.
type Level struct{ aboveInfo atomic.Int32 }

// NewLevel returns a level of the given name, see [Level.Set].
func NewLevel(name string) (*Level, error) {
	l := new(Level)
	return l, l.Set(name)
}

// Set changes the level to verbose, debug, info, warning, error or fatal, the
// names of the IoT Edge runtime, in any case.
func (l *Level) Set(name string) error {
	var names []string
	for _, s := range severities() {
		if strings.EqualFold(name, s.name) {
			l.aboveInfo.Store(int32(s.level - zerolog.InfoLevel))
			return nil
		}
		names = append(names, s.name)
	}
	return fmt.Errorf("log level is %q, must be one of %s", name, strings.Join(names, ", "))
}

// String is the level's name.
func (l *Level) String() string { return severityOf(l.get()).name }

// Enabled reports whether events of a level are written; ask it before making
// costly fields.
func (l *Level) Enabled(level zerolog.Level) bool { return level >= l.get() }

// Sample implements zerolog.Sampler. It is where zerolog asks before it makes an
// event, so that what is not written costs next to nothing.
func (l *Level) Sample(level zerolog.Level) bool { return l.Enabled(level) }

func (l *Level) get() zerolog.Level {
	return zerolog.InfoLevel + zerolog.Level(l.aboveInfo.Load())
}

// severity is a level as the runtime prints it: syslog's number, three letters.
type severity struct {
	level  zerolog.Level
	name   string
	number byte
	short  string
}

// severities is the mapping of the runtime's own logger (edge-util Logger.cs).
func severities() [6]severity {
	return [...]severity{
		{zerolog.TraceLevel, "verbose", '7', "VRB"},
		{zerolog.DebugLevel, "debug", '7', "DBG"},
		{zerolog.InfoLevel, "info", '6', "INF"},
		{zerolog.WarnLevel, "warning", '4', "WRN"},
		{zerolog.ErrorLevel, "error", '3', "ERR"},
		{zerolog.FatalLevel, "fatal", '0', "FTL"},
	}
}

// severityOf treats zerolog's panic as fatal and its events without level as info.
func severityOf(level zerolog.Level) severity {
	all := severities()
	if level == zerolog.NoLevel {
		level = zerolog.InfoLevel
	}
	at := int(min(max(level, zerolog.TraceLevel), zerolog.FatalLevel) - zerolog.TraceLevel)
	return all[at]
}
