package edge

import (
	"slices"
	"time"
)

// DefaultPriority is the priority of a route that names none: below 0 to 9.
const DefaultPriority = 2_000_000_000

// queued is a message that waits to be forwarded.
type queued struct {
	message Message
	// size is messageSize of the message, kept because counting it takes time.
	size   int64
	source string
	// expires is zero for never.
	expires time.Time
}

// lane holds the messages of one priority, oldest first.
type lane struct {
	priority uint32
	items    []queued
	head     int
}

// queue is a bounded store-and-forward queue: lower priority numbers leave first, equal
// ones in order of arrival. Its user locks it.
type queue struct {
	// lanes is ordered by priority; there are at most eleven.
	lanes       []lane
	count       int
	bytes       int64
	maxMessages int
	maxBytes    int64
}

func (q *queue) limit(messages int, bytes int64) { q.maxMessages, q.maxBytes = messages, bytes }

func (q *queue) len() int { return q.count }

// push says whether there was room.
func (q *queue) push(priority uint32, item queued) bool {
	if q.count >= q.maxMessages || q.bytes+item.size > q.maxBytes {
		return false
	}
	i, found := slices.BinarySearchFunc(q.lanes, priority, func(l lane, p uint32) int {
		switch {
		case l.priority < p:
			return -1
		case l.priority > p:
			return 1
		}
		return 0
	})
	if !found {
		q.lanes = slices.Insert(q.lanes, i, lane{priority: priority})
	}
	q.lanes[i].items = append(q.lanes[i].items, item)
	q.count++
	q.bytes += item.size
	return true
}

// pop takes the next message that has not expired, and those that had before it.
func (q *queue) pop(now time.Time) (item queued, expired []queued, ok bool) {
	for i := range q.lanes {
		l := &q.lanes[i]
		for l.head < len(l.items) {
			item := l.items[l.head]
			l.items[l.head] = queued{}
			if l.head++; l.head == len(l.items) {
				l.items, l.head = l.items[:0], 0
			} else if l.head > 1024 && l.head > len(l.items)/2 {
				l.items, l.head = slices.Delete(l.items, 0, l.head), 0
			}
			q.count--
			q.bytes -= item.size
			if item.expired(now) {
				expired = append(expired, item)
				continue
			}
			return item, expired, true
		}
	}
	return queued{}, expired, false
}

// expire takes out all that have expired, and says when the next one will: the zero time
// for never. It looks at every message, so it is for queues of a few.
func (q *queue) expire(now time.Time) (expired []queued, next time.Time) {
	for i := range q.lanes {
		l := &q.lanes[i]
		left := slices.DeleteFunc(l.items[l.head:], func(item queued) bool {
			if !item.expired(now) {
				if !item.expires.IsZero() && (next.IsZero() || item.expires.Before(next)) {
					next = item.expires
				}
				return false
			}
			expired = append(expired, item)
			q.count--
			q.bytes -= item.size
			return true
		})
		if l.items = l.items[:l.head+len(left)]; len(left) == 0 {
			l.items, l.head = l.items[:0], 0
		}
	}
	return expired, next
}

func (item *queued) expired(now time.Time) bool {
	return !item.expires.IsZero() && !now.Before(item.expires)
}

// messageSize counts as the real hub does: body, and names and values of all properties.
func messageSize(m *Message) int64 {
	size := len(m.Body)
	for name, value := range m.Properties {
		size += len(name) + len(value)
	}
	for name, value := range m.System {
		size += len(name) + len(value)
	}
	return int64(size)
}
