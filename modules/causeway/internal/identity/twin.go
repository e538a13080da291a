package identity

import (
	"context"
	"maps"
	"slices"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// twin knows the keys of devices that the module twin names. The twin names devices by
// their own ids.
type twin struct {
	keys    map[string][]byte // by the own id
	mapping *Mapping
}

// twin reads the keys under devices; each that is wrong is a fault of its own.
func (p *keyParser) twin() Source {
	p.usesTwin = true
	made := twin{keys: make(map[string][]byte, len(p.settings.Devices)), mapping: p.mapping}
	for _, own := range slices.Sorted(maps.Keys(p.settings.Devices)) {
		key, err := decodeKey(p.settings.Devices[own])
		if err != nil {
			p.report("/devices/"+escape(own)+"/key", codec.Optionf("", "%v", err))
			continue
		}
		made.keys[own] = key
	}
	return made
}

// Credential implements Source.
func (t twin) Credential(_ context.Context, hubDevice string) (Credential, error) {
	own, ok := t.mapping.Own(hubDevice)
	if !ok {
		return Credential{}, ErrUnknown // it is asked for after it was mapped
	}
	key, ok := t.keys[own]
	if !ok {
		return Credential{}, ErrUnknown
	}
	return symmetric(key), nil
}
