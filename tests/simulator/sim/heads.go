package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/mqtthead"
	"github.com/causeway-iot/causeway/tests/simulator/service"
	"github.com/causeway-iot/causeway/tests/simulator/wshead"
)

// The hub's doors, in the order of their start, and the ports that clients take for granted.
const (
	amqpDoor = iota
	mqttDoor
	webDoor
	doors
)

// doorName is what options and the kept ports call a door.
func doorName(door int) string { return [doors]string{"amqp", "mqtt", "web"}[door] }

// doorNamed returns doors for a name that none has.
func doorNamed(name string) int {
	for door := range doors {
		if doorName(door) == name {
			return door
		}
	}
	return doors
}

// heads are the hub's protocol heads for as long as it is up.
type heads struct {
	amqp      *amqphead.Server
	mqtt      *mqtthead.Server
	web       *http.Server
	listeners [doors]*trackedListener
	served    sync.WaitGroup
}

func (e *Edge) openHeads(ctx context.Context) error {
	wanted := [doors]string{e.opts.AMQP, e.opts.MQTT, e.opts.Web}
	var listeners [doors]net.Listener
	for i := range doors {
		l, err := e.listen(ctx, doorName(i), wanted[i])
		if err != nil {
			closeAll(listeners[:i])
			return err
		}
		listeners[i], e.addrs[i] = l, l.Addr().String()
	}
	e.power.Lock()
	defer e.power.Unlock()
	e.raise(listeners)
	e.onClose(func() error {
		e.power.Lock()
		e.ended = true
		e.power.Unlock()
		return e.Down(false)
	})
	return nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// raise starts the heads on the listeners. Caller holds power.
func (e *Edge) raise(listeners [doors]net.Listener) {
	h := &heads{
		amqp: amqphead.New(e.hub, amqphead.Options{
			AckTimeout: e.opts.Hub.AckTimeout, IdleTimeout: e.opts.IdleTimeout, CloseGrace: e.opts.CloseGrace,
			IoTHub: e.hub.IoTHub(),
		}),
		mqtt: mqtthead.New(e.hub, mqtthead.Options{
			Strict: e.opts.MQTTStrict, Keep: e.dir, Now: e.opts.Hub.Now, Swallowed: e.swallowed,
		}),
	}
	h.web = &http.Server{
		Handler: wshead.Door{Heads: map[string]wshead.Serve{
			wshead.AMQP: h.amqp.ServeConn, wshead.MQTT: h.mqtt.ServeConn,
		}, Otherwise: service.New(e.hub).Between()},
		// These are for calls of methods, and end when a WebSocket begins.
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: methodRead, WriteTimeout: methodWrite,
		ErrorLog: log.New(io.Discard, "", 0), // clients that do not trust us tell their own side
	}
	for i, l := range listeners {
		h.listeners[i] = &trackedListener{Listener: l, conns: map[*trackedConn]struct{}{}}
	}
	serve := func(door int, f func(net.Listener) error) {
		h.served.Go(func() { _ = f(tls.NewListener(h.listeners[door], e.tls)) })
	}
	serve(amqpDoor, func(l net.Listener) error { return h.amqp.Serve(context.Background(), l) })
	serve(mqttDoor, func(l net.Listener) error { return h.mqtt.Serve(context.Background(), l) })
	serve(webDoor, h.web.Serve)
	e.heads = h
}

func (e *Edge) swallowed(id edge.Identity, reason error) {
	if e.opts.Log != nil {
		e.opts.Log(fmt.Sprintf("mqtt: a publish of %s was acknowledged and lost: %v", id, reason))
	}
}

// Down stops listening and ends every connection: with the close of a hub that shuts
// down, or abruptly as when its host is gone. It returns when they are gone; a hub that
// is down stays so.
func (e *Edge) Down(abrupt bool) error {
	e.power.Lock()
	defer e.power.Unlock()
	h := e.heads
	if h == nil {
		return nil
	}
	for _, l := range h.listeners {
		_ = l.Close()
		if abrupt {
			l.cut()
		}
	}
	// The web server first: what comes through it would be refused by heads that are closed.
	h.web.Close()
	e.hub.ForgetClients() // one that is started again has seen nobody
	err := errors.Join(h.amqp.Close(), h.mqtt.Close())
	h.served.Wait()
	e.heads = nil
	return err
}

// portTries and portPause bound how long Up waits for each of its own ports: the kernel may
// hold one for a moment.
const (
	portTries = 50
	portPause = 100 * time.Millisecond
)

// Up listens on the same ports again.
func (e *Edge) Up() error {
	e.power.Lock()
	defer e.power.Unlock()
	if e.ended {
		return errors.New("bring the hub up: the simulator is closed")
	}
	if e.heads != nil {
		return nil
	}
	var listeners [doors]net.Listener
	for i, addr := range e.addrs {
		l, err := relisten(addr)
		if err != nil {
			closeAll(listeners[:i])
			return fmt.Errorf("bring the hub up: %w", err)
		}
		listeners[i] = l
	}
	e.raise(listeners)
	return nil
}

func relisten(addr string) (l net.Listener, err error) {
	var config net.ListenConfig
	for range portTries {
		if l, err = config.Listen(context.Background(), "tcp", addr); err == nil {
			return l, nil
		}
		time.Sleep(portPause)
	}
	return nil, err
}

// DropAll cuts every TCP connection without a word and returns how many there were.
func (e *Edge) DropAll() int {
	e.power.Lock()
	defer e.power.Unlock()
	if e.heads == nil {
		return 0
	}
	n := 0
	for _, l := range e.heads.listeners {
		n += l.cut()
	}
	return n
}

// Addr is the AMQP head's host:port.
func (e *Edge) Addr() string { return e.addrs[amqpDoor] }

// MQTTAddr is the MQTT head's host:port.
func (e *Edge) MQTTAddr() string { return e.addrs[mqttDoor] }

// WebAddr is the host:port of AMQP and MQTT over WebSocket.
func (e *Edge) WebAddr() string { return e.addrs[webDoor] }

// Gateway is what modules dial: the gateway's host name, with the port of
// Options.GatewayPort unless that is the protocol's standard one.
func (e *Edge) Gateway() string { return e.reach(doorNamed(e.opts.GatewayPort)) }

// MQTTGateway is what modules dial for MQTT: the host name, with the port unless it is 8883.
func (e *Edge) MQTTGateway() string { return e.reach(mqttDoor) }

// WebGateway is what modules dial for WebSocket: the host name, with the port unless it is
// 443.
func (e *Edge) WebGateway() string { return e.reach(webDoor) }

func (e *Edge) reach(door int) string {
	standard := [doors]string{"5671", "8883", "443"}
	_, port, err := net.SplitHostPort(e.addrs[door])
	if err != nil || port == standard[door] {
		return e.opts.Gateway
	}
	return net.JoinHostPort(e.opts.Gateway, port)
}
