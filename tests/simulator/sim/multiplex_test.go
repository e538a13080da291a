package sim_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

func TestManyDevicesShareAConnection(t *testing.T) {
	t.Parallel()
	for name, dial := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, sim.Options{Leaves: map[string]string{"meter-[1-4]": ""}})
			s := dial(t, e)
			s.login("meter-3", "meter-1", "meter-4", "meter-2") // in any order
			own := s.begin()
			for n := 1; n <= 4; n++ {
				device := fmt.Sprintf("meter-%d", n)
				session := s.session // one for all, or one for each
				if n > 2 {
					session = s.begin()
				}
				sender, err := session.NewSender(bounded(t), "/devices/"+device+"/messages/events",
					&amqp.SenderOptions{Name: "telemetry-" + device})
				if err != nil {
					t.Fatal(err)
				}
				s.send(sender, device)
			}
			// A name is taken on its session, by links of either direction, and free on another.
			_, err := s.session.NewReceiver(bounded(t), "/devices/meter-1/messages/devicebound",
				&amqp.ReceiverOptions{Name: "telemetry-meter-1"})
			refused(t, "a name in use", err, "amqp:resource-locked")
			_, err = own.NewReceiver(bounded(t), "/devices/meter-1/messages/devicebound",
				&amqp.ReceiverOptions{Name: "telemetry-meter-1"})
			if err != nil {
				t.Error(err)
			}
			for i, m := range e.Hub().Messages(t.Context(), 0, 10, 0) {
				want := fmt.Sprintf("meter-%d", i+1)
				if m.Message.From != (edge.Identity{Device: want}) || string(m.Message.Body) != want || m.Message.Output != "" {
					t.Errorf("message %d is %s of %s", i, m.Message.Body, m.Message.From)
				}
			}
		})
	}
}

func TestARefusedDeviceHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	for name, dial := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, sim.Options{Leaves: map[string]string{"meter-[1-3]": ""}})
			h := e.Hub()
			if _, err := h.Register(edge.Entry{KnownIdentity: edge.KnownIdentity{Identity: edge.Identity{Device: "stranger"}}}); err != nil {
				t.Fatal(err)
			}
			s := dial(t, e)
			s.login("meter-1", "meter-2", "meter-3", "stranger")
			good := s.events("meter-1")
			if err := h.AddIdentity(edge.Identity{Device: "meter-2"}, "YW5vdGhlciBrZXk="); err != nil {
				t.Fatal(err)
			}
			if err := h.SetDisabled(edge.Identity{Device: "meter-3"}, true); err != nil {
				t.Fatal(err)
			}
			unknown, err := h.Sign(edge.Identity{Device: "meter-1"}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if status := s.put(strings.Replace(unknown, "meter-1", "nobody", 1)); status != 200 {
				t.Errorf("put-token of an unknown device: %d", status)
			}
			for why, device := range map[string]string{
				"another key": "meter-2", "disabled": "meter-3", "no child": "stranger",
				"unknown": "nobody", "no token": "never",
			} {
				_, err := s.tryEvents(device)
				refused(t, why, err, amqp.ErrCondNotAllowed)
			}
			s.send(good, "goes on")
			s.login("meter-2") // with its new key
			s.send(s.events("meter-2"), "is back")
			stats := h.IdentityStats()
			if got := stats["meter-2"]; got.Attaches != 2 || got.Refused != 1 || got.Connections != 1 || got.Telemetry != 1 {
				t.Errorf("got %+v", got)
			}
			if _, kept := stats["nobody"]; kept {
				t.Error("an unknown device is counted by its name")
			}
		})
	}
}

func TestWhatEndsADeviceEndsItsConnection(t *testing.T) {
	t.Parallel()
	victim := edge.Identity{Device: "meter-1"}
	ends := map[string]func(*testing.T, *shard, *amqp.Sender){
		"its last link is dropped": func(_ *testing.T, s *shard, last *amqp.Sender) { _ = last.Close(bounded(s.t)) },
		"its token expires":        func(_ *testing.T, s *shard, _ *amqp.Sender) { s.edge.Hub().ExpireTokens(&victim, true) },
		"its token is found expired": func(_ *testing.T, s *shard, _ *amqp.Sender) {
			s.edge.Hub().ExpireTokens(&victim, false)
		},
		"it gets another key": func(t *testing.T, s *shard, _ *amqp.Sender) {
			t.Helper()
			if err := s.edge.Hub().AddIdentity(victim, "YW5vdGhlciBrZXk="); err != nil {
				t.Error(err)
			}
		},
		"it is removed": func(t *testing.T, s *shard, _ *amqp.Sender) {
			t.Helper()
			if status, text := request(t, s.edge, "DELETE", "/identities?identity=meter-1/", ""); status != 200 {
				t.Errorf("%d %s", status, text)
			}
		},
		"it is disabled": func(t *testing.T, s *shard, _ *amqp.Sender) {
			t.Helper()
			if status, text := request(t, s.edge, "POST", "/identities", `{"device":"meter-1","disabled":true}`); status != 200 {
				t.Errorf("%d %s", status, text)
			}
		},
		"its connection is closed": func(t *testing.T, s *shard, _ *amqp.Sender) {
			t.Helper()
			if status, text := request(t, s.edge, "POST", "/connections/drop?identity=meter-1/&polite=true", ""); status != 200 {
				t.Errorf("%d %s", status, text)
			}
		},
		"it connects elsewhere": func(t *testing.T, s *shard, _ *amqp.Sender) {
			t.Helper()
			other := dialWebShard(t, s.edge)
			other.login("meter-1")
			other.send(other.events("meter-1"), "from elsewhere")
		},
	}
	for name, dial := range ways() {
		for why, end := range ends {
			t.Run(name+": "+why, func(t *testing.T) {
				t.Parallel()
				e := start(t, sim.Options{
					Leaves: map[string]string{"meter-[1-2]": ""}, Hub: edge.Options{Reauth: 20 * time.Millisecond},
				})
				s := dial(t, e)
				s.login("meter-1", "meter-2")
				last := s.events("meter-1")
				s.events("meter-2")
				end(t, s, last)
				s.closed(why)
				for deadline := bounded(t); e.Hub().Connected(edge.Identity{Device: "meter-2"}); {
					if deadline.Err() != nil {
						t.Fatal("the other device is still there")
					}
					runtime.Gosched()
				}
			})
		}
	}
}

