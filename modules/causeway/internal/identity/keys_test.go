package identity

import (
	"errors"
	"slices"
	"testing"
)

func TestTheFirstSourceThatKnowsTheDeviceCounts(t *testing.T) {
	none, first, second := &fake{err: ErrUnknown}, &fake{credential: symmetric([]byte(planted))}, &fake{}
	keys := NewKeys([]Named{{"a", none}, {"b", first}, {"c", second}})
	c, err := keys.Credential(t.Context(), "truck-1")
	if err != nil || c.Sign == nil || none.asked != 1 || second.asked != 0 {
		t.Errorf("%v, %v; asked %d, %d", c, err, none.asked, second.asked)
	}
}

func TestADeviceThatNoSourceKnowsIsUnknown(t *testing.T) {
	keys := NewKeys([]Named{{"a", &fake{err: ErrUnknown}}, {"b", &fake{err: ErrUnknown}}})
	_, err := keys.Credential(t.Context(), "truck-1")
	wraps(t, err, ErrUnknown, "truck-1", "a, b")
	_, err = NewKeys(nil).Credential(t.Context(), "truck-1")
	wraps(t, err, ErrUnknown, "no key source")
}

// The next source could have a wrong key, or derive one for any device.
func TestASourceThatCannotTellStopsTheSearch(t *testing.T) {
	next := &fake{credential: symmetric([]byte(planted))}
	for _, said := range []error{ErrUnavailable, errors.New("some other")} {
		keys := NewKeys([]Named{{"vault", &fake{err: said}}, {"next", next}})
		_, err := keys.Credential(t.Context(), "truck-1")
		wraps(t, err, ErrUnavailable, "vault", "truck-1")
		if next.asked != 0 {
			t.Error("the next one was asked")
		}
	}
}

func TestAnIllegalIdReachesNoSource(t *testing.T) {
	source := &fake{}
	for _, id := range []string{"", "..", "a/../../etc/passwd", "a\x00"} {
		if _, err := NewKeys([]Named{{"a", source}}).Credential(t.Context(), id); !errors.Is(err, ErrIllegal) || source.asked != 0 {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestForgetReachesEverySource(t *testing.T) {
	a, b := &fake{}, &fake{}
	NewKeys([]Named{{"a", a}, {"d", derived{}}, {"b", b}}).Forget("truck-1")
	if !slices.Equal(a.forgotten, []string{"truck-1"}) || !slices.Equal(b.forgotten, a.forgotten) {
		t.Errorf("%v, %v", a.forgotten, b.forgotten)
	}
}
