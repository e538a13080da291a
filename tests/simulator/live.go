package main

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/runner"
)

// maxShown bounds how much of a body one line shows, in bytes.
const maxShown = 2000

// watch prints upstream messages as they arrive, and says when it was too slow for some.
func watch(ctx context.Context, hub *edge.Hub, since uint64, out io.Writer) {
	for ctx.Err() == nil {
		list := hub.Messages(ctx, since, 1000, time.Minute)
		for i := range list {
			if missed := list[i].Sequence - since - 1; missed > 0 {
				fmt.Fprintf(out, "... %d messages were too many to show\n", missed)
			}
			since = list[i].Sequence
			m := &list[i].Message
			fmt.Fprintln(out, line(m.Enqueued, m.From, m.Output, m.Properties, m.Body))
		}
	}
}

// line is a message for people: time, sender and output, properties, body.
func line(at time.Time, from edge.Identity, output string, properties map[string]string, body []byte) string {
	var b strings.Builder
	b.WriteString(at.Local().Format("15:04:05.000 "))
	sender := from.Module
	if sender == "" {
		sender = from.Device + "/" // as the commands name a leaf device
	}
	b.WriteString(sender)
	if output != "" {
		b.WriteString("/" + output)
	}
	b.WriteString(" {")
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(name + "=" + properties[name])
	}
	b.WriteString("} ")
	b.WriteString(readable(body))
	return b.String()
}

// readable is the body on one line: text as it is, other bytes in hexadecimal.
func readable(body []byte) string {
	cut := ""
	if len(body) > maxShown {
		cut = fmt.Sprintf(" ... (%d bytes)", len(body))
		end := maxShown
		for end > maxShown-utf8.UTFMax && !utf8.RuneStart(body[end]) {
			end-- // a cut inside a character would make it look like binary
		}
		body = body[:end]
	}
	text := string(body)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
	}) {
		return fmt.Sprintf("%x", body) + cut
	}
	return strings.Join(strings.Fields(text), " ") + cut
}

// lockedWriter keeps lines of the live view and of modules whole.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// pids waits until every module has been started once.
type pids struct {
	mu      sync.Mutex
	byName  map[string]int
	missing int
	started chan struct{}
}

func newPids(programs []*runner.Program) *pids {
	p := &pids{byName: map[string]int{}, missing: len(programs), started: make(chan struct{})}
	if p.missing == 0 {
		close(p.started)
	}
	return p
}

func (p *pids) set(name string, pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.byName[name]; !known {
		if p.missing--; p.missing == 0 {
			close(p.started)
		}
	}
	p.byName[name] = pid
}

func (p *pids) all() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	copied := map[string]int{}
	for name, pid := range p.byName {
		copied[name] = pid
	}
	return copied
}

// await says whether all have been started before ctx ended.
func (p *pids) await(ctx context.Context) bool {
	select {
	case <-p.started:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
