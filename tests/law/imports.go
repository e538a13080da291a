package law

import (
	"slices"
	"strconv"
	"strings"
)

const (
	house    = "github.com/causeway-iot/causeway/"
	causeway = "modules/causeway"
	rooms    = causeway + "/internal"
)

// leaves are the packages that every room may know.
var leaves = []string{causeway + "/codec", rooms + "/message"}

// directions says, for a package and all below it, which packages of the house it
// may import besides its own subpackages. The first match counts; a package that
// no line names may import nothing of the house.
var directions = []struct {
	from string
	to   []string
}{
	{causeway + "/codec/codectest", []string{causeway + "/codec", rooms + "/frame"}},
	{causeway + "/codec/dialogue", []string{causeway + "/codec", rooms + "/frame"}},
	{causeway + "/codec", leaves[:1]}, // what helps codecs lies below the contract
	{rooms + "/message", nil},
	{causeway + "/codecs/codecs.go", []string{causeway + "/codec", causeway + "/codecs"}},
	{causeway + "/codecs", leaves[:1]},
	{rooms + "/plugin/rpc", []string{causeway + "/codec", causeway + "/kits/rpc/codecv1"}},
	{rooms + "/plugin/acme/cmd", []string{
		rooms + "/plugin/acme", causeway + "/kits/rpc", causeway + "/codec", rooms + "/cli",
	}},
	{rooms + "/plugin/exproto", []string{causeway + "/codec", rooms + "/plugin/rpc"}},
	{rooms + "/plugin/kind", []string{causeway + "/codec", rooms + "/plugin", rooms + "/frame"}},
	{rooms + "/plugin", leaves[:1]},
	{causeway + "/kits", append(leaves[:1:1], causeway+"/kits")},
	{rooms + "/frame", leaves},
	{rooms + "/cli", append(leaves[:2:2], rooms+"/frame", rooms+"/identify", rooms+"/authenticate", rooms+"/state")},
	{rooms + "/identify", leaves},
	{rooms + "/identity", leaves[:1]},
	{rooms + "/route", leaves},
	{rooms + "/transform", leaves},
	{rooms + "/spool", leaves},
	{rooms + "/state", nil},
	{rooms + "/authenticate", []string{causeway + "/codec", rooms + "/state"}},
	{rooms + "/deadletter", append(leaves[:2:2], rooms+"/state")},
	{rooms + "/lifecycle", leaves[1:]},
	{rooms + "/config", leaves},
	{rooms + "/observe", leaves},
	{rooms + "/listen", leaves},
	{rooms + "/session", append(leaves[:2:2], rooms+"/frame")},
	{rooms + "/hub", leaves},
	{rooms + "/command", append(leaves[:2:2], rooms+"/state")},
	{rooms + "/twin", append(leaves[:2:2], rooms+"/config")},
	{rooms + "/gateway", []string{causeway}},
	{causeway, []string{causeway}},
	{"modules/fleet", []string{"modules/fleet"}},
	{"tests/simulator", []string{"tests/simulator"}},
	{"tests", []string{"tests"}},
}

// testsKnow are packages that a test may import besides its own: the conformance
// suite, the way to real sockets, and the rooms that the whole uplink is measured with.
var testsKnow = []string{
	causeway + "/codec/codectest", rooms + "/listen", rooms + "/frame",
	rooms + "/session", rooms + "/route", rooms + "/spool", causeway + "/codecs/json", causeway + "/codecs/teltonika",
	rooms + "/plugin/acme", causeway + "/kits/rpc", rooms + "/message",
	rooms + "/plugin/rpc",
}

// importDirection holds the arrows of the design: uplink and downlink meet in
// internal/gateway, the simulator shares nothing with the gateway.
func importDirection(t *Tree) []Fault {
	var faults []Fault
	for _, src := range t.goes {
		from, allowed := lookup(src)
		for _, spec := range src.AST.Imports {
			target, inside := strings.CutPrefix(importPath(spec.Path.Value), house)
			if !inside || under(target, src.Dir) || under(src.Dir, target) && strings.HasSuffix(src.Dir, "test") {
				continue
			}
			if src.Test && (slices.Contains(testsKnow, target) || target == src.Dir) {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return reaches(a, target) }) {
				faults = append(faults, Fault{src.Path, src.Line(spec), from + " may not import " + target})
			}
		}
	}
	return faults
}

