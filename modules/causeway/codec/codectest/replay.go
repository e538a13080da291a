package codectest

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// Replay plays every case of dir as [Run] does, without the truncated and changed
// frames and the budget of allocations: it is for codecs that run elsewhere, where a
// link costs much and thousands of them would test the codec at the other end.
func Replay(t *testing.T, factory codec.Factory, dir string) {
	t.Helper()
	all, err := dialogue.Scripts(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, loaded := range all {
		s := script{loaded}
		t.Run(strings.TrimSuffix(filepath.Base(s.Path), ".txtar"), func(t *testing.T) {
			made, err := factory(s.Options)
			if err != nil {
				t.Fatalf("options: %v", err)
			}
			goroutines := runtime.NumGoroutine()
			c := &opened{Codec: made}
			got, l, err := s.Play(c, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.golden(t, got)
			s.same(t, c, got)
			s.rechunk(t, c, got)
			s.explain(t, c, l.Frames)
			c.closeAll()
			noneLeft(t, goroutines)
		})
	}
}
