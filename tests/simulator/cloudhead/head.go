package cloudhead

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// Hub is what the head needs of the hub's core.
type Hub interface {
	// CheckService judges a service token for one of the hosts.
	CheckService(token string, hosts ...string) error
	// InjectCloudToDevice queues a message for a device.
	InjectCloudToDevice(device string, m edge.Message) error
	// Feedback waits for what became of messages and takes it.
	Feedback(ctx context.Context) []edge.FeedbackRecord
	// ReturnFeedback puts back what nobody has taken note of.
	ReturnFeedback(records []edge.FeedbackRecord)
}

const (
	// maxMessage is the max-message-size of links: 64 KiB is what a message to a device may
	// have, its properties included; the rest is for the encoding.
	maxMessage = 256 << 10
	// credit is what each sending client is granted.
	credit = 100
)

// Server is the head. Make it with New.
type Server struct {
	hub    Hub
	hosts  []string
	engine *amqp.Server
}

// New returns a head whose tokens may name any of the hosts. Nothing runs before Serve.
func New(hub Hub, hosts []string) *Server {
	s := &Server{hub: hub, hosts: hosts}
	s.engine = &amqp.Server{Handler: s, ContainerID: "IoTHubService", Plain: s.plain}
	return s
}

// plain judges <policy>@sas.root.<hub> with a token for a password, as some SDKs log in.
func (s *Server) plain(user, token string) error {
	if policy, _, _ := strings.Cut(user, "@"); policy != edge.PolicyName {
		return fmt.Errorf("user %.128q: %w: it must be %s@sas.root.<hub>", user, edge.ErrUnauthorized, edge.PolicyName)
	}
	return s.hub.CheckService(token, s.hosts...)
}

// Serve accepts connections of l, which speaks TLS already, until ctx ends. It returns
// when the last is gone.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return s.engine.Serve(ctx, l) }

// peer is one connection.
type peer struct {
	server *Server
	// ctx ends with the connection; running counts what has to end with it.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	admitted bool
	answers  *amqp.Link // of the last $cbs receiver
}

// Connected implements amqp.Handler.
func (s *Server) Connected(c *amqp.Conn) error {
	user, _ := c.Plain()
	p := &peer{server: s, admitted: user != ""}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	c.Owner = p
	return nil
}

// Disconnected implements amqp.Handler.
func (s *Server) Disconnected(c *amqp.Conn) {
	p := c.Owner.(*peer)
	p.cancel()
	p.running.Wait()
}

// Attach implements amqp.Handler.
func (s *Server) Attach(_ context.Context, l *amqp.Link) (amqp.Terms, error) {
	p := l.Conn().Owner.(*peer)
	node := strings.ToLower(strings.Trim(nodeOf(l.Address), "/"))
	if node == "$cbs" {
		return p.attachTokens(l), nil
	}
	p.mu.Lock()
	admitted := p.admitted
	p.mu.Unlock()
	switch {
	case !admitted:
		return amqp.Terms{}, &amqp.Error{Condition: amqp.CondUnauthorized, Description: "no valid token was put"}
	case node == "messages/devicebound" && l.ClientSends:
		return amqp.Terms{
			SenderMode: amqp.SenderMixed, MaxMessageSize: maxMessage, Credit: credit, Deliver: p.toDevice,
		}, nil
	case node == "messages/servicebound/feedback" && !l.ClientSends:
		return p.attachFeedback(l), nil
	}
	return amqp.Terms{}, &amqp.Error{
		Condition: amqp.CondNotFound, Description: fmt.Sprintf("there is no node %.256q", l.Address),
	}
}

// nodeOf takes scheme and host off an address.
func nodeOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		_, address, _ = strings.Cut(rest, "/")
	}
	return address
}
