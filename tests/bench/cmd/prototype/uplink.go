package main

import (
	"bytes"
	"context"
	"sync"

	"github.com/Azure/go-amqp"
)

const (
	batchFormat = 0x80013700
	// batchSize is where a batch is full: one AMQP frame holds 65,536 bytes.
	batchSize = 60_000
	// inFlight is how many batches may wait for the hub's answer.
	inFlight = 64
)

// uplink gathers lines while the last batch is being written.
type uplink struct {
	sender   *amqp.Sender
	receipts chan amqp.SendReceipt

	mu      sync.Mutex
	changed *sync.Cond // the batch has begun, or was taken
	batch   []byte     // encoded members, one after the other
	ends    []int
}

func newUplink(sender *amqp.Sender) *uplink {
	u := &uplink{sender: sender, receipts: make(chan amqp.SendReceipt, inFlight)}
	u.changed = sync.NewCond(&u.mu)
	return u
}

// add encodes lines as members; it waits while the batch is full.
func (u *uplink) add(lines []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(lines) > 0 {
		for len(u.batch) >= batchSize {
			u.changed.Wait()
		}
		end := bytes.IndexByte(lines, '\n')
		line := lines[:end]
		lines = lines[end+1:]
		// One data section: descriptor 0x75 and binary with four bytes of length.
		n := len(line)
		u.batch = append(u.batch, 0x00, 0x53, 0x75, 0xb0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		u.batch = append(u.batch, line...)
		u.ends = append(u.ends, len(u.batch))
		if len(u.ends) == 1 {
			u.changed.Broadcast()
		}
	}
}

// send writes batch after batch.
func (u *uplink) send(ctx context.Context) error {
	var batch []byte
	var ends []int
	var members [][]byte
	for {
		u.mu.Lock()
		for len(u.ends) == 0 {
			u.changed.Wait()
		}
		batch, u.batch = u.batch, batch[:0]
		ends, u.ends = u.ends, ends[:0]
		u.changed.Broadcast()
		u.mu.Unlock()
		members = members[:0]
		start := 0
		for _, end := range ends {
			members = append(members, batch[start:end])
			start = end
		}
		receipt, err := u.sender.SendWithReceipt(ctx, &amqp.Message{Format: batchFormat, Data: members}, nil)
		if err != nil {
			return err
		}
		u.receipts <- receipt
	}
}

// settle waits for the hub's answers in order.
func (u *uplink) settle(ctx context.Context) error {
	for receipt := range u.receipts {
		if _, err := receipt.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
