package authenticate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

// hands is a clock that a test moves.
type hands struct{ at time.Time }

func (h *hands) now() time.Time       { return h.at }
func (h *hands) move(d time.Duration) { h.at = h.at.Add(d) }

func guarded(o GuardOptions, kept ...Ban) (*Guard, *hands) {
	h := &hands{noon}
	o.Now = h.now
	return NewGuard(o, kept), h
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// enters fails the test unless the guard says what is wanted.
func enters(t *testing.T, g *Guard, remote, device string, want bool) {
	t.Helper()
	if ok, reason, until := g.Check(addr(remote), device); ok != want || ok != (reason == "") {
		t.Errorf("%s at %s: %t, %q until %s, want %t", device, remote, ok, reason, until, want)
	}
}

func fail(g *Guard, n int, remote, device string) (until time.Time) {
	for range n {
		until = g.Failed(addr(remote), device)
	}
	return until
}

func TestAWrongPasswordMayBeTriedFiveTimesAndThenWaitsLongerEachTime(t *testing.T) {
	g, clock := guarded(GuardOptions{})
	wait := 30 * time.Second
	for range 10 {
		if until := fail(g, 4, "192.0.2.1", "d"); !until.IsZero() {
			t.Fatalf("after four failures it waits until %s", until)
		}
		enters(t, g, "192.0.2.1", "d", true)
		if until := fail(g, 1, "192.0.2.1", "d"); until.Sub(clock.at) != wait {
			t.Fatalf("it waits %s, want %s", until.Sub(clock.at), wait)
		}
		enters(t, g, "192.0.2.1", "d", false)
		clock.move(wait - 1)
		enters(t, g, "192.0.2.1", "d", false)
		clock.move(1)
		wait = min(2*wait, time.Hour)
	}
	clock.move(24 * time.Hour)
	if until := fail(g, 5, "192.0.2.1", "d"); until.Sub(clock.at) != 30*time.Second {
		t.Errorf("a day later it waits %s", until.Sub(clock.at))
	}
}

func TestFailuresAreForgottenWithTheWindowAndWithSuccess(t *testing.T) {
	g, clock := guarded(GuardOptions{})
	fail(g, 4, "192.0.2.1", "d")
	clock.move(10 * time.Minute)
	fail(g, 4, "192.0.2.1", "d")
	enters(t, g, "192.0.2.1", "d", true)
	g.Succeeded(addr("192.0.2.1"), "d")
	fail(g, 4, "192.0.2.1", "d")
	enters(t, g, "192.0.2.1", "d", true)
	fail(g, 1, "192.0.2.1", "d")
	enters(t, g, "192.0.2.1", "d", false)
}

func TestAnAddressThatGuessesManyIDsCoolsDown(t *testing.T) {
	g, _ := guarded(GuardOptions{})
	g.Succeeded(addr("192.0.2.1"), "known")
	for i := range 50 {
		enters(t, g, "192.0.2.1", fmt.Sprint(i), true)
		g.Failed(addr("192.0.2.1"), fmt.Sprint(i))
	}
	enters(t, g, "192.0.2.1", "another", false)
	enters(t, g, "::ffff:192.0.2.1", "another", false)
	enters(t, g, "192.0.2.2", "another", true)
	// Many devices share the address of a mobile network: those known there stay.
	enters(t, g, "192.0.2.1", "known", true)
	// A device of the guesser's own does not reset what is counted.
	g.Succeeded(addr("192.0.2.1"), "own")
	enters(t, g, "192.0.2.1", "another", false)
}

func TestWhoComesWithoutAnIDCountsForTheAddressOnly(t *testing.T) {
	g, _ := guarded(GuardOptions{})
	fail(g, 49, "192.0.2.1", "")
	enters(t, g, "192.0.2.1", "", true)
	enters(t, g, "192.0.2.2", "", true)
	fail(g, 1, "192.0.2.1", "")
	enters(t, g, "192.0.2.1", "", false)
	enters(t, g, "192.0.2.2", "", true)
}

func TestALineOfIPv6IsOneAddress(t *testing.T) {
	g, _ := guarded(GuardOptions{})
	for i := range 50 {
		g.Failed(addr(fmt.Sprintf("2001:db8:0:1::%x", i+1)), fmt.Sprint(i))
	}
	enters(t, g, "2001:db8:0:1:ffff::1", "d", false)
	enters(t, g, "2001:db8:0:2::1", "d", true)
}

func TestADeviceThatManyGuessAtStaysInWhereItSucceeded(t *testing.T) {
	g, clock := guarded(GuardOptions{})
	g.Succeeded(addr("198.51.100.7"), "victim")
	for i := range 100 {
		fail(g, 3, fmt.Sprintf("192.0.2.%d", i), "victim")
		enters(t, g, "198.51.100.7", "victim", true)
	}
	enters(t, g, "203.0.113.1", "victim", false) // from elsewhere, for a bounded time
	enters(t, g, "203.0.113.1", "another", true)
	for _, c := range g.Cooling(100) {
		if c.Device == "victim" && !c.Address.IsValid() && c.Until.Sub(clock.at) > 10*time.Minute {
			t.Errorf("the device waits %s", c.Until.Sub(clock.at))
		}
	}
	// At its own address only its own failures count.
	fail(g, 5, "198.51.100.7", "victim")
	enters(t, g, "198.51.100.7", "victim", false)
}

func TestADeviceThatIsKnownAtAnAddressMayTryNowAndThenWhileItsNeighbourGuesses(t *testing.T) {
	g, clock := guarded(GuardOptions{})
	g.Succeeded(addr("192.0.2.1"), "victim")
	for range 7 { // the neighbour never tires
		clock.move(fail(g, 5, "192.0.2.1", "victim").Sub(clock.at))
	}
	fail(g, 5, "192.0.2.1", "victim") // an hour
	enters(t, g, "192.0.2.1", "victim", false)
	clock.move(30*time.Second - 1)
	enters(t, g, "192.0.2.1", "victim", false)
	clock.move(1)
	enters(t, g, "192.0.2.1", "victim", true)
	enters(t, g, "192.0.2.1", "victim", false) // one, for whoever is first
	g.Failed(addr("192.0.2.1"), "victim")      // a guess, which changes nothing
	clock.move(30 * time.Second)
	enters(t, g, "192.0.2.1", "victim", true)
	g.Succeeded(addr("192.0.2.1"), "victim")
	enters(t, g, "192.0.2.1", "victim", true)
	// Who is not known there waits to the end.
	fail(g, 10, "192.0.2.1", "stranger")
	clock.move(30*time.Second - 1)
	enters(t, g, "192.0.2.1", "stranger", false)
}

func TestForgedDatagramsKeepNobodyOut(t *testing.T) {
	g, _ := guarded(GuardOptions{})
	for range 100_000 { // whatever source and id they name
		g.FailedUnproven()
	}
	enters(t, g, "198.51.100.7", "victim", true)
	enters(t, g, "198.51.100.7", "another", true)
	if s := g.Stats(); s.Unproven != 100_000 || s.Pairs+s.Addresses+s.Devices != 0 {
		t.Errorf("%+v", s)
	}
}

func TestARunningCoolDownCannotBePushedOut(t *testing.T) {
	g, _ := guarded(GuardOptions{Entries: 8})
	fail(g, 5, "192.0.2.1", "d")
	for i := range 1000 {
		g.Failed(addr(fmt.Sprintf("198.51.%d.%d", i/250, i%250)), fmt.Sprint("other", i))
	}
	enters(t, g, "192.0.2.1", "d", false)
	for i := range 100 { // more that cool down than there is room for
		fail(g, 5, fmt.Sprintf("203.0.113.%d", i), fmt.Sprint("guessed", i))
	}
	enters(t, g, "192.0.2.1", "d", false)
	if s := g.Stats(); s.Pairs != 8 || s.Untracked == 0 {
		t.Errorf("%+v", s)
	}
}

func TestACoolDownCanBeForgiven(t *testing.T) {
	g, _ := guarded(GuardOptions{})
	fail(g, 5, "192.0.2.1", "d")
	if !g.Forgive(netip.Addr{}, "d") {
		t.Error("there was nothing to forgive")
	}
	enters(t, g, "192.0.2.1", "d", true)
	for i := range 50 {
		g.Failed(addr("192.0.2.1"), fmt.Sprint(i))
	}
	enters(t, g, "192.0.2.1", "d", false)
	if !g.Forgive(addr("192.0.2.1"), "") || g.Forgive(addr("192.0.2.1"), "") {
		t.Error("forgiven once, or more than once")
	}
	enters(t, g, "192.0.2.1", "d", true)
}

func TestABanKeepsOutUntilItsEnd(t *testing.T) {
	g, clock := guarded(GuardOptions{}, Ban{Device: "kept"}, Ban{Device: "over", Until: noon}, Ban{})
	ban := func(target string, d time.Duration, reason string) {
		t.Helper()
		b := Ban{Device: target, Reason: reason}
		if p, err := ParseRange(target); err == nil {
			b.Device, b.Range = "", p
		}
		if d > 0 {
			b.Until = clock.at.Add(d)
		}
		if err := g.Ban(b); err != nil {
			t.Fatal(err)
		}
	}
	ban("stolen", time.Hour, "reported by the owner")
	ban("192.0.2.0/24", 0, "")
	ban("192.0.2.7", time.Minute, "")
	ban("2001:db8::/32", time.Minute, "")
	enters(t, g, "198.51.100.1", "kept", false)
	enters(t, g, "198.51.100.1", "over", true)
	enters(t, g, "192.0.2.200", "d", false)
	enters(t, g, "::ffff:192.0.2.200", "d", false)
	enters(t, g, "2001:db8:1::1%eth0", "d", false)
	if _, reason, until := g.Check(addr("198.51.100.1"), "stolen"); reason != "banned: reported by the owner" || until.Sub(clock.at) != time.Hour {
		t.Errorf("%q until %s", reason, until)
	}
	if _, _, until := g.Check(addr("192.0.2.7"), "d"); !until.IsZero() {
		t.Errorf("of two bans the shorter one was told, until %s", until)
	}
	g.Succeeded(addr("198.51.100.1"), "stolen") // whatever it can show
	enters(t, g, "198.51.100.1", "stolen", false)
	clock.move(time.Hour)
	enters(t, g, "198.51.100.1", "stolen", true)
	enters(t, g, "2001:db8:1::1", "d", true)
	enters(t, g, "192.0.2.7", "d", false)
	p, _ := ParseRange("192.0.2.0/24")
	if err := g.Unban(Ban{Range: p}); err != nil {
		t.Error(err)
	}
	enters(t, g, "192.0.2.7", "d", true)
}

func TestBansOfTheTwinAndOfMethodsStandBesideEachOther(t *testing.T) {
	g, _ := guarded(GuardOptions{})
	if err := g.Ban(Ban{Device: "a", Reason: "ours"}); err != nil {
		t.Fatal(err)
	}
	if err := g.SetTwin([]Ban{{Device: "a", Reason: "twin's"}, {Device: "b"}}); err != nil {
		t.Fatal(err)
	}
	if err := g.SetTwin([]Ban{{Device: "c"}, {}}); !errors.Is(err, ErrBan) {
		t.Errorf("error %v", err)
	}
	enters(t, g, "192.0.2.1", "b", false) // the bad list changed nothing
	if err := g.Unban(Ban{Device: "b"}); !errors.Is(err, ErrBan) || !strings.Contains(err.Error(), "by the twin") {
		t.Errorf("error %v", err)
	}
	if err := g.Unban(Ban{Device: "a"}); err != nil {
		t.Error(err)
	}
	enters(t, g, "192.0.2.1", "a", false) // the twin's is left
	if err := g.SetTwin(nil); err != nil {
		t.Fatal(err)
	}
	enters(t, g, "192.0.2.1", "a", true)
	if err := g.Unban(Ban{Device: "a"}); !errors.Is(err, ErrBan) {
		t.Errorf("error %v", err)
	}
	if len(g.List()) != 0 {
		t.Errorf("%v", g.List())
	}
}

func TestABanThatCannotBeIsRefused(t *testing.T) {
	g, clock := guarded(GuardOptions{})
	p := netip.MustParsePrefix("10.0.0.0/8")
	for _, b := range []Ban{
		{}, {Device: "d", Range: p}, {Device: strings.Repeat("x", maxDevice+1)}, {Device: "a\nb"},
		{Device: "d", Reason: strings.Repeat("x", maxNote+1)}, {Device: "d", Until: clock.at},
		{Range: netip.MustParsePrefix("::ffff:10.0.0.0/104")},
	} {
		if err := g.Ban(b); !errors.Is(err, ErrBan) {
			t.Errorf("%.80v: %v", b, err)
		}
	}
}

func TestTheBansOfMethodsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	store := StateBans{File: opened(t, dir)}
	g, clock := guarded(GuardOptions{Store: store})
	p := netip.MustParsePrefix("10.0.0.0/8")
	for _, b := range []Ban{
		{Device: "a", Reason: "r", Until: noon.Add(time.Hour)}, {Range: p}, {Device: "10.0.0.0/8"},
		{Device: "brief", Until: noon.Add(time.Minute)}, {Device: "lifted"}, {Device: "a", Reason: "again"},
	} {
		if err := g.Ban(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Unban(Ban{Device: "lifted"}); err != nil {
		t.Fatal(err)
	}
	clock.move(time.Minute)
	before := g.List()
	if err := store.File.Close(); err != nil {
		t.Fatal(err)
	}
	store.File = opened(t, dir)
	kept, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) != 4 { // the one that is over has its place until that is needed
		t.Errorf("kept are %v", kept)
	}
	again, clock := guarded(GuardOptions{Store: store}, kept...)
	clock.move(time.Minute)
	if !slices.Equal(again.List(), before) {
		t.Errorf("after the restart %v, before %v", again.List(), before)
	}
	if err := store.File.Close(); err != nil {
		t.Fatal(err)
	}
	if err := again.Ban(Ban{Device: "unsaved"}); err == nil {
		t.Error("a ban that is not kept was taken")
	}
	enters(t, again, "192.0.2.1", "unsaved", true)
}

func TestABanThatIsDamagedIsToldOfAndTheOthersKept(t *testing.T) {
	f := opened(t, t.TempDir())
	store := StateBans{File: f}
	if err := store.Save(Ban{Device: "d"}); err != nil {
		t.Fatal(err)
	}
	err := f.Update(banBucket, func(b *state.Bucket) error { return b.Put([]byte("dx"), []byte("no JSON")) })
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := store.Load(); !errors.Is(err, state.ErrDamaged) || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
}

func TestBansAreBounded(t *testing.T) {
	g, clock := guarded(GuardOptions{})
	for i := range maxBans {
		if err := g.Ban(Ban{Device: fmt.Sprint(i), Until: noon.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Ban(Ban{Device: "more"}); !errors.Is(err, ErrFull) {
		t.Errorf("error %v", err)
	}
	if err := g.Ban(Ban{Device: "7"}); err != nil {
		t.Errorf("a change: %v", err)
	}
	clock.move(time.Hour)
	if err := g.Ban(Ban{Device: "more"}); err != nil {
		t.Errorf("after the others are over: %v", err)
	}
	if err := g.SetTwin(make([]Ban, maxBans+1)); !errors.Is(err, ErrFull) {
		t.Errorf("error %v", err)
	}
}

// replayed says until when a key cools down after failures at some times, by looking at
// all of them: what the guard has to say without keeping them.
func replayed(rule CoolDown, failures []time.Time) (until time.Time) {
	var inWindow []time.Time
	length := rule.First
	var quietSince time.Time
	for i, at := range failures {
		if at.Before(until) {
			continue
		}
		if i > 0 && at.Sub(quietSince) >= rule.Memory {
			length = rule.First
		}
		quietSince = at
		if len(inWindow) > 0 && at.Sub(inWindow[0]) >= rule.Window {
			inWindow = nil
		}
		if inWindow = append(inWindow, at); len(inWindow) == rule.Failures {
			until = at.Add(length)
			length = min(2*length, rule.Most)
			quietSince, inWindow = until, nil
		}
	}
	return until
}

func TestAGuardSaysWhatTheWholeHistorySays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := CoolDown{Failures: 3, Window: time.Minute, First: 10 * time.Second, Most: 90 * time.Second, Memory: 5 * time.Minute}
		wide := CoolDown{Failures: 6, Window: time.Minute, First: 20 * time.Second, Most: time.Minute, Memory: 5 * time.Minute}
		g, clock := guarded(GuardOptions{Pair: rule, Address: wide, Device: wide})
		addresses, devices := []string{"192.0.2.1", "192.0.2.2"}, []string{"a", "b", "c"}
		pairs, byAddress, byDevice := map[pair][]time.Time{}, map[netip.Addr][]time.Time{}, map[string][]time.Time{}
		good, tried := map[pair]bool{}, map[pair]time.Time{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			p := pair{addr(rapid.SampledFrom(addresses).Draw(t, "address")), rapid.SampledFrom(devices).Draw(t, "device")}
			until := replayed(rule, pairs[p])
			if !good[p] {
				until = later(until, later(replayed(wide, byAddress[p.address]), replayed(wide, byDevice[p.device])))
			}
			want := !clock.at.Before(until)
			if good[p] && !want && clock.at.Sub(tried[p]) >= rule.First {
				want, tried[p] = true, clock.at
			}
			if ok, _, _ := g.Check(p.address, p.device); ok != want {
				t.Fatalf("%v at %s: %t, want %t", p, clock.at, ok, want)
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				g.Succeeded(p.address, p.device)
				good[p] = true
				delete(pairs, p)
			case 1, 2:
				clock.move(time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second)
			default: // also those that were let try before the cool-down began
				g.Failed(p.address, p.device)
				cooling := clock.at.Before(replayed(rule, pairs[p]))
				pairs[p] = append(pairs[p], clock.at)
				if !cooling && clock.at.Before(replayed(rule, pairs[p])) {
					tried[p] = clock.at
				}
				byAddress[p.address] = append(byAddress[p.address], clock.at)
				byDevice[p.device] = append(byDevice[p.device], clock.at)
			}
		}
	})
}

func TestAWatchKeepsItsBoundAndEveryRunningCoolDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 4
		clock := hands{noon}
		w := newWatch[int](CoolDown{2, time.Minute, 10 * time.Second, time.Minute, time.Hour}, limit)
		running := map[int]time.Time{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.IntRange(0, 9).Draw(t, "key")
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0:
				clock.move(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
			case 1:
				w.forget(key)
				delete(running, key)
			default:
				if until := w.failed(key, clock.at); !until.IsZero() {
					running[key] = until
				}
			}
			for key, until := range running {
				if clock.at.Before(until) && !w.check(key, clock.at).Equal(until) {
					t.Fatalf("the cool-down of %d is gone", key)
				}
			}
			if len(w.entries) > limit || w.idle.Len()+len(w.cooling) != len(w.entries) {
				t.Fatalf("%d entries, %d idle, %d cooling", len(w.entries), w.idle.Len(), len(w.cooling))
			}
		}
	})
}
