package authenticate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// says is an authenticator that always says the same.
type says struct {
	verdict Verdict
	err     error
}

func (s says) Authenticate(context.Context, Request) (Verdict, error) { return s.verdict, s.err }

// must fails the test when it is asked.
type must struct{ t *testing.T }

func (m must) Authenticate(context.Context, Request) (Verdict, error) {
	m.t.Error("an authenticator behind the verdict was asked")
	return Verdict{Decision: Allow}, nil
}

func TestTheFirstOfAChainWithAnOpinionDecides(t *testing.T) {
	allow, deny, next := says{verdict: Verdict{Decision: Allow}}, says{verdict: Verdict{Decision: Deny, Reason: "no"}}, says{}
	away := says{err: errors.New("no route")}
	// What an authenticator says beside its error must not count.
	torn := says{verdict: Verdict{Decision: Allow}, err: errors.New("torn")}
	for _, c := range []struct {
		name string
		list []Authenticator
		want Verdict
	}{
		{"of none", nil, Verdict{Reason: "unknown device"}},
		{"all next", []Authenticator{next, next}, Verdict{Reason: "unknown device"}},
		{"allow", []Authenticator{next, allow, must{t}}, Verdict{Decision: Allow, By: "1"}},
		{"deny", []Authenticator{deny, must{t}}, Verdict{Decision: Deny, By: "0", Reason: "no"}},
		{"error before allow", []Authenticator{away, must{t}}, Verdict{Decision: Deny, By: "0", Reason: "unavailable", Unavailable: true}},
		{"error after next", []Authenticator{next, away}, Verdict{Decision: Deny, By: "1", Reason: "unavailable", Unavailable: true}},
		{"allow with an error", []Authenticator{torn, must{t}}, Verdict{Decision: Deny, By: "0", Reason: "unavailable", Unavailable: true}},
		{"allow before an error", []Authenticator{allow, away}, Verdict{Decision: Allow, By: "0"}},
		{"busy", []Authenticator{says{err: fmt.Errorf("hashing: %w", ErrBusy)}}, Verdict{Decision: Deny, By: "0", Reason: "busy", Unavailable: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list []Named
			for i, a := range c.list {
				list = append(list, Named{fmt.Sprint(i), a})
			}
			if got := NewChain(list, ChainOptions{}).Authenticate(t.Context(), Request{}); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAnAdmissionThatIsOverIsARefusal(t *testing.T) {
	now := time.Unix(1000, 0)
	for after, want := range map[time.Duration]Decision{-time.Second: Deny, 0: Deny, time.Second: Allow} {
		list := []Named{{"a", says{verdict: Verdict{Decision: Allow, Expires: now.Add(after)}}}}
		c := NewChain(list, ChainOptions{Now: func() time.Time { return now }})
		if v := c.Authenticate(t.Context(), Request{}); v.Decision != want {
			t.Errorf("%s after now: %+v", after, v)
		}
	}
}

// waits until its context ends, and then has no opinion.
type waits struct{}

func (waits) Authenticate(ctx context.Context, _ Request) (Verdict, error) {
	<-ctx.Done()
	return Verdict{}, nil
}

func TestAChainOutOfTimeRefusesWithoutBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChain([]Named{{"slow", waits{}}, {"allow", must{t}}}, ChainOptions{})
		begun := time.Now()
		v := c.Authenticate(t.Context(), Request{})
		if v.Decision != Deny || !v.Unavailable || time.Since(begun) != chainTimeout {
			t.Errorf("after %s: %+v", time.Since(begun), v)
		}
	})
}

func TestAReasonIsOneBoundedLineWithoutTheSecret(t *testing.T) {
	secret := `p&ss "w/rd`
	for reason, want := range map[string]string{
		"token expired":                      "token expired",
		"two\nlines\x1b[31m":                 "two lines [31m",
		"bad \xff bytes":                     "bad   bytes",
		"wrong: " + secret:                   withheld,
		"wrong: p%26ss+%22w%2Frd":            withheld,
		`wrong: p&ss \"w/rd`:                 withheld,
		"wrong: 702673732022772f7264":        withheld,
		"Basic cCZzcyAidy9yZA==":             withheld,
		strings.Repeat("é", maxReason/2):     strings.Repeat("é", maxReason/2),
		"x" + strings.Repeat("é", maxReason): "x" + strings.Repeat("é", maxReason/2-1) + "...",
	} {
		if got := shown(reason, secret); got != want {
			t.Errorf("%q: got %q, want %q", reason, got, want)
		}
	}
}

func TestARequestPrintsWithoutItsSecret(t *testing.T) {
	r := Request{Listener: "trackers", Device: "d", Secret: "planted"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{r, &r, []Request{r}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, r.Secret) {
				t.Errorf("%s: %s", verb, text)
			}
		}
	}
}
