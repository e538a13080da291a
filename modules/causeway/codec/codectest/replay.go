package codectest

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// Replay plays every case of dir as [Run] does, without the truncated and changed
// frames and the budget of allocations: it is for codecs that run elsewhere, where a
// link costs much and thousands of them would test the codec at the other end.
func Replay(t *testing.T, factory codec.Factory, dir string) {
	t.Helper()
	all, err := scripts(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(strings.TrimSuffix(filepath.Base(s.path), ".txtar"), func(t *testing.T) {
			made, err := factory(s.options)
			if err != nil {
				t.Fatalf("options: %v", err)
			}
			goroutines := runtime.NumGoroutine()
			c := &opened{Codec: made}
			got, l, err := s.play(c, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.golden(t, got)
			s.same(t, c, got)
			s.rechunk(t, c, got)
			s.explain(t, c, l.frames)
			c.closeAll()
			noneLeft(t, goroutines)
		})
	}
}
