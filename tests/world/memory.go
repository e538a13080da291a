package world

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most resident memory that the process has had so far, in bytes:
// VmHWM of proc(5), which the kernel keeps, so that no moment is missed. A process
// that has ended has none.
func (p *Process) PeakMemory() (int64, error) { return p.memory("VmHWM:") }

// Memory is the resident memory that the process has now, in bytes: VmRSS.
func (p *Process) Memory() (int64, error) { return p.memory("VmRSS:") }

func (p *Process) memory(field string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", p.name, err)
	}
	for line := range strings.Lines(string(b)) {
		text, ok := strings.CutPrefix(line, field)
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("memory of %s: %s %w", p.name, field, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("memory of %s: %w", p.name, errors.New("not known, the process has ended"))
}
