package edge_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

func meter(n int) edge.Identity { return edge.Identity{Device: fmt.Sprintf("meter-%03d", n)} }

// meters is a hub with ten devices.
func meters(t *testing.T, a edge.Admission) *edge.Hub {
	t.Helper()
	h := newHub(t, edge.Options{Admission: a})
	if _, err := h.AddLeaves("meter-[001-010]", ""); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOneClientTooManyHasItsTelemetryOnly(t *testing.T) {
	t.Parallel()
	h := meters(t, edge.Admission{Clients: 2})
	leave := h.Connect(meter(1), newClient())
	leaveSecond := h.Connect(meter(2), newClient())
	h.Connect(meter(3), newClient())
	for n, want := range map[int]bool{1: true, 2: true, 3: false} {
		err := h.Subscribe(meter(n), edge.TopicMethods)
		var refusal *edge.Refusal
		if (err == nil) != want || !want && (!errors.As(err, &refusal) || refusal.Condition != edge.ConditionInternal) {
			t.Errorf("device %d: %v", n, err)
		}
		if h.Connected(meter(n)) != want {
			t.Errorf("device %d: connected is not %v", n, want)
		}
	}
	publish(t, h, meter(3), body("x"))
	if got := arrived(t, h); len(got) != 1 {
		t.Errorf("its telemetry: %v", got)
	}
	// Those seen before are not counted: with 3 in the place of 1 there are too many.
	leave()
	h.Connect(meter(3), newClient())
	h.Connect(meter(1), newClient())
	if !h.Connected(meter(3)) || !h.Connected(meter(1)) {
		t.Error("an identity that was present before is counted")
	}
	h.Connect(meter(4), newClient())
	if h.Connected(meter(4)) {
		t.Error("there is room for a fourth")
	}
	// A hub that was started again has seen nobody.
	leaveSecond()
	h.ForgetClients()
	h.Connect(meter(2), newClient())
	if h.Connected(meter(2)) {
		t.Error("it is remembered over a restart")
	}
}

func TestWhoComesTooFastWaitsOrIsRefused(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprint("refuse ", refuse), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := meters(t, edge.Admission{Connects: 4, Refuse: refuse})
				var waits []time.Duration
				refused := 0
				for n := range 8 {
					wait, err := h.Attach(meter(n+1), true)
					var refusal *edge.Refusal
					if errors.As(err, &refusal) && refusal.Condition == edge.ConditionThrottled {
						refused++
						continue
					}
					waits = append(waits, wait)
				}
				if wait, err := h.Attach(meter(1), false); wait != 0 || err != nil {
					t.Errorf("a further link: %v, %v", wait, err)
				}
				stats := h.Stats().Admission
				if stats.Attaches.Total != 9 || stats.Connects != (edge.Rate{Total: 8, Peak: 8}) || stats.Throttled != 4 {
					t.Errorf("got %+v", stats)
				}
				if refuse {
					if refused != 4 || len(waits) != 4 || h.IdentityStats()["meter-008"].Refused != 1 {
						t.Errorf("%d refused, waits %v", refused, waits)
					}
					return
				}
				if got := fmt.Sprint(waits); got != "[0s 0s 0s 0s 250ms 500ms 750ms 1s]" {
					t.Errorf("waits %s", got)
				}
				time.Sleep(3 * time.Second)
				if wait, _ := h.Attach(meter(1), true); wait != 0 {
					t.Errorf("after a while: %v", wait)
				}
			})
		})
	}
}

func TestTwinOperationsKeepTheirRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := meters(t, edge.Admission{Twins: 2})
		begun := time.Now()
		for range 4 {
			if _, err := h.Twin(t.Context(), meter(1)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
		if err := h.PatchReported(t.Context(), meter(1), []byte(`{"a":1}`)); err != nil {
			t.Fatal(err)
		}
		if got := h.IdentityStats()["meter-001"]; got.TwinGets != 4 || got.TwinPatches != 1 {
			t.Errorf("got %+v", got)
		}
	})
	h := meters(t, edge.Admission{Twins: 1, Refuse: true})
	if _, err := h.Twin(t.Context(), meter(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Twin(t.Context(), meter(1)); !errors.Is(err, edge.ErrThrottled) {
		t.Errorf("got %v", err)
	}
}

func TestPeaksAreOfOneSecond(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h, err := edge.New(edge.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	attach := func(times int) {
		for range times {
			_, _ = h.Attach(meter(1), true)
		}
	}
	attach(3)
	now = now.Add(600 * time.Millisecond)
	attach(2)
	now = now.Add(600 * time.Millisecond)
	attach(2)
	if got := h.Stats().Admission.Connects; got != (edge.Rate{Total: 7, Peak: 5}) {
		t.Errorf("got %+v", got)
	}
	h.RestartPeaks()
	now = now.Add(time.Minute)
	attach(1)
	if got := h.Stats().Admission.Connects; got != (edge.Rate{Total: 8, Peak: 1}) {
		t.Errorf("anew: %+v", got)
	}
	if all := h.IdentityStats(); len(all) != 0 {
		t.Errorf("strangers are kept: %v", all)
	}
}

func TestAttachesAreRefusedAsOftenAsAsked(t *testing.T) {
	t.Parallel()
	h := meters(t, edge.Admission{})
	id := meter(1)
	bad := edge.Fault{Drop: true, Attach: &edge.Refusal{}}
	if err := h.AddFault(edge.FaultRule{Fault: bad}); err == nil {
		t.Error("a fault of links and transfers was taken")
	}
	refusal := &edge.Refusal{Condition: edge.ConditionNotAllowed, Description: "no"}
	for _, r := range []edge.FaultRule{
		{Identity: &id, Count: 2, Fault: edge.Fault{Attach: refusal}}, {Fault: edge.Fault{Withhold: true}},
	} {
		if err := h.AddFault(r); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range []bool{false, false, true} {
		if _, err := h.Attach(id, n == 0); (err == nil) != want {
			t.Errorf("attach %d: %v", n, err)
		}
		if _, err := h.Attach(meter(2), true); err != nil {
			t.Errorf("another device: %v", err)
		}
	}
	if f := h.PublishFault(id); !f.Withhold {
		t.Errorf("the fault of transfers: %+v", f)
	}
}
