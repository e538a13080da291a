package sim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

// tell sends from the cloud and returns the message's id.
func tell(t *testing.T, e *sim.Edge, device, query string) string {
	t.Helper()
	status, text := request(t, e, "POST", "/devices/"+device+"/messages/devicebound?"+query, "for "+device)
	var answer struct {
		MessageID string `json:"messageId"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 || answer.MessageID == "" {
		t.Fatalf("%d %s", status, text)
	}
	return answer.MessageID
}

// end waits for what becomes of a message.
func end(t *testing.T, e *sim.Edge, id string) string {
	t.Helper()
	for since := uint64(0); ; {
		list := e.Hub().Ends(bounded(t), since, 20*time.Second)
		if len(list) == 0 {
			t.Fatalf("nothing became of %s", id)
		}
		for _, one := range list {
			if since = one.Sequence; one.MessageID == id {
				return one.Status
			}
		}
	}
}

func TestDevicesOfOneConnectionSettleInTwoPhases(t *testing.T) {
	t.Parallel()
	for name, dial := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const devices = 20
			e := start(t, sim.Options{
				Leaves: map[string]string{"meter-[1-20]": ""}, Hub: edge.Options{RetryDelay: time.Millisecond},
			})
			s := dial(t, e)
			var receivers []*amqp.Receiver
			for n := 1; n <= devices; n++ {
				device := fmt.Sprintf("meter-%d", n)
				s.login(device)
				receivers = append(receivers, s.devicebound(device))
			}
			ids := map[string]string{}
			for n := 1; n <= devices; n++ {
				device := fmt.Sprintf("meter-%d", n)
				ids[device] = tell(t, e, device, "a=b&%24.mid=id-"+device)
			}
			for i, r := range receivers {
				device := fmt.Sprintf("meter-%d", i+1)
				m, err := r.Receive(bounded(t), nil)
				if err != nil {
					t.Fatal(err)
				}
				if string(m.GetData()) != "for "+device || *m.Properties.To != "/devices/"+device ||
					m.Properties.MessageID != "id-"+device || m.ApplicationProperties["a"] != "b" || len(m.ApplicationProperties) != 1 {
					t.Errorf("%s got %s %+v %v", device, m.GetData(), m.Properties, m.ApplicationProperties)
				}
				want := edge.FeedbackSuccess
				if i%2 == 1 {
					want, err = edge.FeedbackRejected, r.RejectMessage(bounded(t), m, nil)
				} else {
					err = r.AcceptMessage(bounded(t), m)
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := end(t, e, ids[device]); got != want {
					t.Errorf("%s: %s", device, got)
				}
			}
			if got := e.Hub().IdentityStats()["meter-2"]; got.Rejected != 1 || got.Completed != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAnAbandonedMessageComesTenTimes(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Leaves: map[string]string{"leaf": ""}, Hub: edge.Options{RetryDelay: time.Millisecond}})
	s := dialShard(t, e)
	s.login("leaf")
	s.events("leaf")
	r := s.devicebound("leaf")
	id, last := tell(t, e, "leaf", ""), tell(t, e, "leaf", "")
	for n := range 10 {
		m, err := r.Receive(bounded(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Annotations["iothub-deliverycount"]; got != uint8(n) || m.Properties.MessageID != id {
			t.Errorf("delivery %d: %v of %v", n, got, m.Properties.MessageID)
		}
		if err := r.ReleaseMessage(bounded(t), m); err != nil {
			t.Fatal(err)
		}
	}
	if got := end(t, e, id); got != edge.FeedbackDeliveryCount {
		t.Error(got)
	}
	if m := receive(t, r); m.Properties.MessageID != last {
		t.Errorf("then came %v", m.Properties.MessageID)
	}
	if got := e.Hub().IdentityStats()["leaf"]; got.Abandoned != 10 {
		t.Errorf("got %+v", got)
	}
}

func TestMessagesWaitForADeviceThatListens(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Leaves: map[string]string{"leaf": ""}})
	s := dialShard(t, e)
	s.login("leaf")
	s.events("leaf") // present, and not listening
	brief, kept := tell(t, e, "leaf", "%24.ttl=1ms"), tell(t, e, "leaf", "%24.ttl=1m")
	if got := end(t, e, brief); got != edge.FeedbackExpired {
		t.Error(got)
	}
	m, err := s.devicebound("leaf").Receive(bounded(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Properties.MessageID != kept || m.Properties.AbsoluteExpiryTime == nil {
		t.Errorf("got %+v", m.Properties)
	}
	// What is not settled when the connection ends comes again.
	if err := s.conn.Close(); err != nil {
		t.Fatal(err)
	}
	s = dialShard(t, e)
	s.login("leaf")
	if again := receive(t, s.devicebound("leaf")); again.Properties.MessageID != kept {
		t.Errorf("then came %v", again.Properties.MessageID)
	}
	if got := end(t, e, kept); got != edge.FeedbackSuccess {
		t.Error(got)
	}
	if status, text := request(t, e, "POST", "/devices/leaf/messages/devicebound?%24.ttl=soon", "x"); status != 400 ||
		!strings.Contains(text, "$.ttl") {
		t.Errorf("%d %s", status, text)
	}
}
