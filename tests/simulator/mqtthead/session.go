package mqtthead

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// Keeper keeps the subscriptions of clients that connect without a clean session, by name
// and over a restart.
type Keeper interface {
	Load(name string, doc any) (bool, error)
	Save(name string, doc any) error
}

// maxSubscriptions bounds the filters of one client. An SDK uses five.
const maxSubscriptions = 100

// errSubscriptions is a client that subscribes to more than that.
var errSubscriptions = errors.New("over 100 subscriptions")

// subscription is a filter with the quality that was granted.
type subscription struct {
	Filter string `json:"filter"`
	QoS    byte   `json:"qos"`
	// Created is the first time: what was enqueued before does not match.
	Created time.Time `json:"created"`
}

// subscriptions are those of one client. The client's lock guards them.
type subscriptions struct {
	List []subscription `json:"subscriptions"`
	// Kept says that there is a session to come back to.
	Kept bool `json:"kept"`
}

func sessionName(id edge.Identity) string {
	return "mqtt-" + url.PathEscape(id.Device) + "+" + url.PathEscape(id.Module)
}

// add enters a filter, or changes the quality of one that is there.
func (s *subscriptions) add(filter string, qos byte, now time.Time) error {
	for i := range s.List {
		if s.List[i].Filter == filter {
			s.List[i].QoS = qos
			return nil
		}
	}
	if len(s.List) >= maxSubscriptions {
		return errSubscriptions
	}
	s.List = append(s.List, subscription{strings.Clone(filter), qos, now})
	return nil
}

func (s *subscriptions) remove(filter string) {
	s.List = slices.DeleteFunc(s.List, func(each subscription) bool { return each.Filter == filter })
}

// match returns the best quality that a filter grants the topic. Enqueued is zero for what
// is not a message.
func (s *subscriptions) match(topic string, enqueued time.Time) (qos byte, ok bool) {
	for _, each := range s.List {
		late := !enqueued.IsZero() && enqueued.Before(each.Created)
		if late || !matches(each.Filter, topic) {
			continue
		}
		qos, ok = max(qos, each.QoS), true
	}
	return qos, ok
}

// subscribes tells whether a filter stands for the hub's topic.
func (s *subscriptions) subscribes(topic edge.Topic) bool {
	return slices.ContainsFunc(s.List, func(each subscription) bool {
		t, ok := topicOf(each.Filter)
		return ok && t == topic
	})
}

// wantsResults tells whether answers of twin requests are sent: the hub knows exactly one
// filter for them.
func (s *subscriptions) wantsResults() (qos byte, ok bool) {
	for _, each := range s.List {
		if each.Filter == resultFilter {
			return each.QoS, true
		}
	}
	return 0, false
}

func (s *subscriptions) clone() subscriptions {
	return subscriptions{List: slices.Clone(s.List), Kept: s.Kept}
}
