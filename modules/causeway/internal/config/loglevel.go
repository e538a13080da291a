package config

import (
	"fmt"
	"slices"
	"strings"
)

// LogLevels returns the names of the log levels, the most talkative first. They
// are those of the IoT Edge runtime.
func LogLevels() []string {
	return []string{"verbose", "debug", "info", "warning", "error", "fatal"}
}

// parseLogLevel returns one of LogLevels. The runtime's modules also take
// "information", and cut what follows a comma, a filter for programs in Rust.
func parseLogLevel(text string) (string, bool) {
	name, _, _ := strings.Cut(text, ",")
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "information" {
		name = "info"
	}
	return name, slices.Contains(LogLevels(), name)
}

// chooseLogLevel is strict with our own variable; an unknown RuntimeLogLevel means
// info, as in the runtime's own modules.
func chooseLogLevel(own, runtime string) (string, error) {
	if own != "" {
		level, ok := parseLogLevel(own)
		if !ok {
			return "", fmt.Errorf("CAUSEWAY_LOG_LEVEL is %q, must be one of %s", own, strings.Join(LogLevels(), ", "))
		}
		return level, nil
	}
	if level, ok := parseLogLevel(runtime); ok {
		return level, nil
	}
	return "info", nil
}
