package session

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// closing is a codec that must not begin a dialogue once it is closed.
type closing struct {
	closed atomic.Bool
	late   *atomic.Int64 // how often one did
}

func (c *closing) Begin(codec.Peer) (codec.Dialogue, error) {
	runtime.Gosched() // whoever exchanges codecs may do so now
	if c.closed.Load() {
		c.late.Add(1)
	}
	return &versioned{version: &version{}}, nil
}

func TestALinkThatComesDuringAnExchangeDoesNotBeginWithACodecThatIsClosed(t *testing.T) {
	const links, exchanges = 8, 2000
	var late atomic.Int64
	link, conn := newFakeLink("tcp")
	defer conn.Close()
	p := &Profile{Codec: &closing{late: &late}}
	over := make(chan struct{})
	var done sync.WaitGroup
	for range links {
		done.Go(func() {
			s := &Session{profile: p, link: link}
			for {
				select {
				case <-over:
					return
				default:
				}
				e, err := s.engage()
				if err != nil {
					t.Error(err)
					return
				}
				s.release(e)
			}
		})
	}
	for range exchanges {
		if before := p.Swap(&closing{late: &late}, false); before.Users() == 0 {
			before.codec.(*closing).closed.Store(true)
		}
		runtime.Gosched()
	}
	close(over)
	done.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d dialogues began with a codec that was closed", n)
	}
	if n := p.inUse().Users(); n != 0 {
		t.Errorf("%d links use the codec at the end", n)
	}
}
