package wasm

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter"
)

// wasiModule is what the compilers of C, Rust and Go import from when they build for
// WASI. Of it there is what computing needs.
const wasiModule = "wasi_snapshot_preview1"

// The error numbers of WASI that are used.
const (
	wasiOK          = 0
	wasiBadFile     = 8
	wasiFault       = 21
	wasiInvalid     = 28
	wasiUnsupported = 52
)

// wasiSignatures are the functions of WASI with their parameters: i for 32 bits, I
// for 64. What is not implemented returns that it is not supported. All but
// proc_exit return an error number.
var wasiSignatures = map[string]string{
	"args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii",
	"clock_res_get": "ii", "clock_time_get": "iIi", "random_get": "ii", "sched_yield": "", "proc_exit": "i",
	"proc_raise": "i", "poll_oneoff": "iiii",
	"fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i", "fd_fdstat_get": "ii",
	"fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
	"fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_get": "ii",
	"fd_prestat_dir_name": "iii", "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi",
	"fd_renumber": "ii", "fd_seek": "iIii", "fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii",
	"path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
	"path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii", "path_remove_directory": "iii",
	"path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii",
	"sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
}

// offered says whether a module may import the function.
func offered(module, name string) bool {
	_, ok := wasiSignatures[name]
	return ok && module == wasiModule
}

// addWASI gives the engine the functions that modules may import.
func (e *Engine) addWASI(ctx context.Context) error {
	implemented := map[string]func(*host, api.Module, []uint64) uint64{
		"args_sizes_get": (*host).nothing, "environ_sizes_get": (*host).nothing,
		"args_get": (*host).ok, "environ_get": (*host).ok, "sched_yield": (*host).ok,
		"clock_time_get": (*host).time, "clock_res_get": (*host).resolution,
		"random_get": (*host).random, "fd_write": (*host).say, "proc_exit": (*host).exit, "poll_oneoff": (*host).poll,
		"fd_close": (*host).badFile, "fd_fdstat_get": (*host).badFile, "fd_fdstat_set_flags": (*host).badFile,
		"fd_prestat_get": (*host).badFile, "fd_prestat_dir_name": (*host).badFile, "fd_read": (*host).badFile,
		"fd_seek": (*host).badFile, "fd_filestat_get": (*host).badFile,
	}
	builder := e.runtime.NewHostModuleBuilder(wasiModule)
	for name, text := range wasiSignatures {
		params := make([]api.ValueType, len(text))
		for i := range text {
			if params[i] = api.ValueTypeI32; text[i] == 'I' {
				params[i] = api.ValueTypeI64
			}
		}
		results := []api.ValueType{api.ValueTypeI32}
		if name == "proc_exit" {
			results = nil
		}
		f := implemented[name]
		if f == nil {
			f = (*host).unsupported
		}
		builder.NewFunctionBuilder().WithGoModuleFunction(wasiFunction(f), params, results).Export(name)
	}
	if _, err := builder.Instantiate(ctx); err != nil {
		return fmt.Errorf("offer WASI to modules: %w", err)
	}
	return nil
}

// wasiFunction calls f with the host of the instance that calls.
func wasiFunction(f func(*host, api.Module, []uint64) uint64) api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, words []uint64) {
		i, ok := ctx.Value(instanceKey{}).(*instance)
		result := uint64(wasiUnsupported)
		if ok {
			result = f(&i.host, m, words)
		}
		if len(words) > 0 {
			words[0] = result
		}
	}
}

// host is what an instance sees of the world. The clock begins at 2026-01-01 with
// each instance and goes on by a microsecond with each look and by the time slept;
// the random numbers are the same for each instance.
type host struct {
	now    int64 // nanoseconds since the instance began
	seed   uint64
	exited bool
	code   uint32
	words  []byte // printed in this call
}

const (
	epoch     = 1767225600e9 // 2026-01-01 in Unix time, nanoseconds
	clockStep = 1000
	// maxPrint is how much of what is printed in one call is seen.
	maxPrint = 4 << 10
	// maxPieces and maxRandom bound the work of one call of the host.
	maxPieces = 16
	maxRandom = 1 << 10
)

func (h *host) begin() { h.words, h.exited = h.words[:0], false }

