// Package sim puts the simulator together: the hub with its protocol heads, the workload
// API and the control API, for tests in the same process and for the program.
package sim

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/control"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/journal"
	"github.com/causeway-iot/causeway/tests/simulator/pki"
	"github.com/causeway-iot/causeway/tests/simulator/state"
	"github.com/causeway-iot/causeway/tests/simulator/workload"
)

// Edge is a running simulator. All methods are safe for concurrent use.
type Edge struct {
	opts      Options
	dir       *state.Dir
	hub       *edge.Hub
	authority *pki.Authority
	tls       *tls.Config
	addrs     [doors]string
	control   string
	socket    string

	// power guards the heads, which go away and come back until the end.
	power sync.Mutex
	ended bool
	heads *heads

	servers sync.WaitGroup
	// closers run in reverse order.
	closers   []func() error
	closeOnce sync.Once
	closeErr  error

	service serviceAddresses
	inject  string // URL
}

// Start starts a simulator. ctx bounds the start only; Close ends it.
func Start(ctx context.Context, opts Options) (*Edge, error) {
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("start simulator: %w", err)
	}
	e := &Edge{opts: opts}
	steps := []func(context.Context) error{
		e.openState, e.openHub, e.deploy, e.openWorkload, e.openHeads, e.openControl,
	}
	steps = append(steps, e.openService, e.openInject)
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("start simulator: %w", err), e.Close())
		}
	}
	return e, nil
}

// Close stops everything and waits for it.
func (e *Edge) Close() error {
	e.closeOnce.Do(func() {
		var errs []error
		for i := len(e.closers) - 1; i >= 0; i-- {
			errs = append(errs, e.closers[i]())
		}
		e.servers.Wait()
		e.closeErr = errors.Join(errs...)
	})
	return e.closeErr
}

func (e *Edge) onClose(f func() error) { e.closers = append(e.closers, f) }

func (e *Edge) openState(context.Context) error {
	path := e.opts.State
	if path == "" {
		temp, err := os.MkdirTemp("", "sim")
		if err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
		path = temp
		e.onClose(func() error { return os.RemoveAll(temp) })
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	dir, err := state.Open(path)
	if err != nil {
		return err
	}
	release, err := dir.Lock()
	if err != nil {
		return err
	}
	e.onClose(release)
	e.dir = dir
	if e.authority, err = pki.Open(dir); err != nil {
		return err
	}
	return e.certify()
}

// certify makes the hub's server certificate; a new one each start, as only the root
// is what clients know.
func (e *Edge) certify() error {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if e.opts.Gateway != "localhost" {
		names = append(names, e.opts.Gateway)
	}
	names = append(names, e.serviceNames()...)
	issued, err := e.authority.Issue(pki.Request{CommonName: e.opts.Gateway, Names: names})
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(issued.Chain, issued.Key)
	if err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	// A client certificate is welcome and judged when its owner says who it is.
	e.tls = &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
	}
	return nil
}

func (e *Edge) openHub(context.Context) error {
	options := e.opts.Hub
	options.Keep, options.Journal = e.dir, nil
	options.Gateway, options.ClientCAs = e.opts.Gateway, e.authority.Pool()
	if e.opts.IoTHub != "" {
		options.IoTHub = e.opts.IoTHub
	}
	if e.opts.Device != "" {
		options.Device = e.opts.Device
	}
	var old []edge.Upstream
	var waiting []edge.Waiting
	options.Spool = nil
	if e.opts.Journal != "" {
		file, messages, err := journal.Open(e.opts.Journal, max(options.KeepMessages, 100_000))
		if err != nil {
			return err
		}
		e.onClose(file.Close)
		options.Journal, old = file, messages
		queue, left, err := journal.OpenQueue(e.opts.Journal + journal.QueueSuffix)
		if err != nil {
			return err
		}
		e.onClose(queue.Close)
		options.Spool, waiting = queue, left
	}
	hub, err := edge.New(options)
	if err != nil {
		return err
	}
	hub.Replay(old)
	e.hub = hub
	e.onClose(func() error { hub.Close(); return nil })
	return hub.Requeue(waiting)
}

