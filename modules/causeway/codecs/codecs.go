// Package codecs is the list of the codecs that are built in.
package codecs

import (
	"github.com/causeway-iot/causeway/modules/causeway/codec"
	csvcodec "github.com/causeway-iot/causeway/modules/causeway/codecs/csv"
	jsoncodec "github.com/causeway-iot/causeway/modules/causeway/codecs/json"
	"github.com/causeway-iot/causeway/modules/causeway/codecs/raw"
	"github.com/causeway-iot/causeway/modules/causeway/codecs/teltonika"
)

// All returns a registry of the built-in codecs, under the names of their folders.
func All() (*codec.Registry, error) {
	r := &codec.Registry{}
	for _, builtIn := range []struct {
		name string
		new  codec.Factory
	}{
		{"csv", csvcodec.New},
		{"json", jsoncodec.New},
		{"raw", raw.New},
		{"teltonika", teltonika.New},
	} {
		if err := r.Add(builtIn.name, builtIn.new); err != nil {
			return nil, err
		}
	}
	return r, nil
}
