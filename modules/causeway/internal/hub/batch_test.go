package hub

import (
	"slices"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

// tallied is a receipt that is told numbers.
type tallied struct {
	name string
	log  *[]string
}

func (c *tallied) Settled(err error) { c.SettledTimes(1, err) }
func (c *tallied) SettledTimes(n int, _ error) {
	*c.log = append(*c.log, c.name+string(rune('0'+n)))
}

func TestMessagesOfOneReceiptThatStandTogetherAreSettledTogether(t *testing.T) {
	var log []string
	a, b := &tallied{"a", &log}, &tallied{"b", &log}
	whole := &batch{receipts: []message.Receipt{a, a, b, nil, nil, a, b, b, b}}
	whole.settle(nil)
	whole.settle(nil) // they are settled once
	if want := []string{"a2", "b1", "a1", "b3"}; !slices.Equal(log, want) {
		t.Errorf("settled %v, want %v", log, want)
	}
}
