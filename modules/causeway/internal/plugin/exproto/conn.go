package exproto

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	pb "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto/exprotov1"
)

const (
	// maxHeld bounds what a handler may ask for between two outcomes of a link, each
	// thing with its overhead.
	maxHeld  = 1 << 20
	overhead = 256
	// maxTopics bounds the subscriptions of a link.
	maxTopics = 64
)

// conn is what the handler's calls leave for the dialogue of a link.
type conn struct {
	id string

	mu       sync.Mutex
	device   string // once it is authenticated
	interval time.Duration
	topics   map[string]bool

	// Since the last outcome:
	identity codec.Identity
	bytes    []byte
	messages []*pb.PublishRequest
	close    bool
	held     int
}

// hold makes room for something of that size.
func (c *conn) hold(size int) bool {
	if c.held+size+overhead > maxHeld {
		return false
	}
	c.held += size + overhead
	return true
}

// collect moves what was asked for into the outcome.
func (c *conn) collect(out *codec.Outcome, o options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Identity = c.identity
	for _, m := range c.messages {
		message(out.Add(), m, o.ContentType)
	}
	if o.Ack == "reply" {
		out.Reply = c.bytes
	} else {
		out.Ack = c.bytes
	}
	if c.close {
		out.Close = "closed-by-handler"
	}
	c.identity, c.bytes, c.messages, c.held = codec.Identity{}, nil, nil, 0
}

// message makes a message of what was published.
func message(to *codec.Message, m *pb.PublishRequest, contentType string) {
	to.Body, to.ContentType = m.GetPayload(), contentType
	if contentType == "" && utf8.Valid(to.Body) && json.Valid(to.Body) {
		to.ContentType = "application/json"
	}
	if to.ContentType == "application/json" {
		to.ContentEncoding = "utf-8"
	}
	to.Set("topic", m.GetTopic())
}

// keepalive is how long the device may be silent, zero for as long as it likes.
func (c *conn) keepalive() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interval
}

// subscribed tells whether the handler asked for the topic, and what it asked for.
func (c *conn) subscribed(topic string) (bool, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	filters := slices.Sorted(maps.Keys(c.topics))
	return slices.ContainsFunc(filters, func(filter string) bool { return covers(filter, topic) }), filters
}

// covers tells whether a topic is one of those that a filter of MQTT names.
func covers(filter, topic string) bool {
	names := strings.Split(topic, "/")
	for i, level := range strings.Split(filter, "/") {
		if level == "#" {
			return true
		}
		if i == len(names) || level != "+" && level != names[i] {
			return false
		}
	}
	return len(names) == strings.Count(filter, "/")+1
}