func TestATokenIsRenewedOnTheConnection(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{
		Leaves: map[string]string{"meter-[1-2]": ""}, Hub: edge.Options{Reauth: 20 * time.Millisecond, TokenSkew: -1},
	})
	s := dialShard(t, e)
	s.login("meter-1")
	brief, err := e.Hub().Sign(edge.Identity{Device: "meter-2"}, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if status := s.put(brief); status != 200 {
		t.Fatal(status)
	}
	s.events("meter-1")
	sender := s.events("meter-2")
	s.login("meter-2")
	for begun := time.Now(); time.Since(begun) < 3200*time.Millisecond; {
		s.send(sender, "the first token has expired meanwhile")
	}
}

func TestOneClientTooManyOnAConnection(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{
		Leaves: map[string]string{"meter-[1-3]": ""}, Hub: edge.Options{Admission: edge.Admission{Clients: 2}},
	})
	s := dialShard(t, e)
	s.login("meter-1", "meter-2", "meter-3")
	var senders []*amqp.Sender
	for n := 1; n <= 3; n++ {
		senders = append(senders, s.events(fmt.Sprintf("meter-%d", n)))
	}
	properties := map[string]any{"com.microsoft:channel-correlation-id": "twin:1"}
	for _, node := range []string{"twin", "methods/devicebound", "messages/devicebound"} {
		for n, fits := range map[int]bool{2: true, 3: false} {
			_, err := s.session.NewReceiver(bounded(t), fmt.Sprintf("/devices/meter-%d/%s", n, node),
				&amqp.ReceiverOptions{Properties: properties})
			if fits && err != nil {
				t.Error(err)
			} else if !fits {
				refused(t, node, err, amqp.ErrCondInternalError)
			}
		}
	}
	for _, sender := range senders {
		s.send(sender, "all go on")
	}
}

func TestAttachesThatWaitHoldNobodyUp(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{
		Leaves: map[string]string{"meter-[1-6]": ""}, Hub: edge.Options{Admission: edge.Admission{Connects: 2}},
	})
	s := dialShard(t, e)
	s.login("meter-1", "meter-2", "meter-3", "meter-4")
	first := s.events("meter-1")
	s.events("meter-2")
	attached := make(chan error, 2)
	for _, device := range []string{"meter-3", "meter-4"} {
		go func() {
			_, err := s.tryEvents(device)
			attached <- err
		}()
	}
	for {
		s.send(first, "meanwhile")
		if len(attached) == 2 {
			break
		}
	}
	for range 2 {
		if err := <-attached; err != nil {
			t.Error(err)
		}
	}
	stats := e.Hub().Stats().Admission
	if stats.Connects.Total != 4 || stats.Throttled != 2 {
		t.Errorf("got %+v", stats)
	}
	if n := e.Hub().IdentityStats()["meter-1"].Telemetry; n < 2 {
		t.Errorf("%d messages in a second", n)
	}
}

func TestFaultsOfOneDeviceOnASharedConnection(t *testing.T) {
	t.Parallel()
	for name, dial := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, sim.Options{Leaves: map[string]string{"meter-[1-2]": ""}})
			fault := func(body string) {
				t.Helper()
				if status, text := request(t, e, "POST", "/faults", body); status != 200 {
					t.Fatalf("%d %s", status, text)
				}
			}
			s := dial(t, e)
			s.login("meter-1", "meter-2")
			fault(`{"identity":"meter-1/","count":2,"attach":{"description":"not now"}}`)
			for range 2 {
				_, err := s.tryEvents("meter-1")
				refused(t, "an attach", err, amqp.ErrCondNotAllowed)
			}
			one, two := s.events("meter-1"), s.events("meter-2")
			fault(`{"identity":"meter-1/","withhold":true}`)
			fault(`{"identity":"meter-1/","refuse":{"condition":"amqp:internal-error"}}`)
			fault(`{"identity":"meter-1/","drop":true}`)
			held, err := one.SendWithReceipt(bounded(t), amqp.NewMessage([]byte("held")), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := one.Send(bounded(t), amqp.NewMessage([]byte("refused")), nil); err == nil {
				t.Error("it was taken")
			}
			s.send(two, "fine")
			if err := one.Send(bounded(t), amqp.NewMessage([]byte("dropped")), nil); err == nil {
				t.Error("it was answered")
			}
			<-s.conn.Done()
			if _, err := held.Wait(bounded(t)); err == nil {
				t.Error("the disposition was not held")
			}
			var bodies []string
			for _, m := range e.Hub().Messages(t.Context(), 0, 10, 0) {
				bodies = append(bodies, string(m.Message.Body))
			}
			if got := strings.Join(bodies, " "); got != "held fine dropped" {
				t.Errorf("in the cloud: %s", got)
			}
		})
	}
}
