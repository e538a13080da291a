package amqphead_test

import (
	"errors"
	"testing"
	"time"

	amqp "github.com/Azure/go-amqp"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// sending logs the gateway in and opens its telemetry link.
func sending(t *testing.T) (*hub, *peer, *amqp.Sender) {
	t.Helper()
	h := newHub()
	p := login(t, serve(t, h, amqphead.Options{}), gatewayToken)
	return h, p, p.sender(gatewayEvents, nil)
}

// rejected checks that the message was rejected with the condition.
func rejected(t *testing.T, err error, condition amqp.ErrCond, description string) {
	t.Helper()
	var remote *amqp.Error
	if !errors.As(err, &remote) || remote.Condition != condition || remote.Description != description {
		t.Errorf("got %v, want %s %s", err, condition, description)
	}
}

func member(t *testing.T, m *amqp.Message) []byte {
	t.Helper()
	data, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEachSizeLimitHasItsOwnError(t *testing.T) {
	h, _, events := sending(t)
	rejected(t, events.Send(bounded(t), amqp.NewMessage(make([]byte, 600<<10)), nil),
		amqp.ErrCondNotAllowed, `"Invalid action performed"`)
	rejected(t, events.Send(bounded(t), amqp.NewMessage(make([]byte, 256<<10+1)), nil),
		amqp.ErrCondMessageSizeExceeded, `"message too large: 262145 bytes, at most 262144 are allowed"`)
	batch := &amqp.Message{Format: 0x80013700, Data: [][]byte{
		member(t, amqp.NewMessage([]byte("first"))), member(t, amqp.NewMessage(make([]byte, 256<<10+1))),
		member(t, amqp.NewMessage([]byte("last"))),
	}}
	if err := events.Send(bounded(t), batch, nil); err == nil {
		t.Error("the batch was accepted")
	}
	if got := h.messages(); len(got) != 1 || string(got[0].Body) != "first" {
		t.Errorf("stored %d messages", len(got))
	}
	if err := events.Send(bounded(t), amqp.NewMessage(make([]byte, 256<<10)), nil); err != nil {
		t.Errorf("the link did not stay open: %v", err)
	}
	if size := events.MaxMessageSize(); size != 1<<20 {
		t.Errorf("max-message-size %d", size)
	}
}

func TestWhatTheHubRefusesIsRejectedWithItsCondition(t *testing.T) {
	h, _, events := sending(t)
	cases := []struct {
		err         error
		condition   amqp.ErrCond
		description string
	}{
		{&edge.Refusal{Condition: "com.microsoft:device-container-throttled", Description: "storage full"},
			"com.microsoft:device-container-throttled", `"storage full"`},
		{&edge.Refusal{Condition: "amqp:unauthorized-access", Description: "no"}, amqp.ErrCondUnauthorizedAccess, `"no"`},
		{errors.New("a \"disk\" broke"), amqp.ErrCondInternalError, `"a \"disk\" broke"`},
	}
	for _, c := range cases {
		h.mu.Lock()
		h.refuse = c.err
		h.mu.Unlock()
		rejected(t, events.Send(bounded(t), amqp.NewMessage([]byte("x")), nil), c.condition, c.description)
	}
	rejected(t, events.Send(bounded(t), &amqp.Message{Value: "v"}, nil), amqp.ErrCondInternalError,
		`"body is not of data sections"`)
}

func TestTransfersAreStoredOneAtATimeAndAnsweredAfterwards(t *testing.T) {
	h, _, events := sending(t)
	hold := make(chan struct{})
	h.mu.Lock()
	h.hold = hold
	h.mu.Unlock()
	var receipts []amqp.SendReceipt
	for range 3 {
		r, err := events.SendWithReceipt(bounded(t), amqp.NewMessage([]byte("x")), nil)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	for range receipts {
		if len(h.published) != 0 {
			t.Fatal("stored before its turn")
		}
		hold <- struct{}{} // one Publish goes on
		next(t, h.published)
	}
	for _, r := range receipts {
		if state, err := r.Wait(bounded(t)); err != nil {
			t.Fatal(err)
		} else if _, ok := state.(*amqp.StateAccepted); !ok {
			t.Errorf("state %T", state)
		}
	}
}

func TestFaultsAreDoneToTransfers(t *testing.T) {
	h, p, events := sending(t)
	const delay = 50 * time.Millisecond
	h.inject(
		edge.Fault{Delay: delay},
		edge.Fault{Refuse: &edge.Refusal{Condition: "amqp:internal-error", Description: "on request"}},
		edge.Fault{Withhold: true},
		edge.Fault{},
		edge.Fault{Drop: true},
	)
	start := time.Now()
	if err := events.Send(bounded(t), amqp.NewMessage([]byte("delayed")), nil); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < delay {
		t.Errorf("answered after %s", d)
	}
	rejected(t, events.Send(bounded(t), amqp.NewMessage([]byte("refused")), nil), amqp.ErrCondInternalError, `"on request"`)
	withheld, err := events.SendWithReceipt(bounded(t), amqp.NewMessage([]byte("withheld")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Send(bounded(t), amqp.NewMessage([]byte("next")), nil); err != nil {
		t.Fatal(err)
	}
	if err := events.Send(bounded(t), amqp.NewMessage([]byte("dropped")), nil); err == nil {
		t.Error("the transfer was answered")
	}
	_ = p.closed()
	if _, err := withheld.Wait(bounded(t)); err == nil {
		t.Error("the withheld disposition came")
	}
	var bodies []string
	for _, m := range h.messages() {
		bodies = append(bodies, string(m.Body))
	}
	want := []string{"delayed", "withheld", "next", "dropped"}
	if len(bodies) != len(want) {
		t.Fatalf("stored %q", bodies)
	}
	for i := range want {
		if bodies[i] != want[i] {
			t.Errorf("stored %q", bodies)
		}
	}
}

func TestAThousandUnansweredTransfersUseTheCreditUp(t *testing.T) {
	h, _, events := sending(t)
	h.inject(make([]edge.Fault, 1000)...)
	for i := range h.faults {
		h.faults[i].Withhold = true
	}
	for range 1000 {
		if _, err := events.SendWithReceipt(bounded(t), amqp.NewMessage(nil), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		next(t, h.published)
	}
	done := make(chan error, 1)
	ctx := bounded(t)
	go func() { _, err := events.SendWithReceipt(ctx, amqp.NewMessage(nil), nil); done <- err }()
	select {
	case err := <-done:
		t.Errorf("one more was sent: %v", err)
	case <-time.After(50 * time.Millisecond): // that something does not happen takes time
	}
	_ = events.Close(bounded(t))
	<-done
}
