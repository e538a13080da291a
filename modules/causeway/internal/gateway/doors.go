package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/authenticate"
	"github.com/causeway-iot/causeway/modules/causeway/internal/command"
	"github.com/causeway-iot/causeway/modules/causeway/internal/config"
	"github.com/causeway-iot/causeway/modules/causeway/internal/session"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const (
	// byOperator is how verdicts call who has let a device in by a method.
	byOperator = "operator"
	// reasonBanned is why links of who is banned are closed.
	reasonBanned = "banned"
	// quarantineBytes ends a page of devices in quarantine: an answer of a method has 128
	// KiB.
	quarantineBytes = 64 << 10
	// coolingListed bounds the cool-downs in an answer.
	coolingListed = 100
)

// doors is who may come in: what judges devices, of all listeners, what keeps them out,
// and whom nobody knows.
type doors struct {
	g          *Gateway
	bans       authenticate.StateBans
	guard      atomic.Pointer[authenticate.Guard]
	banned     atomic.Bool // there is a ban: looked at for every connection
	counting   sync.Mutex  // of the bans
	passwords  *authenticate.Passwords
	database   *authenticate.Database
	aside      *authenticate.Workers // for datagrams
	quarantine *session.Quarantine
	visitors   *visitors
	roster     atomic.Pointer[roster]
	closing    sync.WaitGroup // rosters that are being closed
}

func newDoors(g *Gateway, file *state.File) *doors {
	d := &doors{
		g: g, bans: authenticate.StateBans{File: file}, passwords: authenticate.NewPasswords(nil, nil),
		aside: authenticate.NewWorkers(authenticate.WorkersOptions{
			Parallel: asideParallel, Queue: asideQueue, Wait: asideTime,
		}),
		quarantine: session.NewQuarantine(session.QuarantineBounds{Devices: 256, Frames: 16, Bytes: 16 << 10}),
		visitors:   &visitors{file: file, list: make(map[string]time.Time)},
	}
	d.database = authenticate.NewDatabase(authenticate.DatabaseOptions{File: file, Passwords: d.passwords})
	d.guard.Store(authenticate.NewGuard(authenticate.GuardOptions{Store: d.bans}, nil))
	return d
}

// restore takes what was kept on disk; before the first listener opens.
func (d *doors) restore() error {
	kept, err := d.bans.Load()
	d.guard.Store(authenticate.NewGuard(authenticate.GuardOptions{Store: d.bans}, kept))
	d.banned.Store(len(kept) > 0)
	return errors.Join(err, d.visitors.restore(time.Now()))
}

// close ends what judges, once no listener is open any more.
func (d *doors) close() {
	d.aside.Close()
	d.closing.Wait()
	if r := d.roster.Load(); r != nil {
		d.dismiss(r, new(roster))
	}
}

// barred tells listeners of addresses that are banned.
func (d *doors) barred(addr netip.Addr) bool {
	return d.banned.Load() && d.guard.Load().Banned(addr)
}

// configure takes what a document says of bans and bounds. Links of who is banned by it
// are closed.
func (d *doors) configure(document *config.Document) {
	q := document.Quarantine
	d.quarantine.Bound(session.QuarantineBounds{Devices: q.Devices, Frames: q.Frames, Bytes: q.Bytes})
	guard := d.guard.Load()
	guard.Rules(coolDowns(document.Limits))
	before := make(map[string]bool)
	for _, b := range guard.List() {
		before[b.Target()] = true
	}
	if err := guard.SetTwin(bansOf(document)); err != nil { // the schema has the same bounds
		d.g.log.Error().Err(err).Msg("bans of the twin not taken")
	}
	d.count(guard)
	for _, b := range guard.List() {
		if !before[b.Target()] {
			d.banish(b)
		}
	}
}

// count notes whether there is a ban.
func (d *doors) count(guard *authenticate.Guard) {
	d.counting.Lock()
	defer d.counting.Unlock()
	d.banned.Store(len(guard.List()) > 0)
}

// coolDowns are the rules of a document; how long the guard remembers is its own.
func coolDowns(l config.Limits) (pair, address, device authenticate.CoolDown) {
	const window, most, memory = 10 * time.Minute, time.Hour, 24 * time.Hour
	first := time.Duration(l.CoolDownSeconds) * time.Second
	rule := func(failures int) authenticate.CoolDown {
		return authenticate.CoolDown{Failures: failures, Window: window, First: first, Most: most, Memory: memory}
	}
	pair, address, device = rule(l.FailedLogins), rule(l.FailedLoginsPerAddress), rule(l.FailedLoginsPerDevice)
	device.Most = max(first, window) // its owner may be at a new address
	return pair, address, device
}

func bansOf(document *config.Document) []authenticate.Ban {
	list := make([]authenticate.Ban, 0, len(document.Bans))
	for _, b := range document.Bans {
		ban := authenticate.Ban{Device: b.Device, Until: b.Until, Reason: b.Reason}
		if b.Addresses != nil {
			ban.Range = b.Addresses.Prefix
		}
		list = append(list, ban)
	}
	return list
}

