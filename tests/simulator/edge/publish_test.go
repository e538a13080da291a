package edge_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func TestMessagesTakeTheirRoutes(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	setRoutes(t, h, `FROM /messages/modules/m/outputs/o WHERE kind = 'alarm' INTO $upstream`,
		`FROM /messages/modules/m/* INTO $upstream`)
	publish(t, h, module("m"), edge.Message{Output: "o", Body: []byte("1"), Properties: map[string]string{"kind": "alarm"}},
		edge.Message{Output: "x", Body: []byte("2")}, edge.Message{Body: []byte("3")})
	publish(t, h, module("n"), body("4"))
	publish(t, h, edge.Identity{Device: "leaf"}, body("5"))
	if got := arrived(t, h); !reflect.DeepEqual(got, []string{"1", "2", "3"}) {
		t.Fatalf("arrived %v: each endpoint gets one copy", got)
	}
	s := h.Stats()
	if s.Accepted != 5 || s.NoRoute != 2 || s.BySource["/messages/modules/m/outputs/o"] != 1 || s.BySource["/messages"] != 1 {
		t.Fatalf("stats %+v", s)
	}
}

func TestABadRouteLeavesTheOldOnes(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	if err := h.SetRoutes([]edge.Route{{Name: "bad", Text: "FROM"}}, 0); err == nil || !strings.Contains(err.Error(), "bad") {
		t.Fatalf("got %v", err)
	}
	if len(h.Routes()) != 1 {
		t.Fatal("the old route is gone")
	}
}

func TestARefusedMessageLeavesThoseBeforeItStored(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, condition string
		bad             edge.Message
	}{
		{"a message over 256 KiB", edge.ConditionTooLarge, edge.Message{Body: make([]byte, edge.MaxMessageBytes+1)}},
		{"properties count", edge.ConditionTooLarge,
			edge.Message{Body: make([]byte, edge.MaxMessageBytes-2), Properties: map[string]string{"ab": "c"}}},
		{"names that differ in case", edge.ConditionInternal, edge.Message{Properties: map[string]string{"A": "", "a": ""}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t, edge.Options{})
			err := h.Publish(t.Context(), module("m"), []edge.Message{body("1"), c.bad, body("2")})
			var refusal *edge.Refusal
			if !errors.As(err, &refusal) || refusal.Condition != c.condition {
				t.Fatalf("got %v", err)
			}
			if got := arrived(t, h); !reflect.DeepEqual(got, []string{"1"}) {
				t.Fatalf("arrived %v", got)
			}
		})
	}
}

func TestTheVisibleMessagesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{KeepMessages: 10})
	for i := range 25 {
		publish(t, h, module("m"), body(fmt.Sprint(i)))
	}
	list := h.Messages(t.Context(), 3, 4, 0)
	if len(list) != 4 || list[0].Sequence != 16 || string(list[0].Message.Body) != "15" {
		t.Fatalf("got %+v", list)
	}
	if s := h.Stats(); s.Upstream != 25 || s.Kept != 10 || s.Evicted != 15 || s.Sequence != 25 {
		t.Fatalf("stats %+v", s)
	}
	small := newHub(t, edge.Options{KeepBytes: 100})
	for range 25 {
		publish(t, small, module("m"), body(strings.Repeat("x", 30)))
	}
	if s := small.Stats(); s.Kept != 3 {
		t.Fatalf("kept %d messages of 30 bytes in 100", s.Kept)
	}
	none := newHub(t, edge.Options{CountOnly: true})
	publish(t, none, module("m"), body("x"))
	if s := none.Stats(); s.Upstream != 1 || s.Kept != 0 {
		t.Fatalf("stats %+v", s)
	}
}

func TestAReaderWaitsForTheNextMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, edge.Options{})
		go func() {
			time.Sleep(2 * time.Second)
			publish(t, h, module("m"), body("late"))
		}()
		begun := time.Now()
		list := h.Messages(t.Context(), 0, 10, time.Minute)
		if len(list) != 1 || time.Since(begun) != 2*time.Second {
			t.Fatalf("%d messages after %v", len(list), time.Since(begun))
		}
		if list := h.Messages(t.Context(), 1, 10, time.Minute); len(list) != 0 || time.Since(begun) != 62*time.Second {
			t.Fatalf("%d messages after %v", len(list), time.Since(begun))
		}
	})
}

