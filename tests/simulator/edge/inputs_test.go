package edge_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

const toInput = `FROM /messages/modules/m/outputs/o INTO BrokeredEndpoint("/modules/n/inputs/in")`

// inputHub has a client on module n that listens to inputs.
func inputHub(t *testing.T, opts edge.Options) (*edge.Hub, *client) {
	t.Helper()
	h := newHub(t, opts)
	setRoutes(t, h, toInput)
	c := newClient()
	h.Connect(module("n"), c)
	h.Subscribe(module("n"), edge.TopicInputs)
	return h, c
}

func TestInputsAreDeliveredOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, c := inputHub(t, edge.Options{})
		publish(t, h, module("m"), body("1"), body("2"))
		first := <-c.inputs
		if string(first.Message.Body) != "1" || first.Message.Input != "in" || first.Message.System["connectionModuleId"] != "m" {
			t.Fatalf("got %+v", first.Message)
		}
		synctest.Wait()
		if len(c.inputs) != 0 {
			t.Fatal("the second came before the first was settled")
		}
		first.Settle(edge.Accepted)
		first.Settle(edge.Lost) // late words count for nothing
		second := <-c.inputs
		second.Settle(edge.Accepted)
		if string(second.Message.Body) != "2" || second.Message.System["deliveryCount"] != "0" {
			t.Fatalf("got %+v", second.Message)
		}
		synctest.Wait()
		if s := h.Stats().Inputs; s.Accepted != 2 || s.Retried != 0 {
			t.Fatalf("stats %+v", s)
		}
	})
}

func TestOutcomesDecideAboutRedelivery(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		outcome edge.Outcome
		silent  bool
		again   bool
		after   time.Duration
	}{
		{"rejected is dropped", edge.Rejected, false, false, 0},
		{"released is dropped", edge.Released, false, false, 0},
		{"modified comes again after the acknowledgement time", edge.Modified, false, true, 30 * time.Second},
		{"silence comes again after the acknowledgement time", 0, true, true, 30 * time.Second},
		{"lost comes again after the retry delay", edge.Lost, false, true, time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, n := inputHub(t, edge.Options{})
				publish(t, h, module("m"), body("1"), body("2"))
				begun := time.Now()
				first := <-n.inputs
				if !c.silent {
					first.Settle(c.outcome)
				}
				next := <-n.inputs
				want := "2"
				if c.again {
					want = "1"
				}
				if string(next.Message.Body) != want || time.Since(begun) != c.after {
					t.Fatalf("%s came after %v", next.Message.Body, time.Since(begun))
				}
				if c.again && next.Message.System["deliveryCount"] != "1" {
					t.Fatalf("count %s", next.Message.System["deliveryCount"])
				}
				next.Settle(edge.Accepted)
			})
		})
	}
}

// parting is a client that leaves with the outcome.
type parting struct {
	*client
	outcome edge.Outcome
	leave   func()
}

func (p *parting) Input(d edge.Delivery) {
	d.Settle(p.outcome)
	p.leave()
}

func TestAnOutcomeCountsWhenTheSessionEndsAtOnceAfter(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[edge.Outcome]string{
		edge.Accepted: "2", edge.Rejected: "2", edge.Released: "2", edge.Modified: "1", edge.Lost: "1",
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub(t, edge.Options{})
			setRoutes(t, h, toInput)
			p := &parting{client: newClient(), outcome: outcome}
			p.leave = h.Connect(module("n"), p)
			h.Subscribe(module("n"), edge.TopicInputs)
			publish(t, h, module("m"), body("1"), body("2"))
			synctest.Wait()
			next := newClient()
			h.Connect(module("n"), next)
			h.Subscribe(module("n"), edge.TopicInputs)
			d := <-next.inputs
			if d.Settle(edge.Accepted); string(d.Message.Body) != want {
				t.Errorf("after outcome %d came %s, want %s", outcome, d.Message.Body, want)
			}
		})
	}
}

func TestInputsWaitForASubscriberAndSurviveItsLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, edge.Options{})
		setRoutes(t, h, toInput)
		publish(t, h, module("m"), body("1"))
		c := newClient()
		leave := h.Connect(module("n"), c)
		synctest.Wait()
		if len(c.inputs) != 0 {
			t.Fatal("delivered without a subscription")
		}
		h.Subscribe(module("n"), edge.TopicInputs)
		<-c.inputs
		leave()
		again := newClient()
		h.Connect(module("n"), again)
		h.Subscribe(module("n"), edge.TopicInputs)
		d := <-again.inputs
		d.Settle(edge.Accepted)
		synctest.Wait()
		if got := h.Presences(); len(got) != 1 || got[0].Waiting != 0 {
			t.Fatalf("presences %+v", got)
		}
	})
}

func TestInputsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, edge.Options{})
		err := h.SetRoutes([]edge.Route{{Name: "r", Text: toInput, Priority: edge.DefaultPriority, TimeToLive: time.Minute}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, h, module("m"), body("1"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := h.Stats(); s.Expired != 1 {
			t.Fatalf("stats %+v", s)
		}
	})
}

func TestInjectedInputsNeedAKnownModule(t *testing.T) {
	t.Parallel()
	h, c := inputHub(t, edge.Options{})
	if err := h.InjectInput("n", "x", edge.Message{Body: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	d := <-c.inputs
	d.Settle(edge.Accepted)
	if d.Message.Input != "x" || d.Message.From.Module != "simulator" {
		t.Fatalf("got %+v", d.Message)
	}
	for _, target := range []string{"", "stranger"} {
		if err := h.InjectInput(target, "x", edge.Message{}); err == nil {
			t.Errorf("%q was taken", target)
		}
	}
}

func TestMessagesFromTheCloudReachALeafDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, edge.Options{})
		leaf := edge.Identity{Device: "leaf"}
		if err := h.AddIdentity(leaf, ""); err != nil {
			t.Fatal(err)
		}
		c := newClient()
		h.Connect(leaf, c)
		h.Subscribe(leaf, edge.TopicC2D)
		if err := h.InjectCloudToDevice("leaf", edge.Message{Body: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		first := <-c.inputs
		first.Settle(edge.Released)
		again := <-c.inputs
		again.Settle(edge.Accepted)
		if string(again.Message.Body) != "1" {
			t.Fatalf("an abandoned message did not come again: %+v", again.Message)
		}
		if err := h.InjectCloudToDevice("stranger", edge.Message{}); !errors.Is(err, edge.ErrUnknownIdentity) {
			t.Fatalf("got %v", err)
		}
	})
}
