package identity

import (
	"testing"
	"testing/synctest"
	"time"
)

func cached(t *testing.T, source Source, most int) *cache {
	t.Helper()
	c, err := newCache(source, lifetimes{known: time.Hour, unknown: time.Minute, stale: 2 * time.Hour}, most)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask expects a credential, or an error, and how often the source was asked until then.
func ask(t *testing.T, c *cache, device string, want error, asked int) {
	t.Helper()
	got, err := c.Credential(t.Context(), device)
	if want == nil && (err != nil || got.Sign == nil) {
		t.Errorf("%v, %v; want a credential", got, err)
	}
	wraps(t, err, want)
	if n := c.source.(*fake).asked; n != asked { //nolint:forcetypeassert // the test's own
		t.Errorf("the source was asked %d times, want %d", n, asked)
	}
}

func TestAKeyIsAskedForOnceInItsTimeAndFoundAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{credential: symmetric([]byte(planted))}
		c := cached(t, source, 10)
		ask(t, c, "a", nil, 1)
		time.Sleep(time.Hour - time.Second)
		ask(t, c, "a", nil, 1)
		time.Sleep(2 * time.Second)
		ask(t, c, "a", nil, 2)
		c.Forget("a") // the hub refused it
		ask(t, c, "a", nil, 3)
	})
}

func TestAnUnknownDeviceIsAskedForAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{err: ErrUnknown}
		c := cached(t, source, 10)
		ask(t, c, "a", ErrUnknown, 1)
		ask(t, c, "a", ErrUnknown, 1)
		time.Sleep(time.Minute)
		source.err, source.credential = nil, symmetric([]byte(planted))
		ask(t, c, "a", nil, 2)
	})
}

func TestAKnownKeyServesWhileItsSourceIsAwayButNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{credential: symmetric([]byte(planted))}
		c := cached(t, source, 10)
		ask(t, c, "a", nil, 1)
		source.err = ErrUnavailable
		time.Sleep(time.Hour)
		ask(t, c, "a", nil, 2)
		time.Sleep(2 * time.Hour)
		ask(t, c, "a", ErrUnavailable, 3)
		ask(t, c, "never seen", ErrUnavailable, 4)
	})
}

func TestAKeyThatTheHubRefusedDoesNotServeWhileItsSourceIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{credential: symmetric([]byte(planted))}
		c := cached(t, source, 10)
		ask(t, c, "a", nil, 1)
		source.err = ErrUnavailable
		c.Forget("a")
		ask(t, c, "a", ErrUnavailable, 2)
	})
}

func TestADeviceThatWasDeletedIsUnknownOnceItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fake{credential: symmetric([]byte(planted))}
		c := cached(t, source, 10)
		ask(t, c, "a", nil, 1)
		source.err = ErrUnknown
		time.Sleep(time.Hour)
		ask(t, c, "a", ErrUnknown, 2)
	})
}

func TestACertificateDoesNotOutliveItsEnd(t *testing.T) {
	end := time.Now().Add(20 * time.Minute)
	made, err := certified(pair(certificate(t, "a", end)))
	if err != nil {
		t.Fatal(err)
	}
	c := cached(t, &fake{}, 10)
	if until := c.until(made); !until.Equal(end.Truncate(time.Second)) {
		t.Errorf("it is kept until %s, and ends at %s", until, end)
	}
}

func pair(chain, key string) ([]byte, []byte) { return []byte(chain), []byte(key) }

func TestTheCacheHoldsNoMoreThanItsBound(t *testing.T) {
	source := &fake{credential: symmetric([]byte(planted))}
	c := cached(t, source, 2)
	for i, device := range []string{"a", "b", "c"} {
		ask(t, c, device, nil, i+1)
	}
	ask(t, c, "c", nil, 3)
	ask(t, c, "b", nil, 3)
	ask(t, c, "a", nil, 4) // it had left
}
