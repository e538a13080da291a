package amqphead_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// detachedWith checks the condition and text of a refused attach.
func detachedWith(t *testing.T, err error, condition amqp.ErrCond, text string) {
	t.Helper()
	var link *amqp.LinkError
	var remote *amqp.Error
	if errors.As(err, &link) {
		remote = link.RemoteErr
	}
	if remote == nil && !errors.As(err, &remote) {
		t.Fatalf("got %v", err)
	}
	if remote.Condition != condition || !strings.Contains(remote.Description, text) {
		t.Errorf("got %v", err)
	}
}

func TestPutTokenIsJudgedByItsFormOnly(t *testing.T) {
	p := connect(t, serve(t, newHub(), amqphead.Options{}))
	good := func() *amqp.Message {
		return &amqp.Message{Value: gatewayToken, ApplicationProperties: map[string]any{
			"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "n"}}
	}
	cases := []struct {
		name   string
		change func(*amqp.Message)
		status int32
	}{
		{"as it should be", func(*amqp.Message) {}, 200},
		{"the other token type in capitals", func(m *amqp.Message) {
			m.ApplicationProperties["type"] = "AZURE-DEVICES.NET:SASTOKEN"
		}, 200},
		{"forged, which CBS does not see", func(m *amqp.Message) { m.Value = gatewayToken + ":forged" }, 200},
		{"another operation", func(m *amqp.Message) { m.ApplicationProperties["operation"] = "delete-token" }, 400},
		{"no type", func(m *amqp.Message) { delete(m.ApplicationProperties, "type") }, 400},
		{"another type", func(m *amqp.Message) { m.ApplicationProperties["type"] = "jwt" }, 400},
		{"no name", func(m *amqp.Message) { delete(m.ApplicationProperties, "name") }, 400},
		{"no token", func(m *amqp.Message) { m.Value = "" }, 400},
		{"token in a data section", func(m *amqp.Message) { m.Value, m.Data = nil, [][]byte{[]byte(gatewayToken)} }, 400},
		{"malformed token", func(m *amqp.Message) { m.Value = "nonsense" }, 400},
	}
	for _, c := range cases {
		m := good()
		c.change(m)
		if status, text := p.request(m); status != c.status || status == 200 && text != "OK" {
			t.Errorf("%s: %d %s", c.name, status, text)
		}
	}
}

func TestAnIdentityIsVerifiedAtItsFirstLink(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken+":forged", "token:leaf")
	_, err := p.session.NewSender(bounded(t), gatewayEvents, nil)
	detachedWith(t, err, amqp.ErrCondNotAllowed, "Unable to open Events link as the connection could not be authenticated")
	_, err = p.session.NewReceiver(bounded(t), "/devices/stranger/twin", nil)
	detachedWith(t, err, amqp.ErrCondNotAllowed, "could not be authenticated")
	_, err = p.session.NewSender(bounded(t), "/devices/leaf/nowhere", nil)
	detachedWith(t, err, amqp.ErrCondNotAllowed, "Matching template not found")
	_, err = p.session.NewReceiver(bounded(t), "/devices/leaf/messages/events", nil)
	detachedWith(t, err, amqp.ErrCondNotAllowed, "Matching template not found")
	// None of that has harmed the others on the connection, and a better token helps.
	p.sender("/devices/leaf/messages/events", nil)
	p.put(gatewayToken)
	p.sender(gatewayEvents, nil)
	if h.session(gateway) == nil || h.session(edge.Identity{Device: "leaf"}) == nil {
		t.Error("not both are present")
	}
}

func TestTheHubsOwnRefusalAtAttachIsPassedOn(t *testing.T) {
	h := refusingHub{newHub()}
	p := login(t, serveHead(t, h, amqphead.Options{}), gatewayToken)
	_, err := p.session.NewSender(bounded(t), gatewayEvents, nil)
	detachedWith(t, err, amqp.ErrCondUnauthorizedAccess, "disabled")
}

type refusingHub struct{ *hub }

func (refusingHub) Authenticate(edge.Identity, string) error {
	return &edge.Refusal{Condition: "amqp:unauthorized-access", Description: "disabled"}
}

func TestSASLPlainNamesTheOneIdentityOfTheConnection(t *testing.T) {
	addr := serve(t, newHub(), amqphead.Options{IoTHub: "hub.azure-devices.net"})
	dial := func(user, token string) (*amqp.Conn, error) {
		return amqp.Dial(bounded(t), "amqp://"+addr, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain(user, token)})
	}
	for user, token := range map[string]string{
		"edge 1/modules/gw@sas.hub": gatewayToken + ":forged", "edge 1@sas.hub": gatewayToken, "nobody": gatewayToken,
		"edge 1/what/gw@hub": gatewayToken, "@hub": "token:",
		"edge 1/modules/gw@sas.other": gatewayToken,
	} {
		if c, err := dial(user, token); err == nil {
			_ = c.Close()
			t.Errorf("%s was let in", user)
		}
	}
	c, err := dial("edge 1/modules/gw@hub", gatewayToken)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := c.NewSession(bounded(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewSender(bounded(t), gatewayEvents, nil); err != nil {
		t.Error(err)
	}
	_, err = s.NewSender(bounded(t), "$cbs", nil)
	detachedWith(t, err, amqp.ErrCondNotAllowed, "Matching template not found")
	_, err = s.NewSender(bounded(t), "/devices/leaf/messages/events", nil)
	detachedWith(t, err, amqp.ErrCondNotAllowed, "could not be authenticated")
}

func TestSASLAnonymousIsAsGoodAsNone(t *testing.T) {
	addr := serve(t, newHub(), amqphead.Options{})
	c, err := amqp.Dial(bounded(t), "amqp://"+addr, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSettleModesAreEchoedByQualityOfService(t *testing.T) {
	p := login(t, serve(t, newHub(), amqphead.Options{}), gatewayToken, "token:leaf")
	// The refused sender is detached by the client and must not be the last link.
	p.receiver(gatewayEvents, &amqp.ReceiverOptions{SettlementMode: amqp.ReceiverSettleModeFirst.Ptr()})
	_, err := p.session.NewSender(bounded(t), gatewayEvents,
		&amqp.SenderOptions{SettlementMode: amqp.SenderSettleModeUnsettled.Ptr()})
	if err == nil {
		t.Error("a telemetry sender in the mode unsettled was not told mixed")
	}
	p.sender("/devices/leaf/twin", &amqp.SenderOptions{SettlementMode: amqp.SenderSettleModeSettled.Ptr()})
	p.receiver("/devices/leaf/messages/devicebound",
		&amqp.ReceiverOptions{SettlementMode: amqp.ReceiverSettleModeSecond.Ptr()})
}

func TestTheNewestConnectionOfAnIdentityClosesTheOlder(t *testing.T) {
	h := newHub()
	addr := serve(t, h, amqphead.Options{})
	older := login(t, addr, gatewayToken, "token:leaf")
	older.sender(gatewayEvents, nil)
	older.sender("/devices/leaf/messages/events", nil)
	newer := login(t, addr, gatewayToken)
	newer.sender(gatewayEvents, nil)
	newer.receiver(gatewayTwin, &amqp.ReceiverOptions{Properties: pairOf("twin:1")})
	var remote *amqp.Error
	if err := older.closed(); errors.As(err, &remote) {
		t.Errorf("the close carried %v", remote)
	}
	for range 2 { // both identities of the older connection leave
		next(t, h.left)
	}
	if h.session(gateway) == nil || h.session(edge.Identity{Device: "leaf"}) != nil {
		t.Error("the wrong ones are present")
	}
	if !h.subscribed(gateway, edge.TopicDesired) {
		t.Error("the older connection took the newer one's subscription away")
	}
}

func TestTheLastLinkOfAnIdentityEndsTheConnectionForAll(t *testing.T) {
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken, "token:leaf")
	p.sender(gatewayEvents, nil)
	leaf := p.sender("/devices/leaf/messages/events", nil)
	calls := p.receiver("/devices/leaf/methods/devicebound", &amqp.ReceiverOptions{Properties: pairOf("methods:1")})
	if err := calls.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "unsubscribed", func() bool { return !h.subscribed(edge.Identity{Device: "leaf"}, edge.TopicMethods) })
	if h.session(edge.Identity{Device: "leaf"}) == nil {
		t.Fatal("the leaf left with a link open")
	}
	if err := leaf.Close(bounded(t)); err != nil && p.conn.Err() == nil {
		t.Logf("close: %v", err)
	}
	_ = p.closed()
	next(t, h.left)
	next(t, h.left)
}

func TestATokenThatNoLongerHoldsEndsTheConnection(t *testing.T) {
	h := newHub()
	h.reauth = time.Millisecond
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	p.sender(gatewayEvents, nil)
	h.mu.Lock()
	h.revoked[gateway] = true
	h.mu.Unlock()
	_ = p.closed()
}

func TestCloseWaitsForItsConnections(t *testing.T) {
	h := newHub()
	srv := amqphead.New(h, amqphead.Options{})
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(context.Background(), l) }()
	p := login(t, l.Addr().String(), gatewayToken)
	p.sender(gatewayEvents, nil)
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	next(t, h.left)
	if err := p.closed(); err == nil || !strings.Contains(err.Error(), "Server busy") {
		t.Errorf("closed with %v", err)
	}
}
