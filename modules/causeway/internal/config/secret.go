package config

// Secret is text that must not appear in logs or errors: every usual way of
// printing or encoding it shows a placeholder.
type Secret string

const hidden = "[secret]"

// Reveal returns the text itself, for the one who authenticates with it.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
