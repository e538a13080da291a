package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const plantedKey = "cGxhbnRlZC1kZXZpY2Uta2V5LW9mLTMyLWJ5dGVzISE="

func TestADevicesKeyIsReadAndNeverShown(t *testing.T) {
	doc := mustParse(t, `{"devices":{"m7":{"key":"`+plantedKey+`"}}}`)
	if doc.Devices["m7"].Key.Reveal() != plantedKey {
		t.Error("the key is not what the document says")
	}
	written, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(written), fmt.Sprintf("%v %+v %#v", doc, doc, *doc)} {
		if strings.Contains(text, plantedKey) {
			t.Errorf("the key is shown: %s", text)
		}
	}
}

// Faults are reported to the cloud and logged.
func TestAFaultDoesNotShowTheKeyOfADevice(t *testing.T) {
	for _, value := range []string{`"` + plantedKey + `!"`, `["` + plantedKey + `"]`, `{"x":"` + plantedKey + `"}`} {
		_, faults := Parse([]byte(`{"devices":{"m7":{"key":` + value + `}}}`))
		if len(faults) != 1 || faults[0].Pointer != "/devices/m7/key" {
			t.Errorf("%s: %v", value, faults)
		}
		if strings.Contains(fmt.Sprint(faults), "cGxhbnRl") {
			t.Errorf("the key is shown: %v", faults)
		}
	}
}
