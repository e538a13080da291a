package layout

import (
	"bytes"
	_ "embed" // for the schema
)

//go:embed layout.schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of layouts, for editors. What Compile
// takes, the schema takes; the schema does not know what expressions mean.
func Schema() []byte { return bytes.Clone(schema) }
