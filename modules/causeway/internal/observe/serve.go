package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// requestTime bounds a request from its first byte to its last: a scrape takes
	// milliseconds.
	requestTime = 10 * time.Second
	// idleTime closes connections that nobody uses; a scraper makes a new one.
	idleTime = 2 * time.Minute
	// closeTime bounds the wait for open requests on Close.
	closeTime = 2 * time.Second
	// checkTime bounds Check, below Docker's 30 s for a HEALTHCHECK.
	checkTime = 5 * time.Second
	// maxHead bounds a request's head in bytes.
	maxHead = 8 << 10
)

// Health is what the gateway says of itself. Both methods are called for each
// request, concurrently, and must be quick.
type Health interface {
	// Alive returns nil while the main loop moves, or what stands still.
	Alive() error
	// Ready reports whether the configuration is applied and the listeners are up,
	// and details that encode as a JSON object.
	Ready() (ready bool, details any)
}

// Server serves /metrics, /healthz and /readyz.
type Server struct {
	http http.Server
	addr net.Addr
	done chan struct{}
	err  error
}

// Serve listens on addr ("host:port"; port 0 lets the system choose) and serves
// until Close. ctx bounds the listening only.
func Serve(ctx context.Context, addr string, m *Metrics, h Health) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("observe: listen for metrics on %q: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { healthz(w, h) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { readyz(w, h) })
	s := &Server{
		http: http.Server{
			Handler:           mux,
			ReadHeaderTimeout: requestTime,
			ReadTimeout:       requestTime,
			WriteTimeout:      requestTime,
			IdleTimeout:       idleTime,
			MaxHeaderBytes:    maxHead,
		},
		addr: listener.Addr(),
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.addr }

// Close stops listening, waits for open requests within a bound, and returns why
// serving had ended before, if it had.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // the requests had their time
	}
	<-s.done
	return s.err
}

func healthz(w http.ResponseWriter, h Health) {
	if err := h.Alive(); err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]any{"alive": false, "error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"alive": true})
}

func readyz(w http.ResponseWriter, h Health) {
	ready, details := h.Ready()
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]any{"ready": ready, "details": details})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that has gone hears nothing
}

// Check asks a health URL and returns nil when it answers 200. It is what the
// container's HEALTHCHECK runs.
func Check(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("observe: check health: %w", err)
	}
	// A transport of its own: no proxy of the environment, nothing left open.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("observe: check health: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxValue))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("observe: check health: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("observe: check health: %s answers %s: %s", url, response.Status, text)
	}
	return nil
}
