package edge_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

var leaf = edge.Identity{Device: "leaf"}

// leafHub has a leaf device that listens to the cloud when listen says so.
func leafHub(t *testing.T, listen bool) (*edge.Hub, *client) {
	t.Helper()
	h := newHub(t, edge.Options{})
	if err := h.AddIdentity(leaf, ""); err != nil {
		t.Fatal(err)
	}
	c := newClient()
	h.Connect(leaf, c)
	if listen {
		h.Subscribe(leaf, edge.TopicC2D)
	}
	return h, c
}

func toLeaf(id, ack string) edge.Message {
	return edge.Message{
		Body: []byte(id), System: map[string]string{"messageId": id}, Properties: map[string]string{"iothub-ack": ack},
	}
}

func TestWhatBecomesOfAMessageIsReportedWhenAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, ack string
		outcomes  []edge.Outcome
		status    string
	}{
		{"accepted", "full", []edge.Outcome{edge.Accepted}, edge.FeedbackSuccess},
		{"accepted, asked for success", "positive", []edge.Outcome{edge.Accepted}, edge.FeedbackSuccess},
		{"accepted, asked for failure", "negative", []edge.Outcome{edge.Accepted}, ""},
		{"accepted, not asked", "", []edge.Outcome{edge.Accepted}, ""},
		{"rejected", "negative", []edge.Outcome{edge.Rejected}, edge.FeedbackRejected},
		{"rejected, asked for success", "positive", []edge.Outcome{edge.Rejected}, ""},
		{"released once", "full", []edge.Outcome{edge.Released, edge.Accepted}, edge.FeedbackSuccess},
		{"released ten times", "full", make([]edge.Outcome, 10), edge.FeedbackDeliveryCount},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, device := leafHub(t, true)
				if len(c.outcomes) == 10 {
					for i := range c.outcomes {
						c.outcomes[i] = edge.Released
					}
				}
				if err := h.InjectCloudToDevice("leaf", toLeaf("1", c.ack)); err != nil {
					t.Fatal(err)
				}
				for i, outcome := range c.outcomes {
					d := <-device.inputs
					if d.Message.System["deliveryCount"] != strconv.Itoa(i) {
						t.Fatalf("delivery %d says %v", i, d.Message.System)
					}
					d.Settle(outcome)
				}
				synctest.Wait()
				if c.status == "" {
					// What comes later is the next message's.
					if err := h.InjectCloudToDevice("leaf", toLeaf("2", "full")); err != nil {
						t.Fatal(err)
					}
					(<-device.inputs).Settle(edge.Rejected)
					if got := h.Feedback(t.Context()); len(got) != 1 || got[0].MessageID != "2" {
						t.Fatalf("got %+v", got)
					}
					return
				}
				got := h.Feedback(t.Context())
				if len(got) != 1 || got[0].Status != c.status || got[0].MessageID != "1" || got[0].Device != "leaf" {
					t.Fatalf("got %+v", got)
				}
				h.ReturnFeedback(got)
				if again := h.Feedback(t.Context()); len(again) != 1 || again[0] != got[0] {
					t.Fatalf("returned, then got %+v", again)
				}
			})
		})
	}
}

func TestMessagesWaitInTheCloudWhileTheLinkIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, device := leafHub(t, true)
		h.CutCloud()
		if err := h.InjectCloudToDevice("leaf", toLeaf("1", "")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(device.inputs) != 0 {
			t.Fatal("a message passed the cut link")
		}
		if err := h.RestoreCloud(); err != nil {
			t.Fatal(err)
		}
		(<-device.inputs).Settle(edge.Accepted)
	})
}

func TestAMessageExpiresBehindOneThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, device := leafHub(t, false)
		for id, life := range map[string]time.Duration{"1": time.Minute, "2": time.Second, "3": time.Minute} {
			m := toLeaf(id, "full")
			m.System["absolute-expiry-time"] = time.Now().Add(life).Format(time.RFC3339Nano)
			if err := h.InjectCloudToDevice("leaf", m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		begun := time.Now()
		if got := h.Feedback(t.Context()); len(got) != 1 || got[0].MessageID != "2" || time.Since(begun) != time.Second {
			t.Fatalf("got %+v after %v", got, time.Since(begun))
		}
		h.Subscribe(leaf, edge.TopicC2D)
		for range 2 {
			(<-device.inputs).Settle(edge.Accepted)
		}
	})
}

func TestMessagesToADeviceExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := leafHub(t, false)
		soon := toLeaf("soon", "full")
		soon.System["absolute-expiry-time"] = time.Now().Add(time.Minute).Format(time.RFC3339Nano)
		for _, m := range []edge.Message{toLeaf("first", "full"), soon, toLeaf("last", "full")} {
			if err := h.InjectCloudToDevice("leaf", m); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		got := h.Feedback(t.Context())
		if len(got) != 3 {
			t.Fatalf("got %+v", got)
		}
		for _, r := range got {
			if r.Status != edge.FeedbackExpired {
				t.Errorf("got %+v", r)
			}
		}
	})
}

func TestADevicesQueueInTheCloudIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := leafHub(t, false)
		var err error
		taken := 0
		for ; err == nil && taken < 100; taken++ {
			err = h.InjectCloudToDevice("leaf", toLeaf("x", ""))
			synctest.Wait()
		}
		var refusal *edge.Refusal
		// One is on its way to the device, so it waits no more.
		if !errors.As(err, &refusal) || refusal.Condition != edge.ConditionQueueFull || taken != 52 {
			t.Fatalf("after %d: %v", taken, err)
		}
		err = h.InjectCloudToDevice("leaf", edge.Message{Body: make([]byte, 64<<10+1)})
		if !errors.As(err, &refusal) || refusal.Condition != edge.ConditionTooLarge {
			t.Fatalf("too large: %v", err)
		}
	})
}

func TestARemovedDevicesMessagesArePurged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := leafHub(t, false)
		for _, id := range []string{"1", "2"} { // one is on its way, one in the queue
			if err := h.InjectCloudToDevice("leaf", toLeaf(id, "full")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := h.Unregister(leaf, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := h.Feedback(t.Context())
		if len(got) != 2 || got[0].Status != edge.FeedbackPurged || got[1].Status != edge.FeedbackPurged {
			t.Fatalf("got %+v", got)
		}
		if err := h.AddIdentity(leaf, ""); err != nil {
			t.Fatal(err)
		}
		again := newClient()
		h.Connect(leaf, again)
		h.Subscribe(leaf, edge.TopicC2D)
		synctest.Wait()
		if len(again.inputs) != 0 {
			t.Fatal("the new device got the old one's message")
		}
		if err := h.InjectCloudToDevice("leaf", toLeaf("3", "")); err != nil {
			t.Fatal(err)
		}
		if d := <-again.inputs; string(d.Message.Body) != "3" {
			t.Fatalf("got %s", d.Message.Body)
		} else {
			d.Settle(edge.Accepted)
		}
	})
}
