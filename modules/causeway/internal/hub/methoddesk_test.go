package hub

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// deskCase is a desk whose methods run until they are let go.
type deskCase struct {
	release chan struct{}
	began   chan string
	told    chan int
}

func newDeskCase() *deskCase {
	return &deskCase{release: make(chan struct{}), began: make(chan string, 100), told: make(chan int, 100)}
}

func (c *deskCase) method(_ context.Context, name string, _ json.RawMessage) (int, json.RawMessage) {
	c.began <- name
	<-c.release
	return 200, nil
}

func (c *deskCase) reply(status int, _ json.RawMessage) { c.told <- status }

func (c *deskCase) statuses() (all []int) {
	for len(c.told) > 0 {
		all = append(all, <-c.told)
	}
	slices.Sort(all)
	return all
}

func TestAPlaceIsFreeBeforeTheAnswerIsSentAndTheDeskBusyUntilItIs(t *testing.T) {
	d := newMethodDesk(func(context.Context, string, json.RawMessage) (int, json.RawMessage) { return 200, nil },
		newMethodRoom(1, 0, 0), 1, 2)
	sending, sent := make(chan struct{}), make(chan struct{})
	d.take(t.Context(), "first", nil, func(int, json.RawMessage) {
		close(sending)
		<-sent
	})
	<-sending
	answered := make(chan int, 1)
	d.take(t.Context(), "second", nil, func(status int, _ json.RawMessage) { answered <- status })
	if status := <-answered; status != 200 {
		t.Errorf("who has an answer calls again: status %d", status)
	}
	if !d.busy() {
		t.Error("it is not busy while an answer is on its way")
	}
	close(sent)
	d.wait()
	if d.busy() {
		t.Error("it is busy with nothing")
	}
}

func TestMethodsOverTheBoundWaitForAPlaceInTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newDeskCase()
		d := newMethodDesk(c.method, newMethodRoom(10, 3, time.Minute), 2, 10)
		for _, name := range []string{"1", "2", "3", "4", "5"} {
			d.take(t.Context(), name, nil, c.reply)
			synctest.Wait()
		}
		d.take(t.Context(), "over all bounds", nil, c.reply)
		synctest.Wait()
		if got := c.statuses(); !slices.Equal(got, []int{statusBusy}) || len(c.began) != 2 {
			t.Fatalf("two run and three wait: told %v, %d run", got, len(c.began))
		}
		for range 5 {
			c.release <- struct{}{}
			synctest.Wait()
		}
		d.wait()
		var order []string
		for len(c.began) > 0 {
			order = append(order, <-c.began)
		}
		if !slices.Equal(order[2:], []string{"3", "4", "5"}) {
			t.Errorf("they ran in the order %v", order)
		}
		if got := c.statuses(); !slices.Equal(got, []int{200, 200, 200, 200, 200}) {
			t.Errorf("told %v", got)
		}
	})
}

func TestAMethodThatFindsNoPlaceInTimeIsRefused(t *testing.T) {
	cases := map[string]int{"the device's places are taken": 1, "the room's places are taken": 5}
	for name, running := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, room := newDeskCase(), newMethodRoom(1, 1, 8*time.Second)
				d := newMethodDesk(c.method, room, running, 10)
				d.take(t.Context(), "silent", nil, c.reply)
				d.take(t.Context(), "waits", nil, c.reply)
				time.Sleep(7 * time.Second)
				synctest.Wait()
				if got := c.statuses(); got != nil {
					t.Fatalf("told %v before its time", got)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := c.statuses(); !slices.Equal(got, []int{statusBusy}) {
					t.Fatalf("told %v", got)
				}
				close(c.release)
				d.wait()
				d.take(t.Context(), "finds all free", nil, c.reply)
				d.wait()
				if got := c.statuses(); !slices.Equal(got, []int{200, 200}) || len(room.places)+len(room.waiting)+len(d.own) != 0 {
					t.Errorf("told %v, %d places of the room are taken, %d of those that wait, %d of the device",
						got, len(room.places), len(room.waiting), len(d.own))
				}
			})
		})
	}
}

func TestASilentDeviceLeavesRoomForTheMethodsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, room := newDeskCase(), newMethodRoom(3, 10, time.Minute)
		silent, other := newMethodDesk(c.method, room, 2, 3), newMethodDesk(c.method, room, 2, 3)
		for range 4 {
			silent.take(t.Context(), "say", nil, c.reply)
			synctest.Wait()
		}
		if got := c.statuses(); !slices.Equal(got, []int{statusBusy}) {
			t.Errorf("over what a device may have taken: %v", got)
		}
		for range 2 {
			<-c.began
		}
		other.take(t.Context(), "hear", nil, c.reply)
		if name := <-c.began; name != "hear" {
			t.Errorf("%q runs", name)
		}
		close(c.release)
		silent.wait()
		other.wait()
	})
}
