package sim_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/manifest"
	"github.com/causeway-iot/causeway/tests/simulator/sim"
)

func TestSingleModuleModeTakesMessagesForItsTarget(t *testing.T) {
	t.Parallel()
	e := start(t, sim.Options{Inputs: []string{"in1", "in2"}})
	receiver, err := connect(t, e, "target").NewReceiver(t.Context(), "/devices/edge/modules/target/messages/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.Inject(), strings.NewReader(`{"inputName":"in2","data":"hello"}`))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		t.Fatal(answer.Status)
	}
	m := receive(t, receiver)
	if string(m.GetData()) != "hello" || m.Annotations["x-opt-input-name"] != "in2" || m.Annotations["iothub-connection-module-id"] != "input" {
		t.Fatalf("got %s %v", m.GetData(), m.Annotations)
	}
}

func TestSingleModuleModeIsCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	if e := start(t, sim.Options{}); e.Inject() != "" {
		t.Errorf("without inputs: %s", e.Inject())
	}
	for want, opts := range map[string]sim.Options{
		"takes no deployment":     {Inputs: []string{"in"}, Manifest: &manifest.Manifest{}},
		"must be a loopback":      {Inputs: []string{"in"}, Inject: "0.0.0.0:0"},
		`inject address "nowhere`: {Inputs: []string{"in"}, Inject: "nowhere"},
	} {
		if e, err := sim.Start(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v", want, e, err)
		}
	}
}
