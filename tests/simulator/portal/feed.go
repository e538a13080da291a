package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// The bounds of one event. Forty rows four times a second are more than anybody reads.
const (
	maxRows = 40
	// firstRows and backlog are for the first event: what a page finds when it opens. A
	// page that looks for something looks back as far as one event can.
	firstRows = 200
	backlog   = 200
	// maxScanned bounds the messages that are looked at for one event: 40,000 a second.
	maxScanned = 10_000
	// maxPreview and maxPairs bound what a row shows of a body, in bytes, and of properties.
	maxPreview = 240
	maxPairs   = 8
	maxValue   = 80
	// silence is how many periods go by before an event that says nothing new; it finds
	// out that a page has gone.
	silence = 20
)

// row is a message as the list shows it; GET /messages has the whole of it.
type row struct {
	Sequence   uint64            `json:"sequence"`
	Enqueued   time.Time         `json:"enqueued"`
	Device     string            `json:"device"`
	Module     string            `json:"module,omitempty"`
	Output     string            `json:"output,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
	// Preview is the beginning of the body; Binary says that it is in hexadecimal.
	Preview string `json:"preview"`
	Binary  bool   `json:"binary,omitempty"`
	Size    int    `json:"size"`
}

// event is what a page gets each time. Scanned, Matched and Passed count since the event
// before: messages looked at, those that the filter took, and those that nobody looked at.
type event struct {
	Rows    []row  `json:"rows"`
	Scanned uint64 `json:"scanned"`
	Matched uint64 `json:"matched"`
	Passed  uint64 `json:"passed"`
	// Sequence is the newest message's number, seen or not.
	Sequence uint64 `json:"sequence"`
}

// feed streams events until the page goes, stops reading, or the simulator ends.
func (p *Portal) feed(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query(), p.hub.Device())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	since, err := p.start(r, &f)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case p.pages <- struct{}{}:
		defer func() { <-p.pages }()
	default:
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d pages watch already", p.opts.Pages))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	p.stream(r.Context(), w, f, since)
}

// start is the place after which a page begins: where it was, or a little before now.
func (p *Portal) start(r *http.Request, f *filter) (uint64, error) {
	text := r.Header.Get("Last-Event-Id")
	if text == "" {
		text = r.URL.Query().Get("since")
	}
	if text == "" {
		newest, back := p.hub.Sequence(), uint64(backlog)
		if f.narrow() {
			back = maxScanned
		}
		return newest - min(newest, back), nil
	}
	since, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("since is %q, it must be a sequence number", text)
	}
	return since, nil
}

func (p *Portal) stream(ctx context.Context, w http.ResponseWriter, f filter, since uint64) {
	out := http.NewResponseController(w)
	tick := time.NewTicker(p.opts.Period)
	defer tick.Stop()
	kept := make([]edge.Upstream, firstRows)
	for quiet := silence; ; quiet++ { // the first event comes at once
		var e event
		e, since = p.next(ctx, &f, since, kept)
		kept = kept[:maxRows]
		if quiet >= silence || e.Scanned+e.Passed > 0 {
			quiet = 0
			if send(w, out, p.opts.Patience, &e) != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// next reads on from since. When too many messages have come, it passes over the oldest.
// kept is a ring for the rows: the newest stay, and only they are encoded.
func (p *Portal) next(ctx context.Context, f *filter, since uint64, kept []edge.Upstream) (event, uint64) {
	most := uint64(len(kept))
	newest := p.hub.Sequence()
	e := event{Rows: []row{}, Sequence: newest}
	since = min(since, newest) // a hub that began anew
	if newest-since > maxScanned {
		e.Passed = newest - since - maxScanned
		since = newest - maxScanned
	}
	for since < newest {
		list := p.hub.Messages(ctx, since, int(min(newest-since, 1000)), 0)
		if len(list) == 0 {
			e.Passed += newest - since // counting mode keeps none
			since = newest
			break
		}
		for i := range list {
			m := &list[i]
			e.Passed += m.Sequence - since - 1
			since = m.Sequence
			e.Scanned++
			if f.takes(&m.Message) {
				kept[e.Matched%most] = *m
				e.Matched++
			}
		}
	}
	for n := e.Matched - min(e.Matched, most); n < e.Matched; n++ {
		e.Rows = append(e.Rows, show(&kept[n%most]))
	}
	clear(kept) // bodies are not held beyond the hub's own time
	return e, since
}

func send(w http.ResponseWriter, out *http.ResponseController, patience time.Duration, e *event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	_ = out.SetWriteDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.Sequence, text); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return out.Flush()
}

func show(u *edge.Upstream) row {
	m := &u.Message
	shown := row{
		Sequence: u.Sequence, Enqueued: m.Enqueued.UTC(), Device: m.From.Device, Module: m.From.Module,
		Output: m.Output, Size: len(m.Body), Properties: map[string]string{},
	}
	for name, value := range m.Properties {
		if len(shown.Properties) == maxPairs {
			break
		}
		shown.Properties[begin(name)] = begin(value)
	}
	head := m.Body[:min(len(m.Body), maxPreview)]
	for n := 0; n < utf8.UTFMax && len(head) > 0 && len(head) < len(m.Body) && !utf8.RuneStart(m.Body[len(head)]); n++ {
		head = head[:len(head)-1] // not a cut inside a character
	}
	if shown.Preview = string(head); !readable(head) {
		shown.Preview, shown.Binary = fmt.Sprintf("% x", head[:min(len(head), maxPreview/3)]), true
	}
	return shown
}

func begin(text string) string {
	if len(text) <= maxValue {
		return text
	}
	return strings.ToValidUTF8(text[:maxValue], "") + "…"
}

// readable says whether the bytes are text without control characters but white space.
func readable(body []byte) bool {
	return utf8.Valid(body) && !bytes.ContainsFunc(body, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
	})
}
