package portal_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/portal"
)

func TestAPageSeesWhatWasThereAndWhatComes(t *testing.T) {
	t.Parallel()
	h, url := serve(t, portal.Options{Period: 5 * time.Millisecond})
	publish(t, h, module("m"), edge.Message{Output: "old", Body: []byte("x"), Properties: map[string]string{"a": "b"}})
	s := watch(t, url+"/portal/feed")
	e := s.next()
	if len(e.Rows) != 1 || e.Rows[0].Output != "old" || e.Rows[0].Properties["a"] != "b" || e.Rows[0].Sequence != 1 {
		t.Fatalf("got %+v", e)
	}
	publish(t, h, module("n"), edge.Message{Output: "new", Body: []byte{0xff, 1}})
	for e = s.next(); len(e.Rows) == 0; e = s.next() {
		continue
	}
	if r := e.Rows[0]; r.Module != "n" || r.Preview != "ff 01" || !r.Binary || r.Size != 2 || e.Sequence != 2 {
		t.Fatalf("got %+v", e)
	}
}

// The last event comes when nothing new has happened for 20 periods, long after ReadTimeout.
func TestAQuietFeedStaysOpen(t *testing.T) {
	t.Parallel()
	_, url := serve(t, portal.Options{Period: 60 * time.Millisecond})
	s := watch(t, url+"/portal/feed")
	for range 3 {
		if e := s.next(); e.Rows == nil || len(e.Rows) != 0 {
			t.Fatalf("got %+v", e)
		}
	}
}

func TestAFloodIsSampledAndCounted(t *testing.T) {
	t.Parallel()
	h, url := serve(t, portal.Options{})
	publish(t, h, module("m"), many(30_000)...)
	s := watch(t, url+"/portal/feed?since=0")
	e := s.next()
	if e.Passed != 20_000 || e.Scanned != 10_000 || e.Matched != 10_000 || len(e.Rows) != 200 {
		t.Fatalf("passed %d, scanned %d, matched %d, %d rows", e.Passed, e.Scanned, e.Matched, len(e.Rows))
	}
	if first, last := e.Rows[0].Sequence, e.Rows[199].Sequence; first != 29_801 || last != 30_000 {
		t.Errorf("the rows are %d to %d, not the newest", first, last)
	}
	publish(t, h, module("m"), many(1000)...)
	if e = s.next(); e.Matched != 1000 || len(e.Rows) != 40 || e.Rows[39].Sequence != 31_000 {
		t.Errorf("then matched %d, %d rows", e.Matched, len(e.Rows))
	}
}

func TestAnEventIsSmallHoweverLargeTheMessages(t *testing.T) {
	t.Parallel()
	h, url := serve(t, portal.Options{})
	properties := map[string]string{}
	for i := range 60 {
		properties[fmt.Sprint(i)] = strings.Repeat("<", 1000)
	}
	for range 100 {
		publish(t, h, module("m"), edge.Message{Output: "o", Body: []byte(strings.Repeat("\u20ac", 50_000)), Properties: properties})
	}
	s := watch(t, url+"/portal/feed")
	e := s.next()
	if len(e.Rows) != 100 || s.size > 100*8<<10 {
		t.Fatalf("%d rows in %d bytes", len(e.Rows), s.size)
	}
	if r := e.Rows[0]; r.Preview != strings.Repeat("\u20ac", 80) || r.Binary || len(r.Properties) != 8 {
		t.Errorf("got %+v", r)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	h, url := serve(t, portal.Options{})
	publish(t, h, module("m"),
		edge.Message{Output: "telemetry", Body: []byte(`{"Speed":1}`)},
		edge.Message{Output: "alarms", Body: []byte("x"), Properties: map[string]string{"deviceId": "D7"}})
	publish(t, h, edge.Identity{Device: "leaf"}, edge.Message{Body: []byte("y"), System: map[string]string{"contentType": "text/plain"}})
	publish(t, h, module("n"), edge.Message{Output: "alarms", Body: []byte(strings.Repeat(" ", 20_000) + "far")})
	for _, c := range []struct{ query, sequences string }{
		{"", "[1 2 3 4]"},
		{"identity=m", "[1 2]"},
		{"identity=edge/n", "[4]"},
		{"identity=leaf/", "[3]"},
		{"identity=stranger", "[]"},
		{"output=ALARM", "[2 4]"},
		{"identity=m&output=alarms", "[2]"},
		{"text=speed", "[1]"},
		{"text=DEVICEID%3Dd7", "[2]"},
		{"text=text/plain", "[3]"},
		{"text=far", "[]"}, // it stands behind the part that is searched
	} {
		e := watch(t, url+"/portal/feed?"+c.query).next()
		found := []uint64{}
		for _, r := range e.Rows {
			found = append(found, r.Sequence)
		}
		if got := fmt.Sprint(found); got != c.sequences || e.Scanned != 4 || int(e.Matched) != len(found) {
			t.Errorf("%s: got %s, matched %d of %d", c.query, got, e.Matched, e.Scanned)
		}
	}
}

func TestMistakesOfAFeed(t *testing.T) {
	t.Parallel()
	_, url := serve(t, portal.Options{})
	for _, query := range []string{"identity=a/b/c", "since=x", "since=-1"} {
		if answer := get(t, url+"/portal/feed?"+query); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d", query, answer.StatusCode)
		}
	}
	// A hub that began anew has lower numbers than the page remembers.
	if e := watch(t, url+"/portal/feed?since=99").next(); e.Sequence != 0 {
		t.Errorf("got %+v", e)
	}
}

func TestPagesAreBoundedAndMakeRoom(t *testing.T) {
	t.Parallel()
	_, url := serve(t, portal.Options{Pages: 1, Period: 5 * time.Millisecond})
	first := get(t, url+"/portal/feed")
	if first.StatusCode != http.StatusOK {
		t.Fatalf("got %d", first.StatusCode)
	}
	if second := get(t, url+"/portal/feed"); second.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("got %d", second.StatusCode)
	}
	_ = first.Body.Close()
	for end := time.Now().Add(10 * time.Second); get(t, url+"/portal/feed").StatusCode != http.StatusOK; {
		if time.Now().After(end) {
			t.Fatal("a page that has gone keeps its place")
		}
	}
}

// The page asks for the feed and never reads. The hub goes on as before, and the page's
// place is free again when the server's patience is over.
func TestAPageThatDoesNotReadIsLetGo(t *testing.T) {
	t.Parallel()
	h, url := serve(t, portal.Options{Pages: 1, Period: time.Millisecond, Patience: 100 * time.Millisecond})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096) // a small window fills soon
	if _, err := fmt.Fprintf(conn, "GET /portal/feed HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 12)); err != nil { // from here on it holds the only place
		t.Fatal(err)
	}
	if answer := get(t, url+"/portal/feed"); answer.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("got %d", answer.StatusCode)
	}
	large := edge.Message{Output: "o", Body: []byte(strings.Repeat("\x00\n", 200)), Properties: map[string]string{"a": strings.Repeat("<", 80)}}
	slowest := time.Duration(0)
	for end := time.Now().Add(15 * time.Second); ; {
		begun := time.Now()
		for range 40 {
			publish(t, h, module("m"), large)
		}
		slowest = max(slowest, time.Since(begun))
		answer := get(t, url+"/portal/feed")
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the page keeps its place")
		}
	}
	if slowest > 2*time.Second {
		t.Errorf("40 messages took %v beside a page that does not read", slowest)
	}
}
