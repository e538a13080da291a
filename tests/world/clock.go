package world

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockVariable names, in the environment of a process, the file of its clock.
const clockVariable = "WORLD_CLOCK"

// Clock is the wall clock of the gateway and the simulator, which may be set while
// they run: the machine's own cannot. The programs are built with a package time
// whose Now adds what a file says. Their timers run on, as they do when the clock of
// a machine is set. A nil clock is the machine's.
type Clock struct{ path string }

func newClock(dir string) (*Clock, error) {
	c := &Clock{path: filepath.Join(dir, "clock")}
	return c, c.Set(0)
}

// Set sets the clock so far, in whole seconds, before or behind the machine's.
func (c *Clock) Set(shift time.Duration) error {
	f, err := os.OpenFile(c.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("set clock: %w", err)
	}
	defer f.Close()
	seconds := int64(shift / time.Second)
	b := binary.NativeEndian.AppendUint64(nil, uint64(seconds)) //nolint:gosec // two's complement on both sides
	if _, err := f.WriteAt(b, 0); err != nil {                  // in place: it is mapped
		return fmt.Errorf("set clock: %w", err)
	}
	return nil
}

// environment is what a process needs to have this clock.
func (c *Clock) environment() []string {
	if c == nil {
		return nil
	}
	return []string{clockVariable + "=" + c.path}
}

// The change of package time: Now adds what the mapped file says.
const (
	nowBefore = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	nowAfter  = "\tsec, nsec, mono := runtimeNow()\n\tsec += shifted()\n\tif mono == 0 {"
	shiftFile = `package time

import (
	"syscall"
	"unsafe"
)

var clockShift = mapClockShift()

func shifted() int64 {
	if clockShift == nil {
		return 0
	}
	return *clockShift
}

func mapClockShift() *int64 {
	name, found := syscall.Getenv("` + clockVariable + `")
	if !found {
		return nil
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("open clock: " + err.Error())
	}
	defer syscall.Close(fd)
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map clock: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&b[0]))
}
`
)

// errUnknownTime: this Go has another time.Now than the one that can be changed.
var errUnknownTime = errors.New("time.Now is not what it was")

// overlay writes the changed package time and returns the file for go build -overlay.
func (c *Clock) overlay() (string, error) {
	root, err := exec.CommandContext(context.Background(), "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the standard library: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	b, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", fmt.Errorf("read package time: %w", err)
	}
	if strings.Count(string(b), nowBefore) != 1 {
		return "", errUnknownTime
	}
	dir := filepath.Dir(c.path)
	replaced := map[string]string{
		filepath.Join(source, "time.go"):  filepath.Join(dir, "time.go"),
		filepath.Join(source, "shift.go"): filepath.Join(dir, "shift.go"),
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	for name, text := range map[string]string{
		"time.go":  strings.Replace(string(b), nowBefore, nowAfter, 1),
		"shift.go": shiftFile, "overlay.json": string(list),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write overlay: %w", err)
		}
	}
	return filepath.Join(dir, "overlay.json"), nil
}
