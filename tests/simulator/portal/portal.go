package portal

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// files are the page.
//
//go:embed page
var files embed.FS

// policy lets the page load its own files and nothing else. There is no inline script, and
// Trusted Types make the browser refuse code that would turn text into markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Heads says whether the protocol heads accept connections.
type Heads interface{ Listening() bool }

// Options scale the feed. Zero values stand for the defaults beside them.
type Options struct {
	// Period is the time between two events of a feed (250 ms).
	Period time.Duration
	// Patience is how long a page may take to read an event (10 s).
	Patience time.Duration
	// Pages bounds the feeds that are open at a time (16).
	Pages int
}

// Portal is the page as an HTTP handler, to be mounted at /portal/ and at the root.
type Portal struct {
	hub   *edge.Hub
	heads Heads
	opts  Options
	// pages holds a token for each open feed.
	pages  chan struct{}
	routes *http.ServeMux
}

// New builds the portal of a hub.
func New(hub *edge.Hub, heads Heads, opts Options) *Portal {
	if opts.Period <= 0 {
		opts.Period = 250 * time.Millisecond
	}
	if opts.Patience <= 0 {
		opts.Patience = 10 * time.Second
	}
	if opts.Pages <= 0 {
		opts.Pages = 16
	}
	p := &Portal{hub: hub, heads: heads, opts: opts, pages: make(chan struct{}, opts.Pages), routes: http.NewServeMux()}
	page, err := fs.Sub(files, "page")
	if err != nil {
		page = files // cannot be: the folder is embedded above
	}
	p.routes.Handle("GET /portal/", http.StripPrefix("/portal/", http.FileServerFS(page)))
	p.routes.HandleFunc("GET /portal/feed", p.feed)
	p.routes.HandleFunc("GET /portal/overview", p.overview)
	p.routes.Handle("GET /{$}", http.RedirectHandler("/portal/", http.StatusFound))
	return p
}

// ServeHTTP implements http.Handler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	p.routes.ServeHTTP(w, r)
}

func reply(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // a caller that has gone needs no answer
}

func refuse(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"message": text})
}
