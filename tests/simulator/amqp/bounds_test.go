package amqp

import (
	"errors"
	"testing"
)

func TestHandlesAreBoundedThoseOfRefusedLinksToo(t *testing.T) {
	r := begin(t, start(t, handling(func(*Link) (Terms, error) { return Terms{}, errors.New("no") })))
	go func() {
		var b []byte
		for handle := range uint32(maxLinks + 1) {
			b = appendFrame(b, frameAMQP, 0, senderAttach("l", handle))
		}
		_, _ = r.conn.Write(b)
	}()
	for {
		if end, ok := r.next().(*End); ok {
			if end.Err == nil || end.Err.Condition != CondResourceLimit {
				t.Errorf("end %v", end.Err)
			}
			return
		}
	}
}

func TestUnfinishedMessagesAreBoundedInAll(t *testing.T) {
	r := begin(t, start(t, handling(func(*Link) (Terms, error) { return deliverNothing(accepting(nil)), nil })))
	go func() {
		part := transfer(0, make([]byte, 60000))
		part.More = true
		for handle := range uint32(40) {
			a := senderAttach(string(rune('A'+handle)), handle)
			b := appendFrame(nil, frameAMQP, 0, a)
			part.Handle = handle
			for range 17 { // just below the limit of a message
				b = appendFrame(b, frameAMQP, 0, part)
			}
			if _, err := r.conn.Write(b); err != nil {
				return
			}
		}
	}()
	for {
		if cl, ok := r.next().(*Close); ok {
			if cl.Err == nil || cl.Err.Condition != CondResourceLimit {
				t.Errorf("close %v", cl.Err)
			}
			return
		}
	}
}
