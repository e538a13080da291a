package message

import (
	"errors"
	"testing"
)

// plainReceipt counts its calls, counterReceipt is told numbers.
type plainReceipt struct{ calls int }

func (p *plainReceipt) Settled(error) { p.calls++ }

type counterReceipt struct {
	plainReceipt

	times []int
}

func (c *counterReceipt) SettledTimes(n int, _ error) { c.times = append(c.times, n) }

func TestAReceiptThatCountsIsToldOnce(t *testing.T) {
	p, c, reason := &plainReceipt{}, &counterReceipt{}, errors.New("refused")
	Settle(p, 3, reason)
	Settle(c, 3, reason)
	if p.calls != 3 || c.calls != 0 || len(c.times) != 1 || c.times[0] != 3 {
		t.Errorf("told %d times; %d times, and %v", p.calls, c.calls, c.times)
	}
}
