package amqp

import (
	"bytes"
	"slices"
	"testing"

	client "github.com/Azure/go-amqp"
)

// Every second delivery is kept, the others are given back at once, so that what follows
// may use their memory.
func TestADeliveryThatIsKeptStaysAsItIsWhenOthersAreReleased(t *testing.T) {
	var kept []*Delivery
	var links []*Link
	seen, reused := 0, 0
	memory := map[*byte]bool{}
	addr := start(t, &Server{Handler: &node{attach: func(l *Link) (Terms, error) {
		links = append(links, l)
		return accepting(func(d *Delivery) {
			if first := &d.Data[:1][0]; memory[first] {
				reused++
			} else {
				memory[first] = true
			}
			if seen++; seen%2 == 0 {
				d.Release()
				d.Release()
			} else {
				kept = append(kept, d)
			}
			d.Settle(&Accepted{})
		}), nil
	}}})
	snd, err := newSession(t, dial(t, addr, nil)).NewSender(testContext(t), "somewhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for i := range 40 {
		size := 1000 - 10*i%300
		if i == 21 {
			size = maxSpareBytes + 1 // its memory is not kept
		}
		body := bytes.Repeat([]byte{byte(i)}, size)
		if i%2 == 0 {
			want = append(want, body)
		}
		if err := snd.Send(testContext(t), client.NewMessage(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	var got [][]byte
	for _, d := range kept {
		var m Message
		if err := m.Unmarshal(d.Data); err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Data[0])
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Error("what was kept has changed")
	}
	if reused == 0 || len(links) != 1 || len(links[0].spare) > maxSpare {
		t.Errorf("memory was used again %d times, %d links", reused, len(links))
	}
}