func TestACutCloudQueuesAndDrainsByPriority(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHub(t, edge.Options{Now: func() time.Time { return now }, QueueMessages: 5})
	err := h.SetRoutes([]edge.Route{
		{Name: "low", Text: "FROM /messages/modules/m/outputs/low INTO $upstream", Priority: edge.DefaultPriority},
		{Name: "high", Text: "FROM /messages/modules/m/outputs/high INTO $upstream", Priority: 0},
		{Name: "short", Text: "FROM /messages/modules/m/outputs/short INTO $upstream", Priority: 3, TimeToLive: time.Second},
	}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.CutCloud()
	for _, output := range []string{"low", "short", "high", "low", "high"} {
		publish(t, h, module("m"), edge.Message{Output: output, Body: []byte(output)})
	}
	if s := h.Stats(); s.Queued != 5 || s.Upstream != 0 || !s.CloudCut {
		t.Fatalf("stats %+v", s)
	}
	err = h.Publish(t.Context(), module("m"), []edge.Message{{Output: "high"}})
	var refusal *edge.Refusal
	if !errors.As(err, &refusal) || refusal.Condition != edge.ConditionThrottled {
		t.Fatalf("a full store said %v", err)
	}
	now = now.Add(2 * time.Second)
	if err := h.RestoreCloud(); err != nil {
		t.Fatal(err)
	}
	if got := arrived(t, h); !reflect.DeepEqual(got, []string{"high", "high", "low", "low"}) {
		t.Fatalf("arrived %v", got)
	}
	if s := h.Stats(); s.Expired != 1 || s.Queued != 0 {
		t.Fatalf("stats %+v", s)
	}
}

type journal struct {
	list []edge.Upstream
	fail error
}

func (j *journal) Append(messages []edge.Upstream) error {
	j.list = append(j.list, messages...)
	return j.fail
}

func TestTheJournalIsToldBeforeTheSender(t *testing.T) {
	t.Parallel()
	j := &journal{}
	h := newHub(t, edge.Options{Journal: j})
	publish(t, h, module("m"), body("1"), body("2"))
	if len(j.list) != 2 || j.list[1].Sequence != 2 {
		t.Fatalf("journal %+v", j.list)
	}
	j.fail = errors.New("disk full")
	if err := h.Publish(t.Context(), module("m"), []edge.Message{body("3")}); !errors.Is(err, j.fail) {
		t.Fatalf("got %v", err)
	}
	if got := arrived(t, h); len(got) != 2 {
		t.Fatalf("arrived %v", got)
	}
}

func TestAMessageIsRefusedForWhatItsBodyHolds(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	refusal := &edge.Refusal{Condition: "amqp:not-allowed", Description: "poison"}
	if err := h.AddFault(edge.FaultRule{Holding: "oi", Fault: edge.Fault{Drop: true}}); err == nil {
		t.Error("a rule about bodies that refuses nothing is taken")
	}
	if err := h.AddFault(edge.FaultRule{Holding: "oi", Count: 2, Fault: edge.Fault{Refuse: refusal}}); err != nil {
		t.Fatal(err)
	}
	if f := h.PublishFault(module("m")); f != (edge.Fault{}) {
		t.Errorf("the transfer has the fault %+v", f)
	}
	send := func(bodies ...string) error {
		var batch []edge.Message
		for _, body := range bodies {
			batch = append(batch, edge.Message{Body: []byte(body)})
		}
		return h.Publish(t.Context(), module("m"), batch)
	}
	for i, want := range []bool{true, true, false} {
		var got *edge.Refusal
		if err := send("good", "poison", "behind"); errors.As(err, &got) != want || want && *got != *refusal {
			t.Errorf("transfer %d: %v", i, err)
		}
	}
	if len(h.Faults()) != 0 {
		t.Errorf("left are %+v", h.Faults())
	}
}

func TestFaultsAreTakenInOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t, edge.Options{})
	only := module("n")
	for _, r := range []edge.FaultRule{
		{Fault: edge.Fault{Delay: 1}, Count: 2},
		{Fault: edge.Fault{Drop: true}, Identity: &only},
		{Fault: edge.Fault{Withhold: true}, Count: -1},
	} {
		if err := h.AddFault(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.AddFault(edge.FaultRule{}); err == nil {
		t.Fatal("an empty fault was taken")
	}
	want := []edge.Fault{{Delay: 1}, {Delay: 1}, {Withhold: true}, {Withhold: true}}
	for i, w := range want {
		if got := h.PublishFault(module("m")); got != w {
			t.Fatalf("fault %d: %+v", i, got)
		}
	}
	if got := h.PublishFault(only); !got.Drop {
		t.Fatalf("got %+v", got)
	}
	if n := h.ClearFaults(); n != 1 {
		t.Fatalf("cleared %d", n)
	}
	if got := h.PublishFault(only); got != (edge.Fault{}) {
		t.Fatalf("got %+v", got)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, keep := range []bool{true, false} {
		b.Run(fmt.Sprintf("keep=%v", keep), func(b *testing.B) {
			h := newHub(b, edge.Options{CountOnly: !keep})
			properties := map[string]string{"deviceId": "d-1", "kind": "position"}
			system := map[string]string{"contentType": "application/json", "contentEncoding": "utf-8"}
			text := make([]byte, 120)
			batch := make([]edge.Message, 200)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = edge.Message{Output: "telemetry", Body: text, Properties: properties, System: system}
				}
				if err := h.Publish(b.Context(), module("m"), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
