package edge_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// spool remembers what waits.
type spool struct {
	waiting []edge.Waiting
	fail    error
}

func (s *spool) Push(messages []edge.Waiting) error {
	s.waiting = append(s.waiting, messages...)
	return s.fail
}

func (s *spool) Clear() error {
	s.waiting = nil
	return s.fail
}

func TestWhatWaitsForTheCloudIsSpooledUntilItHasLeft(t *testing.T) {
	t.Parallel()
	s := &spool{}
	h := newHub(t, edge.Options{Spool: s})
	setRoutes(t, h, "FROM /* INTO $upstream")
	publish(t, h, module("m"), body("1"))
	if len(s.waiting) != 0 {
		t.Fatalf("with the link there: %+v", s.waiting)
	}
	h.CutCloud()
	publish(t, h, module("m"), body("2"), body("3"))
	if len(s.waiting) != 2 || string(s.waiting[1].Message.Body) != "3" || s.waiting[1].Priority != edge.DefaultPriority {
		t.Fatalf("with the link cut: %+v", s.waiting)
	}
	left := slices.Clone(s.waiting)
	if err := h.RestoreCloud(); err != nil || len(s.waiting) != 0 {
		t.Fatalf("with the link back: %+v %v", s.waiting, err)
	}

	// Another run finds them: the more urgent first, the expired not at all.
	left[1].Priority = 0
	left = append(left, edge.Waiting{Message: body("4"), Expires: time.Now().Add(-time.Second)})
	s.waiting = left
	again := newHub(t, edge.Options{Spool: s})
	if err := again.Requeue(left); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range again.Messages(t.Context(), 0, 10, 0) {
		got = append(got, string(m.Message.Body))
	}
	if !slices.Equal(got, []string{"3", "2"}) || len(s.waiting) != 0 {
		t.Fatalf("after a restart: %v, %+v", got, s.waiting)
	}
}

func TestASpoolThatFailsRefusesTheMessage(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{Spool: &spool{fail: errors.New("disk")}})
	setRoutes(t, h, "FROM /* INTO $upstream")
	h.CutCloud()
	if err := h.Publish(t.Context(), module("m"), []edge.Message{body("1")}); err == nil {
		t.Fatal("the message was taken")
	}
}

func TestMoreThanTheQueueHoldsIsNotRequeued(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{QueueMessages: 1})
	if err := h.Requeue([]edge.Waiting{{Message: body("1")}, {Message: body("2")}}); err == nil {
		t.Fatal("both were taken")
	}
}
