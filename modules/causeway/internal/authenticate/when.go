package authenticate

import (
	"encoding/json"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// when is a time of settings and records.
type when struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (w *when) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return codec.Optionf("", "want a time such as 2027-01-31T00:00:00Z")
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return codec.Optionf("", "got %q, want a time such as 2027-01-31T00:00:00Z", short(text))
	}
	w.Time = t
	return nil
}