func (h *host) ok(api.Module, []uint64) uint64          { return wasiOK }
func (h *host) badFile(api.Module, []uint64) uint64     { return wasiBadFile }
func (h *host) unsupported(api.Module, []uint64) uint64 { return wasiUnsupported }

func status(ok bool) uint64 {
	if !ok {
		return wasiFault
	}
	return wasiOK
}

// nothing is zero arguments, or variables of the environment, of zero bytes.
func (h *host) nothing(m api.Module, w []uint64) uint64 {
	return status(m.Memory().WriteUint32Le(uint32(w[0]), 0) && m.Memory().WriteUint32Le(uint32(w[1]), 0))
}

func (h *host) resolution(m api.Module, w []uint64) uint64 {
	return status(m.Memory().WriteUint64Le(uint32(w[1]), clockStep))
}

func (h *host) time(m api.Module, w []uint64) uint64 {
	h.now += clockStep
	v := h.now
	if w[0] == 0 { // the time of day, not the time since the start
		v += epoch
	}
	return status(m.Memory().WriteUint64Le(uint32(w[2]), uint64(v)))
}

func (h *host) random(m api.Module, w []uint64) uint64 {
	if w[1] > maxRandom {
		return wasiInvalid
	}
	b, ok := m.Memory().Read(uint32(w[0]), uint32(w[1]))
	for i := range b {
		h.seed = h.seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		b[i] = byte(h.seed >> 56)
	}
	return status(ok)
}

// exit ends the call: without fuel, the module traps at its next step.
func (h *host) exit(m api.Module, w []uint64) uint64 {
	if i := h.exitGlobal(m); i != nil {
		i.Set(^uint64(0))
	}
	h.exited, h.code = true, uint32(w[0])
	return wasiOK
}

func (h *host) exitGlobal(m api.Module) api.MutableGlobal {
	g, _ := m.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
	return g
}

// say takes what is written to standard output and error.
func (h *host) say(m api.Module, w []uint64) uint64 {
	if w[0] != 1 && w[0] != 2 {
		return wasiBadFile
	}
	if w[2] > maxPieces {
		return wasiInvalid
	}
	total := uint32(0)
	for k := range uint32(w[2]) {
		const pieceSize = 8
		at, ok1 := m.Memory().ReadUint32Le(uint32(w[1]) + pieceSize*k)
		n, ok2 := m.Memory().ReadUint32Le(uint32(w[1]) + pieceSize*k + 4)
		b, ok3 := m.Memory().Read(at, n)
		if !ok1 || !ok2 || !ok3 {
			return wasiFault
		}
		h.words = append(h.words, b[:min(len(b), maxPrint-len(h.words))]...)
		total += n
	}
	return status(m.Memory().WriteUint32Le(uint32(w[3]), total))
}

// lastWords is what was printed, for an error.
func (h *host) lastWords() string {
	const most = 300
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(h.words), "?")), " ")
	if text == "" {
		return ""
	}
	return ": " + text[:min(len(text), most)]
}

// poll sleeps: the clock goes on by the longest timeout at once, and all
// subscriptions to the clock have happened. Others are refused.
func (h *host) poll(m api.Module, w []uint64) uint64 {
	const subscription, event = 48, 32
	if w[2] == 0 || w[2] > maxPieces {
		return wasiInvalid
	}
	for k := range uint32(w[2]) {
		in, ok := m.Memory().Read(uint32(w[0])+subscription*k, subscription)
		if !ok {
			return wasiFault
		}
		out, ok := m.Memory().Read(uint32(w[1])+event*k, event)
		if !ok {
			return wasiFault
		}
		const kindAt, timeoutAt, flagsAt = 8, 24, 40
		user, kind := binary.LittleEndian.Uint64(in), in[kindAt]
		if timeout := int64(binary.LittleEndian.Uint64(in[timeoutAt:])); kind == 0 && in[flagsAt]&1 == 0 && timeout > 0 {
			h.now += min(timeout, int64(1e9))
		}
		clear(out)
		binary.LittleEndian.PutUint64(out, user)
		out[10] = kind
		if kind != 0 {
			binary.LittleEndian.PutUint16(out[8:], wasiBadFile)
		}
	}
	return status(m.Memory().WriteUint32Le(uint32(w[3]), uint32(w[2])))
}
