package config

import (
	"cmp"
	"slices"
	"strings"
)

// MaxFaults is how many faults are reported of one document: enough to work
// with, and far from the 32 KiB of reported properties.
const MaxFaults = 20

// Fault is one thing wrong with a document.
type Fault struct {
	// Pointer is the JSON Pointer (RFC 6901) of the value; empty is the whole.
	Pointer string `json:"pointer"`
	// Message says what the value is and what is allowed.
	Message string `json:"message"`
}

// String is one line for a log or a status description.
func (f Fault) String() string {
	if f.Pointer == "" {
		return f.Message
	}
	return f.Pointer + ": " + f.Message
}

// Pointer makes a JSON Pointer of the keys, escaping them.
func Pointer(keys ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, key := range keys {
		b.WriteByte('/')
		b.WriteString(escape.Replace(key))
	}
	return b.String()
}

// SortFaults returns the faults in order of pointer and message, each once, and
// at most MaxFaults of them.
func SortFaults(faults []Fault) []Fault {
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
	faults = slices.Compact(faults)
	return faults[:min(len(faults), MaxFaults)]
}
