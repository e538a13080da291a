package authenticate

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const banBucket = "bans"

// StateBans is the BanStore in the gateway's state file.
type StateBans struct{ File *state.File }

// storedBan is a ban as it is kept, under its target.
type storedBan struct {
	Device string       `json:"device,omitempty"`
	Range  netip.Prefix `json:"range,omitzero"`
	Until  time.Time    `json:"until,omitzero"`
	Reason string       `json:"reason,omitempty"`
}

// banKey keeps ids and ranges apart: an id may look like a range.
func banKey(b Ban) []byte {
	if b.Device != "" {
		return []byte("d" + b.Device)
	}
	return []byte("r" + b.Range.String())
}

// Save implements BanStore: the ban is on disk when it returns nil.
func (s StateBans) Save(b Ban) error {
	value, err := json.Marshal(storedBan{b.Device, b.Range, b.Until, b.Reason})
	if err == nil {
		err = s.File.Update(banBucket, func(in *state.Bucket) error { return in.Put(banKey(b), value) })
	}
	if err != nil {
		return fmt.Errorf("save ban of %s: %w", short(b.Target()), err)
	}
	return nil
}

// Delete implements BanStore.
func (s StateBans) Delete(b Ban) error {
	err := s.File.Update(banBucket, func(in *state.Bucket) error { return in.Delete(banKey(b)) })
	if err != nil {
		return fmt.Errorf("delete ban of %s: %w", short(b.Target()), err)
	}
	return nil
}

// Load returns the bans for NewGuard. Those that are damaged are left out and told of in
// the error, with the others.
func (s StateBans) Load() (list []Ban, err error) {
	damaged := 0
	err = s.File.View(banBucket, func(in *state.Bucket) error {
		in.Ascend(nil, func(_, value []byte) bool {
			var b storedBan
			if value == nil || json.Unmarshal(value, &b) != nil {
				damaged++
				return true
			}
			list = append(list, Ban{Device: b.Device, Range: b.Range, Until: b.Until, Reason: b.Reason})
			return len(list) < maxBans
		})
		return nil
	})
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%d bans: %w", damaged, state.ErrDamaged)
	}
	return list, err
}
