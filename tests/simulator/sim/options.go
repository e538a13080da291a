package sim

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/manifest"
)

// Options say what to start. The zero value is a hub on free ports of 127.0.0.1 that
// forgets everything when it is closed.
type Options struct {
	// State is the folder that survives; empty takes a temporary one that Close removes.
	State string
	// AMQP, MQTT, Web (both over WebSocket) and Control are listening addresses (default
	// "127.0.0.1:0"). With port 0 the port of the last run on the same state is taken again
	// when it is free. Control must be a loopback address, as it asks nobody who they are.
	AMQP, MQTT, Web, Control string
	// MQTTStrict ends an MQTT connection where the real hub swallows a client's mistake.
	MQTTStrict bool
	// Log, if not nil, is told what a client may not notice, a line each.
	Log func(line string)
	// Workload is the path of the workload API's socket (default workload.sock in State).
	Workload string
	// Gateway is the host name by which modules reach the hub (default "localhost").
	Gateway string
	// GatewayPort says whose port goes with that name in modules' environments: "amqp" (the
	// default), "mqtt" or "web".
	GatewayPort string
	// IoTHub and Device name the hub and the edge device (defaults of edge.Options).
	IoTHub, Device string
	// Manifest is deployed when it is given; otherwise everything goes to $upstream.
	Manifest *manifest.Manifest
	// Modules are made known beside those of the manifest.
	Modules []string
	// Leaves are leaf devices with their keys, as edge.Hub.AddLeaves takes them.
	Leaves map[string]string
	// Journal is a file that records upstream messages, and with .queue behind its name
	// what waits for the cloud, see package journal; empty for none.
	Journal string
	// Hub scales limits and times; its names, Keep and Journal are set by Start.
	Hub edge.Options
	// IdleTimeout and CloseGrace are the AMQP head's; zero for the real hub's.
	IdleTimeout, CloseGrace time.Duration

	// Service is the listening address of the service side's REST API over HTTPS, and of
	// calls from module to module (default "127.0.0.1:0"); SDKs need port 443. ServiceAMQP
	// is that of the service side's AMQP, by which SDKs send to devices; they need 5671.
	Service, ServiceAMQP string
	// Direct is the listening address of IoT Hub itself, for devices that connect to it
	// without an edge device: AMQP over TLS (default "127.0.0.1:0"). DirectMQTT is that of
	// MQTT over TLS, DirectWeb that of both over WebSocket.
	Direct, DirectMQTT, DirectWeb string
	// Inputs puts the simulator in single-module mode: a module called target has these
	// inputs, and POST /api/v1/messages on Inject (default "127.0.0.1:0"), a loopback
	// address, puts messages before them. See package inject.
	Inputs []string
	Inject string
}

const anyPort = "127.0.0.1:0"

func (o *Options) check() error {
	for _, address := range []*string{&o.AMQP, &o.MQTT, &o.Web, &o.Control} {
		if *address == "" {
			*address = anyPort
		}
	}
	if o.Gateway == "" {
		o.Gateway = "localhost"
	}
	if o.GatewayPort == "" {
		o.GatewayPort = doorName(amqpDoor)
	}
	if doorNamed(o.GatewayPort) == doors {
		return fmt.Errorf("gateway port %q must be amqp, mqtt or web", o.GatewayPort)
	}
	host, _, err := net.SplitHostPort(o.Control)
	if err != nil {
		return fmt.Errorf("control address %q must be host:port: %w", o.Control, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("control address %q must be a loopback address", o.Control)
	}
	if _, _, err := net.SplitHostPort(o.Gateway); err == nil {
		return errors.New("gateway must be a host name without a port")
	}
	return o.checkCloudSide()
}
