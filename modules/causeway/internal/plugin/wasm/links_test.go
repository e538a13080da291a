package wasm

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/plugin/wasm/meter/wasmtest"
)

// countsBody returns a message whose body is the byte at 68, after it was counted up:
// state that a link has for itself, where instances are not shared.
func countsBody() []byte {
	const body = resultAt + 8
	at := wasmtest.Const(body)
	return wasmtest.Code(at, at, 0x2d, 0, 0, 0x41, 1, 0x6a, 0x3a, 0, 0, wasmtest.Const(resultAt))
}

func receive(tb testing.TB, d codec.Dialogue, frame string) *codec.Outcome {
	tb.Helper()
	var out codec.Outcome
	if err := d.Receive(codec.Frame{Bytes: []byte(frame), At: time.Unix(1, 0)}, &out); err != nil {
		tb.Fatal(err)
	}
	return &out
}

func TestLinksHaveTheirOwnState(t *testing.T) {
	c := plan{result: message("\x00"), receive: countsBody()}.codec(t)
	a, b := begin(t, c), begin(t, c)
	for want := range byte(3) {
		if got := receive(t, a, "x").Messages[0].Body[0]; got != want+1 {
			t.Errorf("frame %d of a link: got %d", want, got)
		}
	}
	if got := receive(t, b, "x").Messages[0].Body[0]; got != 1 {
		t.Errorf("the first frame of another link: got %d", got)
	}
}

func TestDialoguesOfASharedInstanceHaveTheirOwnState(t *testing.T) {
	program, err := acmeProgram(t).engine.Compile(t.Context(), "acme", acmeModule(t), Limits{Instances: 1})
	if err != nil {
		t.Fatal(err)
	}
	c, err := program.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b := begin(t, c), begin(t, c)
	if a.(splitting).instance != b.(splitting).instance {
		t.Fatal("two instances")
	}
	receive(t, a, string(unhex(login)))
	receive(t, a, string(unhex(reading)))
	err = b.Receive(codec.Frame{Bytes: unhex(reading)}, &codec.Outcome{})
	if !errors.Is(err, codec.ErrProtocol) {
		t.Errorf("data before the login of another link: got %v", err)
	}
}

func TestModuleIsToldOfDialoguesThatHaveEnded(t *testing.T) {
	c := plan{
		abi: wasmtest.Const(version | flagShared), result: message("\x00"),
		end: wasmtest.Code(wasmtest.Const(bodyAt), 0x20, 0, 0x3a, 0, 0), // the number of the last one
	}.codec(t)
	c.(*plain).most = 1
	first, second := begin(t, c), begin(t, c)
	closeDialogue(t, second)
	if got := receive(t, first, "x").Messages[0].Body[0]; got != 0 {
		t.Errorf("told of %d within another's frame", got)
	}
	begin(t, c)
	if got := receive(t, first, "x").Messages[0].Body[0]; got != 2 {
		t.Errorf("told of %d, want 2", got)
	}
}

func closeDialogue(tb testing.TB, d codec.Dialogue) {
	tb.Helper()
	if err := d.(io.Closer).Close(); err != nil {
		tb.Error(err)
	}
}

func TestSharedInstancesAreBoundedAndReplacedWhenTheyFail(t *testing.T) {
	p := plan{abi: wasmtest.Const(version | flagShared), receive: onlyX(0x00), result: message("")}
	c := p.codec(t)
	var all []codec.Dialogue
	instances := map[*instance]int{}
	for range 10 {
		d := begin(t, c)
		all = append(all, d)
		instances[d.(*dialogue).instance]++
	}
	if len(instances) != defaultShared {
		t.Errorf("%d instances, want %d", len(instances), defaultShared)
	}
	for _, n := range instances {
		if n < 2 || n > 3 {
			t.Errorf("%d of 10 dialogues on one of 4 instances", n)
		}
	}
	broken := all[0].(*dialogue).instance
	if err := all[0].Receive(codec.Frame{Bytes: []byte("x")}, &codec.Outcome{}); !errors.Is(err, codec.ErrBroken) {
		t.Fatal(err)
	}
	for _, d := range all[1:] {
		err := d.Receive(codec.Frame{Bytes: []byte("y")}, &codec.Outcome{})
		if same := d.(*dialogue).instance == broken; errors.Is(err, codec.ErrBroken) != same {
			t.Errorf("on the instance that failed: %v, got %v", same, err)
		}
	}
	for range 8 {
		receive(t, begin(t, c), "y")
	}
}

