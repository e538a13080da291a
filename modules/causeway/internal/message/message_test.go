package message

import (
	"hash/fnv"
	"strconv"
	"strings"
	"testing"
)

func TestAMessageIDFitsTheHubAndNamesDeviceEpochAndSequence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ device, part string }{
		"a serial number":         {"356307042441013", "356307042441013"},
		"the longest that fits":   {strings.Repeat("x", 96), strings.Repeat("x", 96)},
		"a longer one":            {strings.Repeat("x", 97), hashed(strings.Repeat("x", 97))},
		"one that is not ASCII":   {"Zähler 7", hashed("Zähler 7")},
		"one that holds a space":  {"meter 7", hashed("meter 7")},
		"one that holds a dash":   {"meter-7", "meter-7"},
		"one of a control letter": {"a\x00b", hashed("a\x00b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := Message{Device: c.device, Epoch: 1 << 63, Seq: 1<<64 - 1}
			id := string(m.AppendID(nil))
			want := c.part + "-" + strconv.FormatUint(1<<63, 36) + "-" + strconv.FormatUint(1<<64-1, 36)
			if id != want || len(id) > 128 {
				t.Errorf("id %q of %d characters, want %q", id, len(id), want)
			}
		})
	}
}

func hashed(device string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(device))
	return "#" + strconv.FormatUint(h.Sum64(), 36)
}
