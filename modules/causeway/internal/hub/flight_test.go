package hub

import (
	"strings"
	"testing"
	"time"
)

func TestWhatDoesNotFitATransferIsPassedOverAndComesNext(t *testing.T) {
	u, d := NewUplink(UplinkOptions{BatchBytes: 2000, Window: 3, Linger: time.Nanosecond}), apart(t, 4)
	for i, body := range []string{strings.Repeat("a", 1000), strings.Repeat("b", 1000), "c", "d"} {
		mustSendOf(t, u, d[i], body)
	}
	for _, want := range []string{"acd", "b"} {
		f, _ := u.next(farAhead)
		got := ""
		for _, body := range bodiesOf(t, f) {
			got += body[:1]
		}
		if got != want {
			t.Errorf("%s leave together, want %s", got, want)
		}
	}
	u.Close()
}
