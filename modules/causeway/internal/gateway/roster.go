package gateway

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/authenticate"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
)

// registrationName is how the service that registers devices is called in verdicts.
const registrationName = "registration"

// roster is the authenticators of one document.
type roster struct {
	members      map[string]member
	registration authenticate.Authenticator // nil without

	asked  sync.RWMutex // held while one is being asked
	closed bool         // guarded by asked
}

// member is one authenticator, and what it was made of.
type member struct {
	config config.Authentication
	authenticate.Authenticator
}

// equal tells whether a member need not be made anew: it keeps its cache then.
func (m member) equal(c config.Authentication) bool {
	return m.Authenticator != nil && m.config.Kind == c.Kind && bytes.Equal(m.config.Settings, c.Settings)
}

// enter keeps the authenticators open until leave, false when they are closed already:
// there is a newer roster then.
func (r *roster) enter() bool {
	if !r.asked.TryRLock() { // about to be closed
		return false
	}
	if r.closed {
		r.asked.RUnlock()
		return false
	}
	return true
}

func (r *roster) leave() { r.asked.RUnlock() }

// recruit makes the authenticators of a document, or tells every fault. Those that did
// not change are the old roster's.
func (d *doors) recruit(document *config.Document) (*roster, []config.Fault) {
	r := &roster{members: make(map[string]member, len(document.Authentication))}
	var faults []config.Fault
	hire := func(name string, c config.Authentication, pointer ...string) member {
		if old := d.staff().members[name]; old.equal(c) {
			return old
		}
		made, err := authenticate.New(c.Kind, c.Settings, authenticate.Deps{
			Environment: os.LookupEnv, ReadFile: os.ReadFile, Passwords: d.passwords, Database: d.database,
		})
		if err != nil {
			f := config.Fault{Pointer: config.Pointer(pointer...), Message: err.Error()}
			if inner, ok := errors.AsType[*codec.OptionError](err); ok {
				f.Pointer, f.Message = f.Pointer+inner.Pointer, inner.Reason
			}
			faults = append(faults, f)
		}
		return member{config: c, Authenticator: made}
	}
	for _, name := range slices.Sorted(maps.Keys(document.Authentication)) {
		r.members[name] = hire(name, document.Authentication[name], "authentication", name, "settings")
	}
	if len(document.Registration) > 0 {
		c := config.Authentication{Kind: "http", Settings: document.Registration}
		m := hire("/"+registrationName, c, "registration") // no name of the document has a slash
		r.members["/"+registrationName], r.registration = m, m.Authenticator
	}
	if len(faults) > 0 {
		d.dismiss(r, d.staff())
		return nil, faults
	}
	return r, nil
}

// staff is the roster in force.
func (d *doors) staff() *roster {
	if r := d.roster.Load(); r != nil {
		return r
	}
	return new(roster)
}

// dismiss closes what a roster has and another has not.
func (d *doors) dismiss(r, stays *roster) {
	for name, m := range r.members {
		if stays.members[name].Authenticator == m.Authenticator {
			continue
		}
		if c, ok := m.Authenticator.(io.Closer); ok {
			if err := c.Close(); err != nil {
				d.g.log.Warn().Err(err).Str("authentication", name).Msg("not closed")
			}
		}
	}
}

// relieve puts a roster in force. The old one is closed when nobody asks it any more,
// which takes as long as a chain has.
func (d *doors) relieve(r *roster) {
	old := d.roster.Swap(r)
	if old == nil {
		return
	}
	d.closing.Go(func() {
		old.asked.Lock()
		defer old.asked.Unlock()
		old.closed = true
		d.dismiss(old, r)
	})
}

// policyOf is what a document says of a listener.
func (d *doors) policyOf(document *config.Document, name string, r *roster) *policy {
	l := document.Listeners[name]
	p := &policy{roster: r, unknown: l.UnknownDevices}
	if l.AllowPattern != "" {
		var err error
		if p.pattern, err = regexp.Compile(l.AllowPattern); err != nil { // config.Parse has refused it already
			p.unknown = "reject"
		}
	}
	var chain []authenticate.Named
	for _, by := range document.AuthenticationOf(name) {
		m := r.members[by]
		chain = append(chain, authenticate.Named{Name: by, Authenticator: m.Authenticator})
		p.proof = p.proof || authenticate.AsksForProof(m.config.Kind)
	}
	if len(chain) > 0 {
		p.chain = authenticate.NewChain(chain, authenticate.ChainOptions{Failed: d.unanswered})
	}
	return p
}

// unanswered tells of an authenticator that could not answer.
func (d *doors) unanswered(by string, err error) {
	d.g.observers.flood.Warn("authentication cannot answer name="+by, err)
}
