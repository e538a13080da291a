package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Settings are what the configuration says of identities.
type Settings struct {
	// Map and Keys are identity.map and identity.keys: JSON objects, or empty.
	Map  json.RawMessage
	Keys map[string]json.RawMessage
	// Devices are the keys under devices.<id>.key, by the devices' own ids.
	Devices map[string]string
	// Most is identity.devices, positive: how many devices may have an identity.
	Most int
}

// Surroundings are what keys and mapping take from outside.
type Surroundings struct {
	// Sign returns base64(HMAC-SHA256(gateway's key, data)), as the workload API does; nil
	// where there is no such key.
	Sign func(ctx context.Context, data []byte) (string, error)
	// Policy is the name of the hub's shared access policy whose key that is; empty where it
	// is the gateway's own, of which others may be derived.
	Policy string
	// Gateway is the gateway's own id in the hub where it is a device there, which no other
	// may be; empty where it is a module.
	Gateway string
	// Environment looks an environment variable up, ReadFile reads a small file whole.
	Environment func(name string) (string, bool)
	ReadFile    func(path string) ([]byte, error)
	// Rule compiles the rule of a mapping.
	Rule func(text string) (Rule, error)
}

// Fault is one thing wrong with the settings: its Pointer begins at the document's root,
// as /identity/keys/fleet/url. It never shows a key.
type Fault = codec.OptionError

// New makes the keys and the mapping of a configuration. Either both are there, or the
// faults say why not, in order of their pointers. Nothing is opened yet and nothing needs
// closing.
func New(s Settings, with Surroundings) (*Keys, *Mapping, []Fault) {
	var faults []Fault
	report := func(at string, err error) {
		f := Fault{Pointer: at, Reason: err.Error()}
		if inner, ok := errors.AsType[*codec.OptionError](err); ok {
			f = Fault{Pointer: at + inner.Pointer, Reason: inner.Reason}
		}
		faults = append(faults, f)
	}
	mapping, err := parseMapping(s, with)
	if err != nil {
		report("/identity/map", err)
	}
	parser := keyParser{settings: s, with: with, mapping: mapping, report: report}
	keys := parser.parse()
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Pointer, b.Pointer) })
		return nil, nil, faults
	}
	return keys, mapping, nil
}

// maxSources bounds the key sources; each is asked in turn.
const maxSources = 16

// keyParser makes key sources of their settings.
type keyParser struct {
	settings Settings
	with     Surroundings
	mapping  *Mapping
	report   func(at string, err error)
	// usesTwin: some source is of the kind twin.
	usesTwin bool
}

// defaultOrder is that of the schema.
const defaultOrder = 100

type ordered struct {
	Named
	order int
}

func (p *keyParser) parse() *Keys {
	if len(p.settings.Keys) == 0 {
		return p.standard()
	}
	if n := len(p.settings.Keys); n > maxSources {
		p.report("/identity/keys", codec.Optionf("", "has %d sources, at most %d are allowed", n, maxSources))
		return nil
	}
	var list []ordered
	for _, name := range slices.Sorted(maps.Keys(p.settings.Keys)) {
		source, order, err := p.source(p.settings.Keys[name])
		if err != nil {
			p.report("/identity/keys/"+escape(name), err)
			continue
		}
		list = append(list, ordered{Named{name, source}, order})
	}
	if !p.usesTwin {
		for own := range p.settings.Devices {
			p.report("/devices/"+escape(own)+"/key", codec.Optionf("", "is there, but no key source is of kind twin"))
		}
	}
	slices.SortStableFunc(list, func(a, b ordered) int { return cmp.Compare(a.order, b.order) })
	named := make([]Named, len(list))
	for i, o := range list {
		named[i] = o.Named
	}
	return NewKeys(named)
}

// standard are the keys where none are configured: those of the twin, then that of the
// policy by which the gateway itself logs in, or derived ones.
func (p *keyParser) standard() *Keys {
	named := []Named{{"twin", p.twin()}}
	switch {
	case p.with.Policy != "":
		named = append(named, Named{"policy", policy{p.with.Policy, p.with.Sign}})
	case p.with.Sign != nil:
		source, err := p.derived()
		if err != nil {
			p.report("/identity/devices", err)
		}
		named = append(named, Named{"derived", source})
	}
	return NewKeys(named)
}

