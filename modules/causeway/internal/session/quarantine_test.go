package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// frames are what the list shows of a device.
func (r *rig) frames(t *testing.T, device string) (frames []string, more int) {
	t.Helper()
	page, _ := r.Quarantine.List("", 10, 1<<20)
	for _, d := range page {
		if d.Device == device {
			return d.Frames, d.More
		}
	}
	t.Fatalf("%s is not in quarantine: %v", device, page)
	return nil, 0
}

func TestADeviceInQuarantineStaysConnectedAndUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		d := r.connect(t)
		d.say("login new-1 pw\ndata a\npass pw\n")
		d.heard("welcome\n")
		after(30 * time.Second) // it need not hurry
		d.closedFor("")
		if got, more := r.frames(t, "new-1"); !slices.Equal(got, []string{"646174612061", "70617373202a2a2a2a2a"}) || more != 0 {
			t.Errorf("frames %v, and %d more", got, more)
		}
		if len(r.uplink.taken()) > 0 || r.Table.Find("new-1") != nil {
			t.Error("it is heard")
		}
		after(time.Minute)
		d.closedFor("idle")
		<-d.served
		if r.Quarantine.Len() != 0 {
			t.Error("it is in quarantine after its link's end")
		}
	})
}

func TestADeviceThatIsAdmittedGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		d := r.connect(t)
		d.say("login new-1\ndata a\ndata b\n")
		if r.Quarantine.On("new-1") != "l" || r.Quarantine.On("new-2") != "" {
			t.Error("nobody knows where it is")
		}
		if r.Quarantine.Admit("new-2", Verdict{}) || !r.Quarantine.Admit("new-1", Verdict{By: "operator"}) {
			t.Fatal("the wrong one is in quarantine")
		}
		d.say("data c\n")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"a", "b", "c"}) || r.Table.Find("new-1") != d.session {
			t.Fatalf("sent %v", got)
		}
		for _, body := range []string{"a", "b", "c"} {
			r.uplink.settle(t, body, nil)
		}
		d.heard("welcome\nack a\nack b\nack c\n")
		if s, _ := r.Table.Device("new-1"); s.AdmittedBy != "operator" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestADeviceOfWhichFramesAreMissingBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		d := r.connect(t)
		d.say("login new-1\ndata a\ndata b\ndata c\ndata d\n")
		if got, more := r.frames(t, "new-1"); len(got) != 3 || more != 1 {
			t.Errorf("%d frames are kept, and %d not", len(got), more)
		}
		r.Quarantine.Admit("new-1", Verdict{})
		d.closedFor("admitted")
		if len(r.uplink.taken()) > 0 {
			t.Errorf("sent %v", r.uplink.taken())
		}
	})
}

func TestADeviceThatIsRejectedIsRefusedAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		d := r.connect(t)
		d.say("login new-1\ndata a\n")
		if !r.Quarantine.Reject("new-1", "rejected") {
			t.Fatal("it is not in quarantine")
		}
		d.heard("welcome\nrefused\n")
		d.closedFor("identity")
		r.faults(t, FaultIdentity)
	})
}

func TestTheOldestInQuarantineGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		var devices []*device
		for _, id := range []string{"new-1", "new-2", "new-3", "new-3"} {
			d := r.connect(t)
			d.say("login " + id + "\n")
			devices = append(devices, d)
		}
		devices[0].closedFor("quarantine-left") // the oldest
		devices[1].closedFor("")
		devices[2].closedFor("quarantine-left") // the newest link of a device counts
		devices[3].closedFor("")
		page, total := r.Quarantine.List("new-2", 1, 1)
		if total != 2 || len(page) != 1 || page[0].Device != "new-3" {
			t.Errorf("page %v of %d", page, total)
		}
	})
}

func TestADeviceThatAMessageNamesIsHeldAndItsLinkGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		d := r.connect(t)
		d.say("from meter-1 a\nfrom new-1 b\nfrom new-1 c\nfrom meter-1 d\n")
		if got, _ := r.frames(t, "new-1"); !slices.Equal(got, []string{"62", "63"}) {
			t.Errorf("kept %v", got)
		}
		r.Quarantine.Admit("new-1", Verdict{})
		d.say("from new-1 e\n")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"a", "d", "e"}) {
			t.Errorf("sent %v", got)
		}
		d.say("from new-2 f\n")
		r.Quarantine.Reject("new-2", "rejected")
		d.say("from new-2 g\n")
		d.closedFor("")
		r.faults(t, FaultDropped, FaultDropped, FaultDropped, FaultIdentity)
	})
}

func TestDatagramsInQuarantineAreKeptAndComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, time.Second)
		s, link := r.peer(t)
		hear(s, "login new-1")
		after(time.Second)
		hear(s, "data a", "data a", "data a", "data a")
		if got, more := r.frames(t, "new-1"); len(got) != 3 || more != 1 || link.written() != "welcome\n" {
			t.Errorf("kept %v and %d more, the device heard %q", got, more, link.written())
		}
		r.Quarantine.Admit("new-1", Verdict{})
		hear(s, "data b")
		if got := r.uplink.taken(); !slices.Equal(got, []string{"b"}) || link.closedFor() != "" {
			t.Errorf("sent %v, closed for %q", got, link.closedFor())
		}
	})
}

func TestAListenerWithoutQuarantineRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		r.Quarantine = nil
		d := r.connect(t)
		d.say("login new-1\n")
		d.heard("refused\n")
		d.closedFor("identity")
	})
}

func TestACodecThatIsExchangedKnowsWhoIsInQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := guarded(t, 0)
		r.Codec = &version{name: "v1"}
		d := r.connect(t)
		d.say("login new-1\na\n")
		r.Swap(&version{name: "v2", resumes: true}, false)
		d.say("b\n") // between two frames it goes over
		r.Quarantine.Admit("new-1", Verdict{})
		d.say("c\n")
		if got := r.uplink.taken(); !slices.Equal(got, []string{
			"a by v2 of new-1", "b by v2 of new-1", "c by v2 of new-1",
		}) {
			t.Errorf("sent %q", got)
		}
	})
}
