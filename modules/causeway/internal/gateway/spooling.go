package gateway

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/hub"
	"github.com/causeway-iot/causeway/modules/causeway/internal/spool"
)

const (
	// spoolFolder is the spool's place in the data directory.
	spoolFolder = "spool"
	// spoolAgain is how often a spool that cannot be opened is tried again.
	spoolAgain = 10 * time.Second
	// alarmEvery is how often the age of the oldest message is looked at.
	alarmEvery = 15 * time.Second
)

// spooling is the gateway's disk: the spool, once it could be opened, and the
// uplink's use of it.
type spooling struct {
	g *Gateway

	mu     sync.Mutex
	spool  *spool.Spool // nil: not opened yet
	err    error        // why not
	wanted config.Spool
}

// open opens the spool and gives it to the uplink. What it holds goes to the hub
// before anything newer, so the first attempt is made before any device is served.
func (s *spooling) open() {
	store, err := spool.Open(spool.Options{
		Dir:      filepath.Join(s.g.opts.Environment.DataDir, spoolFolder),
		Observer: s.g.observers,
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err != nil {
		s.g.log.Error().Err(err).Msg("spool cannot be opened, devices are acknowledged by the hub only")
		return
	}
	s.spool = store
	s.configureLocked()
	s.g.uplink.UseStore(store, hub.SpillOptions{Failed: s.g.observers.Failed})
	if first, last := store.Bounds(); first <= last {
		s.g.log.Info().Int("messages", store.Stats().Records).Msg("spool holds messages of an earlier life")
	}
}

// run moves messages between memory and disk until ctx ends.
func (s *spooling) run(ctx context.Context) {
	again := time.NewTicker(spoolAgain)
	defer again.Stop()
	for s.store() == nil {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			s.open()
		}
	}
	s.g.uplink.Spill(ctx)
}

// store is the spool, nil while there is none.
func (s *spooling) store() *spool.Spool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spool
}

// configure takes the document's wishes.
func (s *spooling) configure(wanted config.Spool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = wanted
	s.configureLocked()
}

func (s *spooling) configureLocked() {
	if s.spool == nil {
		return
	}
	full := spool.Block
	if s.wanted.Full == "drop-oldest" {
		full = spool.DropOldest
	}
	s.spool.Configure(s.wanted.Bytes, full)
	s.g.uplink.WriteAlways(s.wanted.Durability == "always")
}

// close is the end, after the uplink's.
func (s *spooling) close() {
	if store := s.store(); store != nil {
		if err := store.Close(); err != nil {
			s.g.log.Error().Err(err).Msg("spool not closed cleanly")
		}
	}
}

// spoolState is what operators are told of the disk: idle, spooling, full (devices
// wait) or failed.
type spoolState struct {
	State    string `json:"state"`
	Messages int    `json:"messages"`
	Bytes    int64  `json:"bytes"`
	Dropped  uint64 `json:"dropped"`
	Damaged  uint64 `json:"damaged"`
	Error    string `json:"error,omitempty"`
}

func (s *spooling) state() spoolState {
	s.mu.Lock()
	store, err := s.spool, s.err
	s.mu.Unlock()
	if store == nil {
		state := spoolState{State: "failed"}
		if err != nil {
			state.Error = err.Error()
		}
		return state
	}
	stats := store.Stats()
	state := spoolState{
		State: "idle", Messages: stats.Records, Bytes: stats.Bytes, Dropped: stats.Dropped, Damaged: stats.Damaged,
	}
	switch {
	case stats.Failed:
		state.State, state.Error = "failed", stats.Err.Error()
	case stats.Full:
		state.State = "full"
	case s.g.uplink.Spooling():
		state.State = "spooling"
	}
	return state
}

// oldest is when the oldest message on disk was written; zero for none.
func (s *spooling) oldest() time.Time {
	if store := s.store(); store != nil {
		return store.Stats().Oldest
	}
	return time.Time{}
}

// watch warns of messages that do not get to the hub, until ctx ends.
func (s *spooling) watch(ctx context.Context) {
	t := time.NewTicker(alarmEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.alarm()
	}
}

func (s *spooling) alarm() {
	s.mu.Lock()
	limit := time.Duration(s.wanted.AlarmSeconds) * time.Second
	s.mu.Unlock()
	if age := s.g.oldestUnsent(); limit > 0 && age > limit {
		s.g.log.Warn().Int("ageSeconds", int(age.Seconds())).Bool("hubConnected", s.g.hub.Connected()).
			Msg("oldest message waits too long for the hub")
	}
}
