package edge

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/route"
)

// MaxMessageBytes bounds one message: body, property names and values (256 KiB).
const MaxMessageBytes = 262144

// The conditions that Publish refuses with.
const (
	ConditionTooLarge  = "amqp:link:message-size-exceeded"
	ConditionThrottled = "com.microsoft:device-container-throttled"
	ConditionInternal  = "amqp:internal-error"
)

// ConditionNotAllowed is what a link is refused with whose identity may not have it.
const ConditionNotAllowed = "amqp:not-allowed"

// Publish implements Head. It keeps bodies and property maps, not the slice. As in the
// real hub the messages are taken one after another: those before a refused one stay
// stored, so that a client that sends the transfer again makes duplicates.
func (h *Hub) Publish(_ context.Context, from Identity, batch []Message) error {
	return h.publish(from, batch, h.routing.Load())
}

func (h *Hub) publish(from Identity, batch []Message, table *routing) error {
	now := h.opts.Now()
	for i := range batch {
		batch[i].From, batch[i].Enqueued = from, now
	}
	t := h.seen.note(from, now)
	if err := h.accept(table, batch, "", now); err != nil {
		return err
	}
	t.telemetry.Add(uint64(len(batch)))
	return nil
}

// accept checks, routes and stores. An empty source is that of the sender and output.
func (h *Hub) accept(table *routing, batch []Message, source string, now time.Time) error {
	run := storeRun{hub: h, table: table, now: now}
	fixed := source
	for i := range batch {
		m := &batch[i]
		size, err := check(m)
		if refusal := h.bodyFault(m); refusal != nil {
			err = refusal
		}
		if err == nil {
			if fixed == "" && (source == "" || m.Output != batch[i-1].Output) {
				source = sourceOf(m)
			}
			run.enter(source)
			err = run.store(m, size, len(batch)-i)
		}
		if err != nil {
			run.flush()
			h.counters.refused.Add(1)
			return err
		}
	}
	return run.flush()
}

// check returns a message's size, or why the hub does not take it.
func check(m *Message) (int64, error) {
	size := messageSize(m)
	if size > MaxMessageBytes {
		return 0, &Refusal{ConditionTooLarge, "message of " + strconv.FormatInt(size, 10) + " bytes is over 262144"}
	}
	if hasFoldedDuplicate(m.Properties) {
		return 0, &Refusal{ConditionInternal, "two properties differ only in case"}
	}
	return size, nil
}

// hasFoldedDuplicate finds two names that differ only in case.
func hasFoldedDuplicate(properties map[string]string) bool {
	if len(properties) < 2 {
		return false
	}
	if len(properties) > 8 {
		seen := make(map[string]struct{}, len(properties))
		for name := range properties {
			seen[strings.ToLower(name)] = struct{}{}
		}
		return len(seen) < len(properties)
	}
	var names [8]string
	n := 0
	for name := range properties {
		for _, other := range names[:n] {
			if len(other) == len(name) && strings.EqualFold(other, name) {
				return true
			}
		}
		names[n] = name
		n++
	}
	return false
}

// storeRun carries the messages of one transfer to their sinks. Messages for the cloud are
// gathered, so that its lock is taken once a transfer.
type storeRun struct {
	hub        *Hub
	table      *routing
	now        time.Time
	source     string
	candidates []*compiledRoute
	// all holds upstream messages; count those of the current source since enter.
	cloud  []upstreamEntry
	counts sourceCounts
}

// enter turns to another source.
func (r *storeRun) enter(source string) {
	if source == r.source {
		return
	}
	r.source, r.candidates = source, r.table.candidates(source)
}

// store takes one message; left is how many of the transfer there are with it.
func (r *storeRun) store(m *Message, size int64, left int) error {
	r.counts.add(r.source, 1)
	var seen *route.Message
	upstream, matched := false, false
	var inputs []route.Sink
	for _, c := range r.candidates {
		sink := c.parsed.Sink()
		if sink.Upstream && upstream || !sink.Upstream && contains(inputs, sink) {
			continue
		}
		if c.parsed.Conditional() {
			if seen == nil {
				seen = routeMessage(r.source, m)
			}
			if !c.parsed.Match(seen) {
				continue
			}
		}
		matched = true
		c.taken.Add(1)
		if sink.Upstream {
			upstream = true
			if r.cloud == nil {
				r.cloud = make([]upstreamEntry, 0, left)
			}
			r.cloud = append(r.cloud, upstreamEntry{
				priority: c.Priority,
				item:     queued{message: *m, size: size, source: r.source, expires: r.table.expires(c, r.now)},
			})
			continue
		}
		inputs = append(inputs, sink)
		if err := r.hub.enqueueInput(sink, c.Priority, queued{
			message: *m, size: size, expires: r.table.expires(c, r.now),
		}); err != nil {
			return err
		}
	}
	if !matched {
		r.hub.counters.noRoute.Add(1)
	}
	return nil
}

func contains(list []route.Sink, sink route.Sink) bool {
	for _, s := range list {
		if s == sink {
			return true
		}
	}
	return false
}

// flush hands the gathered messages to the cloud's queue.
func (r *storeRun) flush() error {
	r.hub.counters.count(&r.counts)
	if len(r.cloud) == 0 {
		return nil
	}
	err := r.hub.upstream.add(r.cloud, r.now)
	r.cloud = nil
	return err
}
