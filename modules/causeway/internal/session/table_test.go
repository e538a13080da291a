package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestLoginIsAnsweredAndJudged(t *testing.T) {
	long := strings.Repeat("x", deviceIDLimit+1)
	cases := []struct {
		name, say, heard, closed string
		faults                   []FaultKind
	}{
		{"let in", "login t-1\n", "welcome\n", "", nil},
		{"let in twice", "login t-1\nlogin t-1\n", "welcome\nwelcome\n", "", nil},
		{"not admitted", "login stranger\n", "refused\n", "identity", []FaultKind{FaultIdentity}},
		{"an id that is too long", "login " + long + "\n", "refused\n", "identity", []FaultKind{FaultIdentity}},
		{"an id that is no text", "login \xff\n", "refused\n", "identity", []FaultKind{FaultIdentity}},
		{"an id with a control character", "login a\x7fb\n", "refused\n", "identity", []FaultKind{FaultIdentity}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				d := r.connect(t)
				d.say(c.say)
				d.heard(c.heard)
				d.closedFor(c.closed)
				r.faults(t, c.faults...)
				if _, there := r.Table.Device("t-1"); there != (c.closed == "") {
					t.Errorf("the device is in the table: %v", there)
				}
			})
		})
	}
}

func TestSecondLoginTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		old := r.connect(t)
		old.say("login t-1\n")
		young := r.connect(t)
		young.say("login t-1\n")
		old.closedFor("taken-over")
		<-old.served
		young.closedFor("")
		if r.Table.Find("t-1") != young.session {
			t.Error("the table does not lead to the newer link")
		}
		old.session.bind("t-1", Verdict{}) // what was still buffered takes nothing back
		if r.Table.Find("t-1") != young.session {
			t.Error("the older link took the device back")
		}
		if want := []string{"t-1", "t-1"}; !slices.Equal(r.present, want) {
			t.Errorf("present %v, want %v", r.present, want)
		}
	})
}

func TestDeviceNamedByMessagesMovesWithoutClosingAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		first, second := r.connect(t), r.connect(t)
		first.say("from meter a\n")
		second.say("from meter b\n")
		first.closedFor("")
		if r.Table.Find("meter") != second.session {
			t.Error("the newer message did not move the device")
		}
		_ = second.conn.Close()
		<-second.served
		first.say("from meter c\n")
		if r.Table.Find("meter") != first.session {
			t.Error("the device is lost although its first link speaks for it")
		}
	})
}

func TestOneLinkSpeaksForABoundedNumberOfDevices(t *testing.T) {
	r := newRig(t)
	link, conn := newFakeLink("tcp")
	defer conn.Close()
	s, err := Begin(r.Profile, link)
	if err != nil {
		t.Fatal(err)
	}
	for i := range bindingsPerLink + 10 {
		s.bind(fmt.Sprintf("meter-%05d", i), Verdict{})
	}
	if _, devices := r.Table.Counts(); devices != bindingsPerLink {
		t.Errorf("%d devices, want %d", devices, bindingsPerLink)
	}
	page, total := r.Table.Devices("meter-00001", 2)
	if total != bindingsPerLink || len(page) != 2 || page[0].Device != "meter-00002" || page[1].Device != "meter-00003" {
		t.Errorf("a page of %v, of %d", page, total)
	}
	s.End()
	s.End()
	if links, devices := r.Table.Counts(); links != 0 || devices != 0 {
		t.Errorf("%d links and %d devices are left", links, devices)
	}
}
