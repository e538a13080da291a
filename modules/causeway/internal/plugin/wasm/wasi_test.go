package wasm

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter/wasmtest"
)

const bodyAt = resultAt + 8

// probe is a module that calls a function of WASI in receive and returns what stands
// at bodyAt, with what the function returned in front.
func probe(t *testing.T, name string, params ...byte) []byte {
	t.Helper()
	code := wasmtest.Code(wasmtest.Const(bodyAt), params, 0x10, 0, 0x3a, 0, 0, wasmtest.Const(resultAt))
	c := plan{imports: []string{name}, receive: code, result: message(strings.Repeat("\xaa", 32))}.codec(t)
	return receive(t, begin(t, c), "x").Messages[0].Body
}

func TestModulesSeeNothingOfTheWorld(t *testing.T) {
	at := func(offset int) []byte { return wasmtest.Const(bodyAt + offset) }
	for name, c := range map[string]struct {
		params []byte
		want   string // error number, then what was written
	}{
		"environ_sizes_get": {wasmtest.Code(at(1), at(5)), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\xaa"},
		"args_sizes_get":    {wasmtest.Code(at(1), at(5)), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\xaa"},
		"fd_prestat_get":    {wasmtest.Code(0x41, 3, at(1)), "\x08\xaa"},
		"fd_read":           {wasmtest.Code(0x41, 0, 0x41, 0, 0x41, 0, at(1)), "\x08\xaa"},
		"path_open": {wasmtest.Code(0x41, 3, 0x41, 0, 0x41, 0, 0x41, 0, 0x41, 0, 0x42, 0, 0x42, 0, 0x41, 0, at(1)),
			"\x34\xaa"},
		"sock_send":      {wasmtest.Code(0x41, 3, 0x41, 0, 0x41, 0, 0x41, 0, at(1)), "\x34\xaa"},
		"clock_time_get": {wasmtest.Code(0x41, 0, 0x42, 0, at(1)), "\x00" + string(binary.LittleEndian.AppendUint64(nil, epoch+clockStep)) + "\xaa"},
		"clock_res_get":  {wasmtest.Code(0x41, 0, at(1)), "\x00\xe8\x03\x00\x00\x00\x00\x00\x00\xaa"},
		"random_get":     {wasmtest.Code(at(1), 0x41, 4), "\x00"},
		"sched_yield":    {nil, "\x00\xaa"},
	} {
		first, second := probe(t, name, c.params...), probe(t, name, c.params...)
		if !bytes.Equal(first, second) {
			t.Errorf("%s: %x, then %x", name, first, second)
		}
		if !strings.HasPrefix(string(first), c.want) {
			t.Errorf("%s: got %x, want %x", name, first, c.want)
		}
	}
}

func TestWhatTheHostCannotReachIsAFault(t *testing.T) {
	nowhere := []byte{0x41, 0x7f}
	for name, params := range map[string][]byte{
		"environ_sizes_get": wasmtest.Code(nowhere, nowhere),
		"clock_time_get":    wasmtest.Code(0x41, 0, 0x42, 0, nowhere),
		"random_get":        wasmtest.Code(nowhere, 0x41, 4),
		"fd_write":          wasmtest.Code(0x41, 1, nowhere, 0x41, 1, nowhere),
		"poll_oneoff":       wasmtest.Code(nowhere, nowhere, 0x41, 1, nowhere),
	} {
		if got := probe(t, name, params...)[0]; got != wasiFault {
			t.Errorf("%s: error %d, want %d", name, got, wasiFault)
		}
	}
	if got := probe(t, "random_get", wasmtest.Code(wasmtest.Const(bodyAt), wasmtest.Const(1<<15))...)[0]; got != wasiInvalid {
		t.Errorf("32 KiB of random numbers: error %d, want %d", got, wasiInvalid)
	}
}

func TestWhatIsPrintedIsBoundedAndGoesToTheLog(t *testing.T) {
	var printed []byte
	limits := smallLimits()
	limits.Log = func(text []byte) { printed = append(printed, text...) }
	p := plan{
		imports: []string{"fd_write"},
		// writes the 60000 bytes from 1024 to standard error ten times, then traps for "x"
		receive: wasmtest.Code(wasmtest.Const(8), wasmtest.Const(1024), 0x36, 2, 0, wasmtest.Const(12), wasmtest.Const(60000), 0x36, 2, 0,
			bytes.Repeat(wasmtest.Code(0x41, 2, 0x41, 8, 0x41, 1, 0x41, 16, 0x10, 0, 0x1a), 10), onlyX(0x00)),
		result: message(""),
		more:   func(m *wasmtest.Module) { m.Data(1024, []byte("panic: out of cheese\n\n")) },
	}
	program, err := engine(t, "").Compile(t.Context(), "m", p.bytes(), limits)
	if err != nil {
		t.Fatal(err)
	}
	c, err := program.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := begin(t, c)
	receive(t, d, "y")
	if len(printed) != maxPrint || !bytes.HasPrefix(printed, []byte("panic: out of cheese")) {
		t.Errorf("%d bytes were seen, %.20q", len(printed), printed)
	}
	err = d.Receive(codec.Frame{Bytes: []byte("x")}, &codec.Outcome{})
	if err == nil || !strings.Contains(err.Error(), "trap: unreachable in $3: panic: out of cheese") {
		t.Errorf("got %v", err)
	}
}

func TestSleepingLetsTheClockGoOn(t *testing.T) {
	// a subscription to the clock of five seconds at 512, its event at 640; the body is
	// the number of events and what the event says
	code := wasmtest.Code(
		wasmtest.Const(512+24), 0x42, 0x80, 0xe4, 0x97, 0xd0, 0x12, 0x37, 3, 0,
		wasmtest.Const(512), 0x42, 7, 0x37, 3, 0,
		wasmtest.Const(512), wasmtest.Const(640), 0x41, 1, wasmtest.Const(bodyAt), 0x10, 0, 0x1a,
		wasmtest.Const(bodyAt+4), wasmtest.Const(640), 0x2d, 0, 0, 0x3a, 0, 0,
		wasmtest.Const(resultAt))
	c := plan{imports: []string{"poll_oneoff"}, receive: code, result: message("\xaa\xaa\xaa\xaa\xaa")}.codec(t)
	d := begin(t, c)
	if got := receive(t, d, "x").Messages[0].Body; string(got) != "\x01\x00\x00\x00\x07" {
		t.Errorf("got %x", got)
	}
	if now := d.(*dialogue).instance.host.now; now != 1e9 { // at most a second each
		t.Errorf("the clock is at %d", now)
	}
}
