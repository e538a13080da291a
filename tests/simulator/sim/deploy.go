package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/inject"
)

// deploy makes identities known, leaf devices behind the modules whose keys theirs may be
// derived of, sets routes, and sets the twins that the manifest
// brings. A twin is set once for each content: what was patched since stays over a
// restart with the same manifest, as a real deployment is applied once.
func (e *Edge) deploy(ctx context.Context) error {
	for _, name := range e.opts.Modules {
		if err := e.addModule(name); err != nil {
			return err
		}
	}
	if len(e.opts.Inputs) > 0 {
		for _, name := range []string{inject.Target, inject.Source} {
			if err := e.addModule(name); err != nil {
				return err
			}
		}
	}
	m := e.opts.Manifest
	if m == nil {
		if err := e.deployLeaves(); err != nil {
			return err
		}
		return e.hub.SetRoutes([]edge.Route{{
			Name: "upstream", Text: "FROM /* INTO $upstream", Priority: edge.DefaultPriority,
		}}, 0)
	}
	for i := range m.Modules {
		if err := e.addModule(m.Modules[i].Name); err != nil {
			return err
		}
	}
	if err := e.deployLeaves(); err != nil {
		return err
	}
	var routes []edge.Route
	for _, r := range m.Routes {
		route := edge.Route{
			Name: r.Name, Text: r.Text, Priority: edge.DefaultPriority,
			TimeToLive: time.Duration(r.TimeToLiveSeconds) * time.Second,
		}
		if r.Priority != nil {
			route.Priority = *r.Priority
		}
		routes = append(routes, route)
	}
	if err := e.hub.SetRoutes(routes, time.Duration(m.TimeToLiveSeconds)*time.Second); err != nil {
		return err
	}
	return e.deployTwins(ctx)
}

func (e *Edge) deployLeaves() error {
	for pattern, key := range e.opts.Leaves {
		if _, err := e.hub.AddLeaves(pattern, key); err != nil {
			return err
		}
	}
	return nil
}

func (e *Edge) addModule(name string) error {
	return e.hub.AddIdentity(edge.Identity{Device: e.hub.Device(), Module: name}, "")
}

func (e *Edge) deployTwins(ctx context.Context) error {
	deployed := map[string]string{}
	if _, err := e.dir.Load("deployed", &deployed); err != nil {
		return err
	}
	for name, desired := range e.opts.Manifest.Desired {
		sum := sha256.Sum256(desired)
		digest := hex.EncodeToString(sum[:])
		if deployed[name] == digest {
			continue
		}
		if err := e.addModule(name); err != nil {
			return err
		}
		id := edge.Identity{Device: e.hub.Device(), Module: name}
		if err := e.hub.SetDesired(ctx, id, desired); err != nil {
			return fmt.Errorf("deploy: %w", err)
		}
		deployed[name] = digest
	}
	return e.dir.Save("deployed", deployed)
}

// Env returns the environment by which a module finds the simulator, in the style
// "workload" (as on a device) or "connectionstring" (as in iotedgehubdev). With a slash
// behind the name it is a leaf device's, whatever the style: its connection string through
// this gateway.
func (e *Edge) Env(module, style string) (map[string]string, error) {
	if device, leaf := strings.CutSuffix(module, "/"); leaf {
		return e.leafEnv(device)
	}
	k, err := e.hub.Known(edge.Identity{Device: e.hub.Device(), Module: module})
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	switch style {
	case StyleWorkload, "":
		return map[string]string{
			"IOTEDGE_WORKLOADURI":        e.Workload(),
			"IOTEDGE_IOTHUBHOSTNAME":     e.hub.IoTHub(),
			"IOTEDGE_GATEWAYHOSTNAME":    e.Gateway(),
			"IOTEDGE_DEVICEID":           k.Device,
			"IOTEDGE_MODULEID":           k.Module,
			"IOTEDGE_MODULEGENERATIONID": k.Generation,
			"IOTEDGE_AUTHSCHEME":         "sasToken",
			"IOTEDGE_APIVERSION":         "2022-08-03",
		}, nil
	case StyleConnectionString:
		return map[string]string{
			"EdgeHubConnectionString": "HostName=" + e.hub.IoTHub() + ";GatewayHostName=" + e.Gateway() +
				";DeviceId=" + k.Device + ";ModuleId=" + k.Module + ";SharedAccessKey=" + k.Key,
			"EdgeModuleCACertificateFile": e.CAFile(),
		}, nil
	}
	return nil, fmt.Errorf("environment: style %q must be %s or %s", style, StyleWorkload, StyleConnectionString)
}

// leafEnv has the variable that the samples of the device SDKs read.
func (e *Edge) leafEnv(device string) (map[string]string, error) {
	k, err := e.hub.Known(edge.Identity{Device: device})
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return map[string]string{
		"IOTHUB_DEVICE_CONNECTION_STRING": "HostName=" + e.hub.IoTHub() + ";DeviceId=" + k.Device +
			";SharedAccessKey=" + k.Key + ";GatewayHostName=" + e.Gateway(),
		"NODE_EXTRA_CA_CERTS": e.CAFile(),
	}, nil
}

// The styles of Env.
const (
	StyleWorkload         = "workload"
	StyleConnectionString = "connectionstring"
)