func (e *Edge) openWorkload(ctx context.Context) error {
	var master []byte
	if found, err := e.dir.Load("master-key", &master); err != nil {
		return err
	} else if !found {
		master = newMasterKey()
		if err := e.dir.Save("master-key", master); err != nil {
			return err
		}
	}
	api, err := workload.New(registry{e.hub}, e.authority, e.hub.IoTHub(), e.hub.Device(), master)
	if err != nil {
		return err
	}
	listener, err := e.listenWorkload(ctx)
	if err != nil {
		return err
	}
	// RSA keys take a while on a small machine, hence the long write timeout.
	e.serveHTTP(listener, &http.Server{
		Handler: api, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
	})
	return nil
}

// serveHTTP serves until Close.
func (e *Edge) serveHTTP(l net.Listener, s *http.Server) {
	base, cancel := context.WithCancel(context.Background())
	s.BaseContext = func(net.Listener) context.Context { return base }
	e.servers.Go(func() { _ = s.Serve(l) })
	e.onClose(func() error {
		cancel()
		return s.Close()
	})
}

func (e *Edge) openControl(ctx context.Context) error {
	l, err := e.listen(ctx, "control", e.opts.Control)
	if err != nil {
		return err
	}
	e.control = "http://" + l.Addr().String()
	api, page := control.New(e.hub, e), e.newPortal()
	api.Handle("GET /portal/", page)
	api.Handle("GET /{$}", page)
	// A method call lasts up to 300 s of connecting and 300 s of answering.
	e.serveHTTP(l, &http.Server{
		Handler: api, ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout: 30 * time.Second, WriteTimeout: 11 * time.Minute,
	})
	return nil
}

// listen takes the port of the last run when any port will do.
func (e *Edge) listen(ctx context.Context, name, address string) (net.Listener, error) {
	var config net.ListenConfig
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%s address %q must be host:port: %w", name, address, err)
	}
	ports := map[string]string{}
	if _, err := e.dir.Load("ports", &ports); err != nil {
		return nil, err
	}
	var l net.Listener
	if last := ports[name]; port == "0" && last != "" {
		l, _ = config.Listen(ctx, "tcp", net.JoinHostPort(host, last)) // taken by others: any port will do
	}
	if l == nil {
		if l, err = config.Listen(ctx, "tcp", address); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	_, ports[name], _ = net.SplitHostPort(l.Addr().String())
	if err := e.dir.Save("ports", ports); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Hub returns the core, for tests in the same process.
func (e *Edge) Hub() *edge.Hub { return e.hub }

// Control returns the control API's URL.
func (e *Edge) Control() string { return e.control }

// Workload returns the workload API's URI, unix:///path.
func (e *Edge) Workload() string { return "unix://" + e.socket }

// CAFile returns the path of the root certificate that clients trust.
func (e *Edge) CAFile() string { return e.dir.Path(pki.CertificateFile) }

// State returns the state folder's path.
func (e *Edge) State() string { return e.dir.Path("") }

// registry lets the workload API see the hub's modules.
type registry struct{ hub *edge.Hub }

func (r registry) Key(module string) ([]byte, error) {
	k, err := r.hub.Known(edge.Identity{Device: r.hub.Device(), Module: module})
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", module, workload.ErrUnknownModule)
	}
	return base64.StdEncoding.DecodeString(k.Key)
}

func (r registry) Modules() []string {
	var names []string
	for _, k := range r.hub.Identities() {
		if k.Device == r.hub.Device() && k.Module != "" && !strings.HasPrefix(k.Module, "$") {
			names = append(names, k.Module)
		}
	}
	return names
}
