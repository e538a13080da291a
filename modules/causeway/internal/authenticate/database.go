package authenticate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const (
	deviceBucket = "devices"
	// maxDevices bounds the database where its owner does not: some 25 MiB of the state
	// file, all of which is read at the start.
	maxDevices = 100_000
	// maxPage bounds one answer of List: a direct method's answer has 128 KiB.
	maxPage = 1000
)

// DatabaseOptions are what a Database is made of.
type DatabaseOptions struct {
	// File is where the devices are kept. The database does not close it.
	File *state.File
	// Passwords hashes and compares.
	Passwords *Passwords
	// Limit bounds the devices. Zero is 100,000.
	Limit int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Database is the gateway's own list of devices. It is safe for concurrent use.
type Database struct {
	with DatabaseOptions

	mu      sync.Mutex // held through each change, so that the count is right
	devices int        // stored; -1 until they were counted
}

// NewDatabase makes a database over a file that need not be open yet.
func NewDatabase(o DatabaseOptions) *Database {
	if o.Limit <= 0 {
		o.Limit = maxDevices
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Passwords == nil {
		o.Passwords = NewPasswords(nil, o.Now)
	}
	return &Database{with: o, devices: -1}
}

// get reads the record of a device. The error is ErrNoDevice, or that of the file.
func (d *Database) get(id string) (r record, err error) {
	if id == "" || len(id) > maxDevice {
		return r, ErrNoDevice
	}
	err = d.with.File.View(deviceBucket, func(b *state.Bucket) error {
		value, err := b.Get([]byte(id))
		if err != nil {
			return err
		}
		return json.Unmarshal(value, &r)
	})
	if errors.Is(err, state.ErrNone) {
		return r, ErrNoDevice
	}
	if err == nil && r.ID != id {
		err = state.ErrDamaged
	}
	return r, err
}

// Get returns a device. The error may be ErrNoDevice, or that of the file.
func (d *Database) Get(id string) (Device, error) {
	r, err := d.get(id)
	if err != nil {
		return Device{}, fmt.Errorf("get device %q: %w", short(id), err)
	}
	return r.device(), nil
}

// List returns devices in the order of their ids, after the given one ("" for the
// first), at most limit of them and at most 1000. Records that are damaged are left out.
func (d *Database) List(after string, limit int) ([]Device, error) {
	records, err := d.page(after, limit)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	list := make([]Device, len(records))
	for i := range records {
		list[i] = records[i].device()
	}
	return list, nil
}

func (d *Database) page(after string, limit int) (list []record, err error) {
	limit = min(max(limit, 1), maxPage)
	var from []byte
	if after != "" {
		from = []byte(after)
	}
	err = d.with.File.View(deviceBucket, func(b *state.Bucket) error {
		b.Ascend(from, func(_, value []byte) bool {
			var r record
			if value != nil && json.Unmarshal(value, &r) == nil {
				list = append(list, r)
			}
			return len(list) < limit
		})
		return nil
	})
	return list, err
}

// Put adds a device or replaces it. It may wait for a worker to hash a password. The
// error may be ErrDevice, ErrHash, ErrFull, ErrBusy, or that of the file.
func (d *Database) Put(ctx context.Context, device Device, p Password) error {
	if err := device.check(); err != nil {
		return fmt.Errorf("put device: %w", err)
	}
	if count(p.Plain != "", p.Hash != "", p.Keep) > 1 {
		return fmt.Errorf("put device: %w: at most one of password, hash and keep", ErrDevice)
	}
	hash := p.Hash
	var err error
	if p.Plain != "" {
		hash, err = d.with.Passwords.Hash(ctx, p.Plain)
	} else if hash != "" {
		_, err = parseHash(hash)
	}
	if err != nil {
		return fmt.Errorf("put device: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Keep {
		old, err := d.get(device.ID)
		if err != nil && !errors.Is(err, ErrNoDevice) {
			return fmt.Errorf("put device: %w", err)
		}
		hash = old.Hash
	}
	if _, err := d.write([]record{device.record(hash)}); err != nil {
		return fmt.Errorf("put device: %w", err)
	}
	return nil
}

// write stores records, all or none, and returns how many are new. The lock is held.
func (d *Database) write(list []record) (added int, err error) {
	if err := d.recount(); err != nil {
		return 0, err
	}
	err = d.with.File.Update(deviceBucket, func(b *state.Bucket) error {
		for i := range list {
			key := []byte(list[i].ID)
			if _, err := b.Get(key); errors.Is(err, state.ErrNone) { // a damaged one is there
				added++
			}
			if d.devices+added > d.with.Limit {
				return fmt.Errorf("%w: at most %d devices are kept", ErrFull, d.with.Limit)
			}
			value, err := json.Marshal(list[i])
			if err != nil {
				return err
			}
			if err := b.Put(key, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	d.devices += added
	return added, nil
}

// recount counts once what is stored. The lock is held.
func (d *Database) recount() error {
	if d.devices >= 0 {
		return nil
	}
	n := 0
	err := d.with.File.View(deviceBucket, func(b *state.Bucket) error {
		b.Ascend(nil, func(_, _ []byte) bool { n++; return true })
		return nil
	})
	if err == nil {
		d.devices = n
	}
	return err
}

// Count returns how many devices are kept.
func (d *Database) Count() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.recount(); err != nil {
		return 0, fmt.Errorf("count devices: %w", err)
	}
	return d.devices, nil
}

// Remove deletes a device. The error may be ErrNoDevice, or that of the file. A session
// that it has is its caller's business.
func (d *Database) Remove(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == "" || len(id) > maxDevice {
		return fmt.Errorf("remove device %q: %w", short(id), ErrNoDevice)
	}
	err := d.recount()
	if err == nil {
		err = d.with.File.Update(deviceBucket, func(b *state.Bucket) error {
			if _, err := b.Get([]byte(id)); errors.Is(err, state.ErrNone) {
				return ErrNoDevice
			}
			return b.Delete([]byte(id))
		})
	}
	if err != nil {
		return fmt.Errorf("remove device %q: %w", short(id), err)
	}
	d.devices--
	return nil
}

// newDatabase is the kind database. It has no settings: the database is the gateway's.
func newDatabase(settings json.RawMessage, deps Deps) (Authenticator, error) {
	if err := codec.DecodeOptions(settings, &DatabaseSpec{}); err != nil {
		return nil, err
	}
	if deps.Database == nil {
		return nil, codec.Optionf("", "there is no database here")
	}
	return deps.Database, nil
}

// DatabaseSpec is the settings of the kind database: none.
type DatabaseSpec struct{}

// Authenticate implements Authenticator. A device that the database does not have is the
// next one's. A record that cannot be read is an error, not an unknown device: it may
// say that the device is disabled. How long the answer takes tells which ids are known:
// they are no secrets, and a hash for each unknown one would be a way to keep all busy.
func (d *Database) Authenticate(ctx context.Context, r Request) (Verdict, error) {
	stored, err := d.get(r.Device)
	if errors.Is(err, ErrNoDevice) {
		return next()
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("look device up: %w", err)
	}
	device := stored.device()
	if reason := device.judge(r.Listener, d.with.Now()); reason != "" {
		return deny(reason)
	}
	if stored.Hash == "" {
		return Verdict{Decision: Allow, Reason: "by id", Expires: device.Expires}, nil
	}
	if r.Secret == "" {
		return deny("no password")
	}
	ok, err := d.with.Passwords.Matches(ctx, stored.Hash, r.Secret)
	if err != nil {
		return Verdict{}, err
	}
	if !ok {
		return deny("wrong password")
	}
	return allow("by password", device.Expires)
}
