package hub

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/Azure/go-amqp"
	"golang.org/x/sync/errgroup"
)

const (
	// servicesFirst and servicesMost bound the pause after a device's twin, method or message links
	// were refused, or ended: the hub has as many clients as it takes, or is short of something
	// else.
	servicesFirst = 5 * time.Second
	servicesMost  = time.Minute
	// detachTimeout bounds the wait for the hub to let a link go.
	detachTimeout = 30 * time.Second
	// leafMethodsAtOnce and leafMethodsEach bound the direct methods of devices that run at the same
	// time, and those of one: a device is asked one thing at a time, and some that are silent
	// leave room for the others.
	leafMethodsAtOnce = 128
	leafMethodsEach   = 4
	// leafMethodsQueued bounds those that wait for a place, whose payloads take 128 KiB each at
	// most, and leafMethodsTaken all of one device, with those whose answer is being sent.
	leafMethodsQueued = 256
	leafMethodsTaken  = 32
	// leafMethodPatience bounds the wait: with the 20 s that a device has to answer it stays
	// below the 30 s that a caller waits by default.
	leafMethodPatience = 8 * time.Second
)

// serveServices serves twin, methods and messages, once they are wanted. Where the hub does
// not give them, the device's own messages go on.
func (f *leaf) serveServices(ctx context.Context, session *amqp.Session) error {
	select {
	case <-f.wished:
	case <-ctx.Done():
		return ctx.Err()
	}
	again := attempts{pause: servicesFirst}
	for {
		s, err := f.attachServices(ctx, session, again.suffix())
		if err == nil {
			f.stands("")
			err = s.serve(ctx)
			if ctx.Err() == nil {
				err = errors.Join(err, s.detach())
			}
		}
		if ctx.Err() != nil || errors.Is(err, errNotDetached) {
			return err
		}
		f.stands(err.Error())
		if !again.wait(ctx) {
			return ctx.Err()
		}
	}
}

// attempts to attach a kind of link on a session.
type attempts struct {
	n     int
	pause time.Duration
}

// suffix makes the name of a link another at each attempt, see pair.
func (a *attempts) suffix() string {
	if a.n++; a.n == 1 {
		return ""
	}
	return "-" + strconv.Itoa(a.n)
}

// wait waits ever longer, and tells whether ctx still lives.
func (a *attempts) wait(ctx context.Context) bool {
	pause := a.pause
	a.pause = min(2*pause, servicesMost)
	return sleep(ctx, pause)
}

// closer is a link.
type closer interface {
	Close(ctx context.Context) error
}

// errNotDetached: a kind of link cannot be attached again, the old one still stands.
var errNotDetached = errors.New("hub does not detach a link")

// detach closes links and waits for the hub's word.
func detach(links ...closer) error {
	ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
	defer cancel()
	for _, l := range links {
		_ = l.Close(ctx) // one that has ended is detached
	}
	if ctx.Err() != nil {
		return errNotDetached
	}
	return nil
}

// services are what a device has besides its telemetry.
type services struct {
	leaf    *leaf
	session *amqp.Session
	twin    *twinLinks
	methods *methodLinks
}

func (f *leaf) attachServices(ctx context.Context, session *amqp.Session, suffix string) (*services, error) {
	if err := f.all.attaches.Wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	o, id, s := &f.all.opts, f.identity(), &services{leaf: f, session: session}
	var err error
	s.twin, err = newTwinLinks(ctx, session, id, o.Version, suffix, func(patch json.RawMessage) {
		o.Handler.Desired(f.device, patch)
	})
	if err == nil {
		desk := newMethodDesk(func(ctx context.Context, name string, payload json.RawMessage) (int, json.RawMessage) {
			return o.Handler.Method(ctx, f.device, name, payload)
		}, f.all.methods, leafMethodsEach, leafMethodsTaken)
		s.methods, err = newMethodLinks(ctx, session, id, o.Version, suffix, desk)
	}
	if err != nil {
		return nil, errors.Join(err, s.detach())
	}
	return s, nil
}

// detach closes what was attached, since a kind of link is not attached twice. An error says that
// the hub has not let go of it.
func (s *services) detach() error {
	var links []closer
	if s.twin != nil {
		links = append(links, s.twin.rx, s.twin.tx)
	}
	if s.methods != nil {
		links = append(links, s.methods.rx, s.methods.tx)
	}
	return detach(links...)
}

func (s *services) serve(ctx context.Context) error {
	f := s.leaf
	f.twin.Store(s.twin)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.twin.serve(ctx) })
	g.Go(func() error { return s.methods.serve(ctx) })
	g.Go(func() error { return f.receiveMessages(ctx, s.session) })
	g.Go(func() error {
		if f.identity().Direct() {
			if err := s.twin.subscribe(ctx); err != nil {
				return err
			}
		}
		f.all.opts.Handler.Twin(f.device, true)
		return nil
	})
	err := g.Wait()
	f.twin.Store(nil)
	s.twin.requests.lost()
	f.all.opts.Handler.Twin(f.device, false)
	return err
}
