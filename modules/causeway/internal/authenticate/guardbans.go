package authenticate

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Ban begins a ban, or changes that of the same target. It is kept by the store when
// the error is nil. The error may be ErrBan, ErrFull, or the store's. Sessions that the
// target has are the caller's business.
func (g *Guard) Ban(b Ban) error {
	now := g.with.Now()
	b.Origin = FromMethod
	if err := b.check(); err != nil {
		return fmt.Errorf("ban: %w", err)
	}
	if b.over(now) {
		return fmt.Errorf("ban: %w: its end has been", ErrBan)
	}
	g.storing.Lock()
	defer g.storing.Unlock()
	if !g.room(b) {
		g.sweep(now)
		if !g.room(b) {
			return fmt.Errorf("ban: %w: at most %d bans are kept", ErrFull, maxBans)
		}
	}
	if g.with.Store != nil {
		if err := g.with.Store.Save(b); err != nil {
			return fmt.Errorf("ban: %w", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.byMethod.put(b)
	return nil
}

// room tells whether there is a place for a ban, its old one or another.
func (g *Guard) room(b Ban) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, replaces := g.byMethod.get(b)
	return replaces || g.byMethod.len() < maxBans
}

// sweep forgets the bans of methods that are over, in the store as well. What the store
// cannot delete is there again at the next start, and swept then.
func (g *Guard) sweep(now time.Time) {
	g.mu.Lock()
	var over []Ban
	for _, b := range g.byMethod.all() {
		if b.over(now) {
			g.byMethod.remove(b)
			over = append(over, b)
		}
	}
	g.mu.Unlock()
	if g.with.Store == nil {
		return
	}
	for _, b := range over {
		_ = g.with.Store.Delete(b)
	}
}

// Unban lifts the ban of a target, as Ban takes it. The error is ErrBan when there is
// none, or when it is the twin's, or the store's.
func (g *Guard) Unban(b Ban) error {
	if err := b.check(); err != nil {
		return fmt.Errorf("unban: %w", err)
	}
	g.storing.Lock()
	defer g.storing.Unlock()
	g.mu.Lock()
	_, own := g.byMethod.get(b)
	_, twins := g.byTwin.get(b)
	g.mu.Unlock()
	switch {
	case !own && twins:
		return fmt.Errorf("unban: %w: %s is banned by the twin, which has to lift it", ErrBan, b.Target())
	case !own:
		return fmt.Errorf("unban: %w: %s is not banned", ErrBan, b.Target())
	}
	if g.with.Store != nil {
		if err := g.with.Store.Delete(b); err != nil {
			return fmt.Errorf("unban: %w", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.byMethod.remove(b)
	return nil
}

// SetTwin replaces the bans of the twin. With an error nothing changes.
func (g *Guard) SetTwin(list []Ban) error {
	if len(list) > maxBans {
		return fmt.Errorf("set bans: %w: %d bans, at most %d are allowed", ErrFull, len(list), maxBans)
	}
	made := newBans()
	var errs []error
	for _, b := range list {
		b.Origin = FromTwin
		errs = append(errs, b.check())
		made.put(b)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set bans: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.byTwin = made
	return nil
}

// List returns the bans that run, those of methods first.
func (g *Guard) List() []Ban {
	now := g.with.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.running(now)
	sortBans(list)
	return list
}

// running returns the bans that are not over. The lock is held.
func (g *Guard) running(now time.Time) []Ban {
	list := append(g.byTwin.all(), g.byMethod.all()...)
	return slices.DeleteFunc(list, func(b Ban) bool { return b.over(now) })
}
