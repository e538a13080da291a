package hub

import (
	"context"
	"errors"
	"testing"

	"github.com/Azure/go-amqp"
)

// scriptedNode plays both links of a $cbs node.
type scriptedNode struct {
	sendErr, receiveErr error
	sent                *amqp.Message
	stale               int // answers to others, before the right one
	status              int32
}

func (n *scriptedNode) Send(_ context.Context, m *amqp.Message, _ *amqp.SendOptions) error {
	n.sent = m
	return n.sendErr
}

func (n *scriptedNode) Receive(context.Context, *amqp.ReceiveOptions) (*amqp.Message, error) {
	if n.receiveErr != nil {
		return nil, n.receiveErr
	}
	answer := &amqp.Message{Properties: &amqp.MessageProperties{CorrelationID: n.sent.Properties.MessageID},
		ApplicationProperties: map[string]any{"status-code": n.status, "status-description": "because"}}
	if n.stale > 0 {
		n.stale--
		answer.Properties.CorrelationID = "put-token-0"
	}
	return answer, nil
}

func (n *scriptedNode) AcceptMessage(context.Context, *amqp.Message) error { return nil }

// The other identities of a connection are still served when its node has ended, but nobody new
// can come, and no token be renewed: the connection has to be made anew.
func TestAConnectionWhoseNodeForTokensHasEndedIsMadeAnew(t *testing.T) {
	detached := &amqp.LinkError{RemoteErr: &amqp.Error{Condition: "amqp:link:detach-forced"}}
	cases := []struct {
		name  string
		node  scriptedNode
		ended bool
		want  error // nil for none
	}{
		{"a token is taken", scriptedNode{status: 200, stale: 2}, false, nil},
		{"a token is refused", scriptedNode{status: 401}, false, errPutToken},
		{"no answer in time", scriptedNode{receiveErr: context.DeadlineExceeded}, false, context.DeadlineExceeded},
		{"the hub has ended the sending link", scriptedNode{sendErr: detached}, true, errNodeEnded},
		{"the hub has ended the receiving link", scriptedNode{receiveErr: detached}, true, errNodeEnded},
		{"the hub has ended the session", scriptedNode{receiveErr: &amqp.SessionError{}}, true, errNodeEnded},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			node := newNode(&c.node, &c.node)
			err := node.put(t.Context(), "hub/devices/d", "token")
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("put: %v, want %v", err, c.want)
			}
			now, cancel := context.WithCancel(t.Context())
			cancel()
			select {
			case <-node.ended:
				if !c.ended {
					t.Error("the connection is given up")
				}
				if err := node.watch(t.Context()); !errors.Is(err, errNodeEnded) {
					t.Errorf("watch: %v", err)
				}
			default:
				if c.ended {
					t.Error("the connection is kept")
				}
				if err := node.watch(now); !errors.Is(err, context.Canceled) {
					t.Errorf("watch: %v", err)
				}
			}
		})
	}
}