// lookup returns the rule for a file: its name and what it allows.
func lookup(src *Source) (string, []string) {
	for _, d := range directions {
		if src.Path == d.from || under(src.Dir, d.from) {
			return d.from, d.to
		}
	}
	return src.Dir, nil
}

// reaches says whether an allowance covers the target: itself and what is below,
// except the conformance suite, which is for tests.
func reaches(allowed, target string) bool {
	return under(target, allowed) && (target == allowed || !under(target, causeway+"/codec/codectest"))
}

// under says whether the folder is the other or lies below it.
func under(folder, other string) bool {
	return folder == other || strings.HasPrefix(folder, other+"/")
}

// owners says which packages of the gateway may import a library; with several
// lines for one library, each of them.
var owners = []struct{ library, owner string }{
	{"github.com/Azure/go-amqp", rooms + "/hub"},
	{"github.com/amenzhinsky/iothub", rooms + "/hub"},
	{"github.com/coder/websocket", rooms + "/hub"},
	{"github.com/eclipse/paho.mqtt.golang", rooms + "/hub"},
	{"github.com/kelseyhightower/envconfig", rooms + "/config"},
	{"github.com/expr-lang/expr", rooms + "/route"},
	{"github.com/klauspost/compress", rooms + "/transform"},
	{"github.com/fxamacker/cbor", rooms + "/transform"},
	{"github.com/vmihailenco/msgpack", rooms + "/transform"},
	{"github.com/bufbuild/protocompile", rooms + "/transform"},
	{"github.com/bufbuild/protocompile", rooms + "/plugin/exproto/exprotov1"}, // its test
	{"github.com/bufbuild/protocompile", causeway + "/kits/rpc/codecv1"},
	{"github.com/hamba/avro", rooms + "/transform"},
	{"github.com/golang-jwt/jwt", rooms + "/authenticate"},
	{"github.com/sony/gobreaker", rooms + "/authenticate"},
	{"github.com/sony/gobreaker", rooms + "/identity"},
	{"github.com/pires/go-proxyproto", rooms + "/listen"},
	{"github.com/hashicorp/raft-wal", rooms + "/spool"},
	{"go.etcd.io/bbolt", rooms + "/state"},
	{"github.com/dop251/goja", rooms + "/plugin"},
	{"github.com/tetratelabs/wazero", rooms + "/plugin"},
	{"google.golang.org/grpc", rooms + "/plugin"},
	{"google.golang.org/grpc", causeway + "/kits"},
}

// banned are imports that no file outside tests may have, with the reason.
var banned = map[string]string{
	"C":       "the images are static: no cgo",
	"unsafe":  "no figure has asked for it",
	"testing": "a product does not carry its tests",
	"log":     "the logger is an argument",
}

// libraryOwner holds who may import which library, in the gateway, and what
// nobody may import.
func libraryOwner(t *Tree) []Fault {
	var faults []Fault
	for _, src := range t.goes {
		for _, spec := range src.AST.Imports {
			name := importPath(spec.Path.Value)
			if library, owner := foreignTo(src.Dir, name); library != "" {
				faults = append(faults, Fault{src.Path, src.Line(spec), library + " belongs to " + owner})
			}
			why, no := banned[name]
			aside := src.Test || strings.HasPrefix(src.Dir, "tests/") || strings.HasSuffix(src.Dir, "test")
			if no && !aside && !src.Generated {
				faults = append(faults, Fault{src.Path, src.Line(spec), name + ": " + why})
			}
			foreign := strings.Contains(name, ".") && !strings.HasPrefix(name, house)
			if foreign && !src.Test && under(src.Dir, causeway+"/codec") {
				faults = append(faults, Fault{src.Path, src.Line(spec), "the contract has no libraries"})
			}
		}
	}
	return faults
}

// foreignTo returns the library, and its first owner, when a folder of the gateway is
// none of the owners of what it imports.
func foreignTo(dir, name string) (library, owner string) {
	for _, o := range owners {
		switch {
		case !under(dir, causeway) || !under(name, o.library):
		case under(dir, o.owner):
			return "", ""
		case library == "":
			library, owner = o.library, o.owner
		}
	}
	return library, owner
}

func importPath(literal string) string {
	name, err := strconv.Unquote(literal)
	if err != nil {
		return literal
	}
	return name
}
