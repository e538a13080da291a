package identity

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

// The example of Microsoft's documentation (Azure IoT Hub Device Provisioning Service,
// symmetric key attestation, group enrollments).
func TestTheKeyOfAnEnrollmentGroupIsThatOfThePublishedExample(t *testing.T) {
	const groupKey = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
	key, err := decodeKey(groupKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", "SN-007-888-ABC-MAC-A1-B2-C3-D4-E5-F6"} {
		c, err := group{key}.Credential(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		signs(t, c, "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")
	}
}

func TestAGroupKnowsOnlyIdsThatTheProvisioningServiceTakes(t *testing.T) {
	g := group{[]byte(planted)}
	for id, want := range map[string]error{
		"a": nil, "a-b.c_d:e": nil, "a-": nil, "7": nil,
		"a.": ErrUnknown, "a_": ErrUnknown, "a:": ErrUnknown, "a+b": ErrUnknown, "a@b": ErrUnknown,
	} {
		_, err := g.Credential(t.Context(), id)
		if wraps(t, err, want); (err == nil) != (want == nil) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestADerivedKeyIsWhatTheModulesKeySignsTheIdWith(t *testing.T) {
	c, err := derived{moduleKey(other)}.Credential(t.Context(), "Truck-1")
	if err != nil {
		t.Fatal(err)
	}
	signs(t, c, signature(t, other, "Truck-1"))
}

func TestWithoutTheSignerADerivedKeyIsUnavailable(t *testing.T) {
	for _, d := range []derived{
		{func(context.Context, []byte) (string, error) { return "", errors.New("no socket") }},
		{func(context.Context, []byte) (string, error) { return planted[:8] + "!", nil }},
		{func(context.Context, []byte) (string, error) { return "", nil }},
	} {
		_, err := d.Credential(t.Context(), "truck-1")
		wraps(t, err, ErrUnavailable)
		if strings.Contains(err.Error(), planted[:8]) {
			t.Errorf("shows what was signed: %v", err)
		}
	}
}

func TestAKeyOfAPolicySignsForEveryDeviceAndSaysForWhichPolicy(t *testing.T) {
	p, err := parsePolicy(" HostName=h.azure-devices.net;sharedaccesskeyname=device; SharedAccessKey=" + planted + " ;")
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Credential(t.Context(), "truck-1")
	if err != nil || c.Policy != "device" {
		t.Errorf("%v, %v", c, err)
	}
	signs(t, c, planted)
}

func TestTheTwinKnowsDevicesByTheirOwnIds(t *testing.T) {
	keys, mapping, faults := New(Settings{
		Map: []byte(`{"prefix":"truck-"}`), Devices: map[string]string{"7": planted}, Most: 10,
	}, Surroundings{})
	if faults != nil {
		t.Fatal(faults)
	}
	if _, err := keys.Credential(t.Context(), "truck-7"); !errors.Is(err, ErrUnknown) {
		t.Errorf("before the device has its id: %v", err)
	}
	for _, own := range []string{"7", "8"} {
		if _, err := mapping.HubDevice(own); err != nil {
			t.Fatal(err)
		}
	}
	c, err := keys.Credential(t.Context(), "truck-7")
	if err != nil {
		t.Fatal(err)
	}
	signs(t, c, planted)
	_, err = keys.Credential(t.Context(), "truck-8")
	wraps(t, err, ErrUnknown, "twin")
}

func TestWithoutSourcesTheTwinIsAskedAndThenKeysAreDerived(t *testing.T) {
	keys, mapping, faults := New(Settings{Devices: map[string]string{"7": planted}, Most: 10}, surroundings(nil, nil))
	if faults != nil || keys.String() != "twin, derived" {
		t.Fatal(keys, faults)
	}
	for own, key := range map[string]string{"7": planted, "8": signature(t, other, "8")} {
		hub, err := mapping.HubDevice(own)
		if err != nil {
			t.Fatal(err)
		}
		c, err := keys.Credential(t.Context(), hub)
		if err != nil {
			t.Fatal(err)
		}
		signs(t, c, key)
	}
}

// The workload API is asked once a day for each device, not for each token.
func TestADerivedKeyIsKeptInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signed := 0
		with := surroundings(nil, nil)
		with.Sign = func(ctx context.Context, data []byte) (string, error) {
			signed++
			return moduleKey(other)(ctx, data)
		}
		keys, _, faults := New(Settings{Most: 10}, with)
		if faults != nil {
			t.Fatal(faults)
		}
		for range 3 {
			if _, err := keys.Credential(t.Context(), "truck-1"); err != nil {
				t.Fatal(err)
			}
		}
		if keys.Forget("truck-1"); signed != 1 {
			t.Errorf("signed %d times", signed)
		}
		if _, err := keys.Credential(t.Context(), "truck-1"); err != nil || signed != 2 {
			t.Errorf("after it was forgotten: %v, signed %d times", err, signed)
		}
	})
}
