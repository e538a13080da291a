package edge

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/route"
)

// Cloud is the IoT hub itself as clients meet it that connect without an edge device. It
// implements Head with the twins, methods and messages of a Hub, and differs in who may
// come: any registered device, child of the edge device or not, with its own token or with
// one that a policy has signed. What is sent to it takes no route. Make it with NewCloud.
type Cloud struct {
	*Hub
	hosts   []string
	routing *routing
}

var _ Head = (*Cloud)(nil)

// NewCloud returns the IoT hub behind an edge hub. Beside its own name it goes by hosts.
func NewCloud(h *Hub, hosts []string) (*Cloud, error) {
	everything, err := route.Parse("FROM /* INTO $upstream")
	if err != nil {
		return nil, fmt.Errorf("cloud: %w", err)
	}
	all := compiledRoute{Route: Route{Priority: DefaultPriority}, parsed: everything, taken: new(atomic.Uint64)}
	return &Cloud{Hub: h, hosts: hosts, routing: &routing{routes: []compiledRoute{all}}}, nil
}

// Connect implements Head: the edge hub's limit of clients is not the cloud's.
func (c *Cloud) Connect(id Identity, s Session) (leave func()) { return c.connect(id, s, true) }

// Publish implements Head: everything reaches the cloud, which this is.
func (c *Cloud) Publish(_ context.Context, from Identity, batch []Message) error {
	return c.publish(from, batch, c.routing)
}

// CheckToken implements Head. The signature is looked at here, unlike by an edge hub. A
// token for the hub as a whole is that of Identity{}.
func (c *Cloud) CheckToken(text string) (Identity, time.Time, error) {
	t, err := c.parse(text)
	if err == nil && t.id == (Identity{}) {
		err = c.signedByPolicy(t, PolicyName, PolicyDevice)
	} else if err == nil {
		err = c.authenticate(t.id, text)
	}
	if err != nil {
		return Identity{}, time.Time{}, err
	}
	c.tallyOf(t.id).tokens.Add(1)
	return t.id, t.expires, nil
}

// parse reads a token for a device, a module, or the hub.
func (c *Cloud) parse(text string) (*token, error) {
	t, err := parseSignature(text)
	if err != nil {
		return nil, err
	}
	if host, err := url.QueryUnescape(t.raw); err == nil && !strings.Contains(host, "/") && t.policy != "" {
		t.host = host
	} else if err := t.readAudience(); err != nil {
		return nil, err
	}
	if !strings.EqualFold(t.host, c.opts.IoTHub) && !namesOne(t.host, c.hosts) {
		return nil, fmt.Errorf("%w: audience host %q is not %q", ErrUnauthorized, t.host, c.opts.IoTHub)
	}
	return t, c.fresh(t, text)
}

// Authenticate implements Head. Errors wrap ErrUnauthorized.
func (c *Cloud) Authenticate(id Identity, text string) error {
	return c.counted(id, c.authenticate(id, text))
}

// AuthenticateCertificate is that of the Hub without its scope.
func (c *Cloud) AuthenticateCertificate(id Identity, chain []*x509.Certificate) error {
	return c.counted(id, c.authenticateCertificate(id, chain, false))
}

func (c *Cloud) authenticate(id Identity, text string) error {
	t, err := c.parse(text)
	if err != nil {
		return err
	}
	if t.policy == "" {
		return c.judge(id, t, text, false)
	}
	if err := c.signedByPolicy(t, PolicyName, PolicyDevice); err != nil {
		return err
	}
	if t.id != (Identity{}) && !t.speaksFor(id) {
		return fmt.Errorf("%w: the token of %s does not speak for %s", ErrUnauthorized, t.id, id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.enabled(id, false); err != nil {
		return err
	}
	c.tokens[id] = text
	return nil
}
