package sim

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqphead"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/mqtthead"
	"github.com/causeway-iot/causeway/tests/simulator/wshead"
)

// openDirect opens the cloud's own doors for devices.
func (e *Edge) openDirect(ctx context.Context) error {
	cloud, err := edge.NewCloud(e.hub, e.cloudHosts())
	if err != nil {
		return err
	}
	amqp := amqphead.New(cloud, amqphead.Options{
		AckTimeout: e.opts.Hub.AckTimeout, IdleTimeout: e.opts.IdleTimeout, CloseGrace: e.opts.CloseGrace,
		IoTHub: e.hub.IoTHub(), Cloud: true,
	})
	// IoT Hub ends the connection of who publishes what it has no use for.
	mqtt := mqtthead.New(cloud, mqtthead.Options{Strict: true, Now: e.opts.Hub.Now})
	e.onClose(amqp.Close)
	e.onClose(mqtt.Close)
	wanted := [doors]string{e.opts.Direct, e.opts.DirectMQTT, e.opts.DirectWeb}
	var listeners [doors]net.Listener
	for door := range doors {
		name := "direct" // as the ports of older states are kept
		if door != amqpDoor {
			name += "-" + doorName(door)
		}
		l, err := e.listen(ctx, name, wanted[door])
		if err != nil {
			closeAll(listeners[:door])
			return err
		}
		listeners[door], e.service.direct[door] = l, l.Addr().String()
	}
	e.serveCloud(listeners[amqpDoor], amqp.Serve)
	e.serveCloud(listeners[mqttDoor], mqtt.Serve)
	e.serveHTTP(tls.NewListener(listeners[webDoor], e.tls), &http.Server{
		Handler: wshead.Door{Heads: map[string]wshead.Serve{
			wshead.AMQP: amqp.ServeConn, wshead.MQTT: mqtt.ServeConn,
		}},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that do not trust us tell their own side
	})
	return nil
}

// Direct returns the host:port at which devices reach the IoT hub without an edge device,
// over AMQP.
func (e *Edge) Direct() string { return e.service.direct[amqpDoor] }

// DirectMQTT is Direct for MQTT.
func (e *Edge) DirectMQTT() string { return e.service.direct[mqttDoor] }

// DirectWeb is Direct for both over WebSocket.
func (e *Edge) DirectWeb() string { return e.service.direct[webDoor] }

// DeviceConnectionString is that of the policy by which one connects as any device,
// straight to the IoT hub.
func (e *Edge) DeviceConnectionString() string {
	host := e.Direct()
	if name, port, err := net.SplitHostPort(host); err == nil && port == "5671" {
		host = name
	}
	return "HostName=" + host + ";SharedAccessKeyName=" + edge.PolicyDevice +
		";SharedAccessKey=" + e.hub.PolicyKey(edge.PolicyDevice)
}
