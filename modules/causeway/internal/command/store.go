package command

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/internal/state"
)

const bucket = "commands"

// StateStore is the Store in the gateway's state file.
type StateStore struct{ File *state.File }

// Save implements Store: the command is on disk when it returns nil.
func (s StateStore) Save(c Stored) error {
	value, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("save command %s: %w", c.ID, err)
	}
	err = s.File.Update(bucket, func(b *state.Bucket) error { return b.Put(key(c.Number), value) })
	if err != nil {
		return fmt.Errorf("save command %s: %w", c.ID, err)
	}
	return nil
}

// Delete implements Store.
func (s StateStore) Delete(number uint64) error {
	err := s.File.Update(bucket, func(b *state.Bucket) error { return b.Delete(key(number)) })
	if err != nil {
		return fmt.Errorf("delete command: %w", err)
	}
	return nil
}

// Load implements Store. Commands that are damaged are left out and told of in the
// error, with the others.
func (s StateStore) Load() (list []Stored, err error) {
	damaged := 0
	err = s.File.View(bucket, func(b *state.Bucket) error {
		b.Ascend(nil, func(key, value []byte) bool {
			var c Stored
			if len(key) != 8 || value == nil || json.Unmarshal(value, &c) != nil {
				damaged++
				return true
			}
			c.Number = binary.BigEndian.Uint64(key)
			if string(c.Request.Payload) == "null" {
				c.Request.Payload = nil // as it was: none is written as null
			}
			list = append(list, c)
			return true
		})
		return nil
	})
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%d commands: %w", damaged, state.ErrDamaged)
	}
	return list, err
}

func key(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }
