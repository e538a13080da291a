package sim_test

import (
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

func TestWhatWaitedForTheCloudIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	opts := sim.Options{State: folder + "/state", Journal: folder + "/journal", Modules: []string{"m"}}
	first, err := sim.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	sender := telemetry(t, first, connect(t, first, "m"), "m")
	send := func(text string) {
		t.Helper()
		if err := sender.Send(t.Context(), outputMessage("o", text), nil); err != nil {
			t.Fatal(err)
		}
	}
	send("1")
	first.Hub().CutCloud()
	send("2")
	send("3")
	// Nothing is written when it ends that was not there before, so a kill leaves the same.
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		again, err := sim.Start(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		list := again.Hub().Messages(t.Context(), 0, 10, 0)
		if len(list) != 3 || string(list[1].Message.Body) != "2" || list[2].Sequence != 3 {
			t.Errorf("messages %+v", list)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