// banish closes the links of who is banned.
func (d *doors) banish(b authenticate.Ban) (closed int) {
	if b.Device == "" {
		return d.g.table.BanishAll(b.Range, reasonBanned)
	}
	if d.quarantine.Reject(b.Device, reasonBanned) {
		closed++
	}
	return closed + d.g.table.Banish(b.Device, reasonBanned)
}

// banView is a ban in a list.
type banView struct {
	Device    string    `json:"deviceId,omitempty"`
	Addresses string    `json:"addresses,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Until     time.Time `json:"until,omitzero"`
	By        string    `json:"by"`
}

// coolingView is a cool-down in a list.
type coolingView struct {
	Device  string    `json:"deviceId,omitempty"`
	Address string    `json:"address,omitempty"`
	Until   time.Time `json:"until"`
}

// ListBans implements command.Bans.
func (d *doors) ListBans(skip, limit int) (any, error) {
	all := d.guard.Load().List()
	page := make([]banView, 0, limit)
	for _, b := range all[min(skip, len(all)):min(skip+limit, len(all))] {
		v := banView{Device: b.Device, Reason: b.Reason, Until: b.Until, By: b.Origin}
		if b.Device == "" {
			v.Addresses = b.Range.String()
		}
		page = append(page, v)
	}
	cooling := []coolingView{}
	for _, c := range d.guard.Load().Cooling(coolingListed) {
		v := coolingView{Device: c.Device, Until: c.Until.UTC()}
		if c.Address.IsValid() {
			v.Address = c.Address.String()
		}
		cooling = append(cooling, v)
	}
	return map[string]any{"bans": page, "total": len(all), "coolingDown": cooling}, nil
}

func banOf(b command.Ban) authenticate.Ban {
	return authenticate.Ban{Device: b.Device, Range: b.Addresses, Reason: b.Reason}
}

// Ban implements command.Bans.
func (d *doors) Ban(b command.Ban) (closed int, err error) {
	ban := banOf(b)
	if b.Lasts > 0 {
		ban.Until = time.Now().Add(b.Lasts).UTC()
	}
	if err := d.guard.Load().Ban(ban); err != nil {
		return 0, err
	}
	d.count(d.guard.Load())
	d.visitors.remove(b.Device)
	d.g.log.Info().Str("target", ban.Target()).Time("until", ban.Until).Msg("banned by a method")
	return d.banish(ban), nil
}

// Unban implements command.Bans. Failed logins are forgiven, too.
func (d *doors) Unban(b command.Ban) (bool, error) {
	guard := d.guard.Load()
	err := guard.Unban(banOf(b))
	lifted := err == nil
	if errors.Is(err, authenticate.ErrBan) {
		err = nil
	}
	d.count(guard)
	var addr netip.Addr
	if b.Addresses.IsSingleIP() {
		addr = b.Addresses.Addr()
	}
	return guard.Forgive(addr, b.Device) || lifted, err
}

// ListQuarantine implements command.Quarantine.
func (d *doors) ListQuarantine(after string, limit int) any {
	page, total := d.quarantine.List(after, limit, quarantineBytes)
	answer := map[string]any{"devices": page, "total": total}
	if n := len(page); n > 0 && page[n-1].Device != after && n < total {
		answer["next"] = page[n-1].Device
	}
	return answer
}

// AdmitDevice implements command.Quarantine.
func (d *doors) AdmitDevice(device string, lasts time.Duration) (connected bool, err error) {
	if l := d.g.running()[d.quarantine.On(device)]; l != nil && l.admission.fits != nil {
		if err := l.admission.fits(device); err != nil {
			return false, fmt.Errorf("admit device %q: %w", device, err)
		}
	}
	until := time.Now().Add(lasts)
	if err := d.visitors.admit(device, until); err != nil {
		return false, err
	}
	d.g.log.Info().Str("device", device).Time("until", until).Msg("device admitted by a method")
	return d.quarantine.Admit(device, session.Verdict{By: byOperator, Expires: until}), nil
}

// RejectDevice implements command.Quarantine.
func (d *doors) RejectDevice(device string, banned time.Duration) (bool, error) {
	rejected := d.quarantine.Reject(device, "rejected")
	if d.visitors.remove(device) {
		rejected = true
		d.g.table.Banish(device, "rejected")
	}
	if banned > 0 {
		_, err := d.Ban(command.Ban{Device: device, Reason: "rejected", Lasts: banned})
		return true, err
	}
	return rejected, nil
}

// doorGauges adds what the doors know to the metrics.
func (o *observers) doorGauges(d *doors) error {
	return errors.Join(
		o.metrics.Gauge("causeway_quarantined_devices", "Devices in quarantine.", func() float64 {
			return float64(d.quarantine.Len())
		}),
		o.metrics.Gauge("causeway_bans", "Bans in force, of the twin and of methods.", func() float64 {
			return float64(d.guard.Load().Stats().Bans)
		}),
		o.metrics.Gauge("causeway_cool_downs", "Devices and addresses that wait after failed logins.", func() float64 {
			s := d.guard.Load().Stats()
			return float64(s.Pairs + s.Addresses + s.Devices)
		}),
	)
}