const kinds = "derived, group, file, http, policy, twin"

// source makes one source. Each kind's settings have kind and order, which are read here;
// what else they may have the kind knows.
func (p *keyParser) source(raw json.RawMessage) (source Source, order int, err error) {
	set := struct {
		Kind  string `json:"kind"`
		Order int    `json:"order"`
	}{Order: defaultOrder}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, 0, codec.Optionf("", "want an object with a kind, one of %s", kinds)
	}
	switch set.Kind {
	case "derived":
		if err = codec.DecodeOptions(raw, &set); err == nil {
			source, err = p.derived()
		}
	case "twin":
		if err = codec.DecodeOptions(raw, &set); err == nil {
			source = p.twin()
		}
	case "group":
		source, err = p.group(raw)
	case "file":
		source, err = p.file(raw)
	case "http":
		source, err = p.http(raw)
	case "policy":
		source, err = p.policy(raw)
	default:
		err = codec.Optionf("/kind", "got %q, want one of %s", short(set.Kind), kinds)
	}
	return source, set.Order, err
}

func (p *keyParser) derived() (Source, error) {
	if p.with.Sign == nil {
		return nil, codec.Optionf("/kind", "got derived, but the gateway has no key to derive from")
	}
	if p.with.Policy != "" {
		return nil, codec.Optionf("/kind", "got derived, but the gateway's key is that of the policy %q, not its own",
			short(p.with.Policy))
	}
	return newCache(derived{p.with.Sign}, lifetimes{known: derivedLife, stale: derivedLife}, p.settings.Most)
}

// below puts the place of a setting before that of its fault.
func below(at string, err error) error {
	if fault, ok := errors.AsType[*codec.OptionError](err); ok {
		return codec.Optionf(at+fault.Pointer, "%s", fault.Reason)
	}
	return codec.Optionf(at, "%v", err)
}

// mapSetting is the form of identity.map.
type mapSetting struct {
	Table  map[string]string `json:"table"`
	Rule   string            `json:"rule"`
	Prefix string            `json:"prefix"`
}

func parseMapping(s Settings, with Surroundings) (*Mapping, error) {
	var set mapSetting
	if err := codec.DecodeOptions(s.Map, &set); err != nil {
		return nil, err
	}
	owners := make(map[string]string, len(set.Table))
	for _, own := range slices.Sorted(maps.Keys(set.Table)) {
		hub := set.Table[own]
		at := "/table/" + escape(own)
		if err := CheckID(hub); err != nil {
			return nil, codec.Optionf(at, "%v", err)
		}
		if isGateway(with.Gateway, hub) {
			return nil, codec.Optionf(at, "is %q, which is the gateway itself", hub)
		}
		if other, taken := owners[fold(hub)]; taken {
			return nil, codec.Optionf(at, "is %q, which %q has too (the edge hub compares ids without case)",
				hub, short(other))
		}
		owners[fold(hub)] = own
	}
	for i, r := range set.Prefix {
		if !legal(r) || i >= maxID-1 { // one is left for the own id
			return nil, codec.Optionf("/prefix", "got %q, want at most %d ASCII letters, digits and %s",
				short(set.Prefix), maxID-1, marks)
		}
	}
	var rule Rule
	if strings.TrimSpace(set.Rule) != "" {
		var err error
		if rule, err = with.Rule(set.Rule); err != nil {
			return nil, codec.Optionf("/rule", "%v", err)
		}
	}
	m := newMapping(set.Table, rule, set.Prefix, s.Most)
	m.gateway = with.Gateway
	return m, nil
}

// isGateway tells whether a hub's id is the gateway's own: two clients with one id end each
// other's connections.
func isGateway(gateway, hub string) bool { return gateway != "" && fold(gateway) == fold(hub) }

// escape makes one key of a JSON Pointer.
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
