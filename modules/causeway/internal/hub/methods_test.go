package hub

import (
	"context"
	"encoding/json"
	"testing"
)

func TestAPlaceIsFreeBeforeTheAnswerIsSentAndTheDeskBusyUntilItIs(t *testing.T) {
	free := make(chan struct{}, 1)
	d := newMethodDesk(func(context.Context, string, json.RawMessage) (int, json.RawMessage) { return 200, nil }, free, 2)
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

func TestASilentDeviceLeavesRoomForTheMethodsOfOthers(t *testing.T) {
	free, release := make(chan struct{}, 3), make(chan struct{})
	wait := func(context.Context, string, json.RawMessage) (int, json.RawMessage) {
		<-release
		return 200, nil
	}
	statuses := make(chan int, 10)
	told := func(status int, _ json.RawMessage) { statuses <- status }
	silent, other := newMethodDesk(wait, free, 2), newMethodDesk(wait, free, 2)
	for range 3 {
		silent.take(t.Context(), "say", nil, told)
	}
	if status := <-statuses; status != statusBusy {
		t.Errorf("over the device's bound: status %d", status)
	}
	other.take(t.Context(), "say", nil, told)
	close(release)
	for range 3 {
		if status := <-statuses; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	silent.wait()
	other.wait()
}
