package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/Azure/go-amqp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWholeLinesBecomeMembersOfTheBatch(t *testing.T) {
	u := newUplink(nil)
	used, err := lines([]byte("{}\n[1]\n{\"ne"), u, true)
	if err != nil || used != 7 || len(u.ends) != 2 {
		t.Fatalf("%d bytes used, %d members, %v", used, len(u.ends), err)
	}
	var got []string
	start := 0
	for _, end := range u.ends {
		var m amqp.Message
		if err := m.UnmarshalBinary(u.batch[start:end]); err != nil {
			t.Fatal(err)
		}
		got, start = append(got, string(m.GetData())), end
	}
	if !slices.Equal(got, []string{"{}", "[1]"}) {
		t.Errorf("%q", got)
	}
	if _, err := lines([]byte("{\n"), u, true); err == nil {
		t.Error("half a document is valid")
	}
	if used, err := lines([]byte("{\n"), u, false); err != nil || used != 2 {
		t.Errorf("%d, %v", used, err)
	}
}

func TestAFullBatchHoldsLinesBack(t *testing.T) {
	u := newUplink(nil)
	line := append(bytes.Repeat([]byte("x"), batchSize/2), '\n')
	u.add(line)
	u.add(line)
	added := make(chan struct{})
	go func() {
		defer close(added)
		u.add(line)
	}()
	u.mu.Lock()
	if len(u.batch) < batchSize || len(u.ends) != 2 {
		t.Errorf("%d members in %d bytes", len(u.ends), len(u.batch))
	}
	u.batch, u.ends = nil, nil // taken by the sender
	u.changed.Broadcast()
	u.mu.Unlock()
	<-added
	if len(u.ends) != 1 {
		t.Errorf("%d members after the batch was taken", len(u.ends))
	}
}