func TestInstancesAreBoundedAndFreed(t *testing.T) {
	limits := smallLimits()
	limits.Instances = 2
	program, err := engine(t, "").Compile(t.Context(), "m", plan{result: message("")}.bytes(), limits)
	if err != nil {
		t.Fatal(err)
	}
	c, err := program.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b := begin(t, c), begin(t, c)
	if _, err := c.Begin(codec.Peer{}); err == nil || !strings.Contains(err.Error(), "all of 2 instances are in use") {
		t.Errorf("a third instance: got %v", err)
	}
	closeDialogue(t, a)
	closeDialogue(t, a) // again is nothing
	if err := a.Receive(codec.Frame{}, &codec.Outcome{}); !errors.Is(err, codec.ErrBroken) {
		t.Errorf("after Close: got %v", err)
	}
	begin(t, c) // is forgotten at once
	receive(t, b, "x")
	deadline := time.Now().Add(10 * time.Second)
	for {
		runtime.GC()
		if d, err := c.Begin(codec.Peer{}); err == nil {
			closeDialogue(t, d)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a dialogue that was forgotten was not freed")
		}
		runtime.Gosched()
	}
	runtime.KeepAlive(b)
}

func TestProgramTakenOutOfServiceLetsLinksGoOn(t *testing.T) {
	program, err := plan{result: message("fine")}.compile(t)
	if err != nil {
		t.Fatal(err)
	}
	c, err := program.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := begin(t, c)
	for range 2 {
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Begin(codec.Peer{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a new link: got %v", err)
	}
	runtime.GC() // would find machine code that nobody holds
	if got := receive(t, d, "x").Messages[0].Body; string(got) != "fine" {
		t.Errorf("a link that had begun: got %q", got)
	}
}

func TestCodecThatIsForgottenOrClosedKeepsNoInstance(t *testing.T) {
	shared := plan{abi: wasmtest.Const(version | flagShared), result: message("fine")}
	for name, p := range map[string]plan{"own": {result: message("fine")}, "shared": shared} {
		program, err := p.compile(t)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := program.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := program.New(nil); err != nil { // forgotten at once
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for codecs(program) > 1 {
			if runtime.GC(); time.Now().After(deadline) {
				t.Fatalf("%s: a codec that was forgotten is still known", name)
			}
		}
		d, idle := begin(t, kept), begin(t, kept)
		i := d.(*dialogue).instance
		closeDialogue(t, idle)
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
		if !idle.(*dialogue).instance.dead.Load() {
			t.Errorf("%s: an instance without links was kept", name)
		}
		receive(t, d, "x")
		closeDialogue(t, d)
		if !i.dead.Load() {
			t.Errorf("%s: the instance of the last link was kept", name)
		}
	}
}

func codecs(p *Program) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.codecs)
}

func TestOptionsAreJudgedByTheModule(t *testing.T) {
	const options = `{"limit": 0}`
	configure := func(code ...byte) plan {
		return plan{
			result: appendRecord(nil, tagError, "\x01/limit: got 0, want 1 or more"),
			more:   func(m *wasmtest.Module) { m.Func(fnConfigure, i32s(2), i32s(1), 0, code...) },
		}
	}
	for name, c := range map[string]struct {
		plan    plan
		options string
		pointer string
		want    string
	}{
		"that takes none, none":         {plan{}, ``, "", ""},
		"that takes none, an empty one": {plan{}, ` {} `, "", ""},
		"that takes none, null":         {plan{}, `null`, "", ""},
		"that takes none, one":          {plan{}, options, "", "takes no options"},
		"that takes all":                {configure(0x41, 0), options, "", ""},
		"that refuses":                  {configure(wasmtest.Const(resultAt)...), options, "/limit", "got 0, want 1 or more"},
	} {
		program, err := c.plan.compile(t)
		if err != nil {
			t.Fatal(err)
		}
		_, err = program.New(json.RawMessage(c.options))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		fault, ok := errors.AsType[*codec.OptionError](err)
		if !ok || fault.Pointer != c.pointer || !strings.Contains(fault.Reason, c.want) {
			t.Errorf("%s: got %v, want %s: %s", name, err, c.pointer, c.want)
		}
	}
}

func TestLinkIsRefusedByTheModule(t *testing.T) {
	c := plan{begin: wasmtest.Const(resultAt), result: appendRecord(nil, tagError, "\x03not from there")}.codec(t)
	for range 3 {
		if _, err := c.Begin(codec.Peer{Transport: "tcp"}); !errors.Is(err, codec.ErrRefused) || !strings.Contains(err.Error(), "not from there") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAddOnsThatAreMissingAreUnsupported(t *testing.T) {
	d := begin(t, plan{}.codec(t))
	if _, ok := d.(codec.Framer); ok {
		t.Error("a module without codec_split is a Framer")
	}
	if err := d.(codec.Commander).Command(codec.Command{}, &codec.Outcome{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("command: got %v", err)
	}
	if err := d.(codec.Resumer).Resume("d"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("resume: got %v", err)
	}
	if err := d.(codec.Ticker).Tick(time.Unix(0, 0), &codec.Outcome{}); err != nil {
		t.Errorf("tick: got %v", err)
	}
	if d, ok := begin(t, plan{abi: wasmtest.Const(version | flagNoSplit), split: wasmtest.Const(0)}.codec(t)).(codec.Framer); ok {
		t.Errorf("a module that says it does not split is a Framer, %T", d)
	}
}

func TestResumedDialogueKnowsItsDevice(t *testing.T) {
	c, err := acmeProgram(t).New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := begin(t, c)
	if err := d.(codec.Resumer).Resume("ACME-0042"); err != nil {
		t.Fatal(err)
	}
	receive(t, d, string(unhex(reading)))
}

func TestExamplesComeFromSectionsAndFromTheFunction(t *testing.T) {
	p := plan{
		result: appendRecord(nil, tagExample, "\x03twotext of two"),
		more: func(m *wasmtest.Module) {
			m.Custom(sectionExamples+"one", []byte("text of one"))
			m.Custom("other", []byte("x"))
			m.Func(fnExamples, nil, i32s(1), 0, wasmtest.Const(resultAt)...)
		},
	}
	program, err := p.compile(t)
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{{"one", "text of one"}, {"two", "text of two"}}
	if got := program.Examples(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v", got)
	}
}

func TestCompiledCodeIsKeptOnDisk(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if _, err := engine(t, dir).Compile(t.Context(), "m", plan{}.bytes(), smallLimits()); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) == 0 {
		t.Errorf("%d entries, %v", len(list), err)
	}
	if _, err := NewEngine(t.Context(), os.DevNull+"/no"); err == nil {
		t.Error("a folder that cannot be made was taken")
	}
}

func TestLinksRunSideBySide(t *testing.T) {
	own := plan{result: message("\x00"), receive: countsBody()}.codec(t)
	together, err := acmeProgram(t).New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for range 5 {
				d := begin(t, own)
				var out codec.Outcome
				for k := range byte(50) {
					out.Reset()
					if err := d.Receive(codec.Frame{}, &out); err != nil || out.Messages[0].Body[0] != k+1 {
						t.Errorf("frame %d: %v", k, err)
					}
				}
				closeDialogue(t, d)
				d = begin(t, together)
				id := "D" + strconv.Itoa(n)
				frame := append([]byte{0, byte(len(id) + 2), 1}, id...)
				frame = append(frame, 1^id[0]^id[1])
				for range 20 {
					out.Reset()
					if err := d.Receive(codec.Frame{Bytes: frame}, &out); err != nil || out.Identity.Device != id {
						t.Errorf("device %q, %v, want %s", out.Identity.Device, err, id)
					}
				}
				closeDialogue(t, d)
			}
		})
	}
	all.Wait()
}
