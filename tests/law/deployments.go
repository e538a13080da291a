package law

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/causeway-iot/causeway/tests/law/template"
)

const (
	// maxDesired and maxDepth are IoT Hub's limits on desired properties.
	maxDesired = 32 << 10
	maxDepth   = 10
	// dataDir is where the image keeps its state.
	dataDir = "/var/lib/causeway"
)

// manifest is one template on trial.
type manifest struct {
	path   string
	doc    map[string]any
	faults []Fault
}

func (m *manifest) fault(format string, args ...any) {
	m.faults = append(m.faults, Fault{m.path, 0, fmt.Sprintf(format, args...)})
}

// deployments judges every deployment template by what the edge agent, the edge
// hub and the twin accept, and by what this product promises.
func deployments(t *Tree) []Fault {
	var faults []Fault
	for _, name := range t.Files("deployment.*template.json") {
		m := &manifest{path: name}
		if err := json.Unmarshal([]byte(t.text[name]), &m.doc); err != nil {
			faults = append(faults, Fault{name, 0, err.Error()})
			continue
		}
		m.frame()
		for _, id := range slices.Sorted(maps.Keys(template.Object(m.agent(), "modules"))) {
			m.module(id, template.Object(m.agent(), "modules", id))
		}
		m.causeway()
		faults = append(faults, m.faults...)
	}
	return faults
}

func (m *manifest) agent() map[string]any {
	return template.Object(m.doc, "modulesContent", "$edgeAgent", "properties.desired")
}

func (m *manifest) hub() map[string]any {
	return template.Object(m.doc, "modulesContent", "$edgeHub", "properties.desired")
}

// frame judges what stands around the modules.
func (m *manifest) frame() {
	if m.doc["$schema-template"] != "4.0.0" {
		m.fault("$schema-template is %v, want 4.0.0", m.doc["$schema-template"])
	}
	if v := m.agent()["schemaVersion"]; v != "1.1" {
		m.fault("$edgeAgent schemaVersion is %v, want 1.1", v)
	}
	if v := m.hub()["schemaVersion"]; v != "1.2" {
		m.fault("$edgeHub schemaVersion is %v, want 1.2, which template 4.0.0 asks for", v)
	}
	if _, ok := template.Object(m.hub(), "storeAndForwardConfiguration")["timeToLiveSecs"]; !ok {
		m.fault("$edgeHub has no storeAndForwardConfiguration.timeToLiveSecs")
	}
	for _, id := range []string{"edgeAgent", "edgeHub"} {
		image, _ := template.Object(m.agent(), "systemModules", id, "settings")["image"].(string)
		if !strings.HasSuffix(image, ":${EDGE_RUNTIME_VERSION}") {
			m.fault("%s: image %q does not follow EDGE_RUNTIME_VERSION", id, image)
		}
	}
}

// module judges what the edge agent makes a container of.
func (m *manifest) module(id string, module map[string]any) {
	if !regexp.MustCompile(`^[a-zA-Z0-9_]+$`).MatchString(id) {
		m.fault("%s: a module's name is letters, digits and _", id)
	}
	for key, want := range map[string]string{"type": "docker", "status": "running", "restartPolicy": "always"} {
		if module[key] != want {
			m.fault("%s: %s is %v, want %s", id, key, module[key], want)
		}
	}
	image, _ := template.Object(module, "settings")["image"].(string)
	if !strings.HasPrefix(image, "${MODULES."+id) {
		m.fault("%s: image %q is not ${MODULES.%s}", id, image, id)
	}
	options := template.Object(module, "settings", "createOptions")
	if _, err := template.Pieces(options); errors.Is(err, template.ErrTooLong) {
		m.fault("%s: %v", id, err)
	}
	m.container(id, template.Object(options, "HostConfig"))
}

// container judges what a container may do and use.
func (m *manifest) container(id string, host map[string]any) {
	if memory, _ := host["Memory"].(float64); memory <= 0 || host["MemorySwap"] != host["Memory"] {
		m.fault("%s: HostConfig.Memory and MemorySwap set no limit", id)
	}
	if pids, _ := host["PidsLimit"].(float64); pids <= 0 {
		m.fault("%s: HostConfig.PidsLimit sets no limit", id)
	}
	if drop, _ := host["CapDrop"].([]any); !slices.Contains(drop, any("ALL")) {
		m.fault("%s: HostConfig.CapDrop does not drop ALL", id)
	}
	if host["ReadonlyRootfs"] != true {
		m.fault("%s: HostConfig.ReadonlyRootfs is not true", id)
	}
	if host["Privileged"] == true {
		m.fault("%s: HostConfig.Privileged", id)
	}
	log := template.Object(host, "LogConfig", "Config")
	if log["max-size"] == nil || log["max-file"] == nil {
		m.fault("%s: HostConfig.LogConfig bounds no log", id)
	}
}

// causeway judges the gateway's own part: twin, ports, disk and routes fit.
func (m *manifest) causeway() {
	twin := template.Object(m.doc, "modulesContent", "causeway", "properties.desired")
	options := template.Object(m.agent(), "modules", "causeway", "settings", "createOptions")
	if twin["schemaVersion"] != "1.0" {
		m.fault("causeway: twin schemaVersion is %v, want 1.0", twin["schemaVersion"])
	}
	if text, err := json.Marshal(twin); err != nil || len(text) > maxDesired {
		m.fault("causeway: the desired properties have %d bytes, at most %d", len(text), maxDesired)
	}
	if d := depth(twin); d > maxDepth {
		m.fault("causeway: the desired properties are %d deep, at most %d", d, maxDepth)
	}
	m.keys("causeway", twin)
	m.ports(twin, options)
	binds, _ := template.Object(options, "HostConfig")["Binds"].([]any)
	if !slices.ContainsFunc(binds, func(b any) bool {
		text, _ := b.(string)
		_, target, _ := strings.Cut(text, ":")
		return target == dataDir
	}) {
		m.fault("causeway: no bind for %s", dataDir)
	}
	m.routes(twin)
}

// ports: each listener's port is exposed and published, and so is no other.
func (m *manifest) ports(twin, options map[string]any) {
	published := template.Object(options, "HostConfig", "PortBindings")
	exposed := template.Object(options, "ExposedPorts")
	used := map[string]bool{"2345/tcp": true, "9600/tcp": true} // the debugger, the metrics
	listeners := template.Object(twin, "listeners")
	for _, name := range slices.Sorted(maps.Keys(listeners)) {
		bind, _ := template.Object(listeners, name)["bind"].(string)
		network, address, _ := strings.Cut(bind, "://")
		port := address[strings.LastIndex(address, ":")+1:]
		if network != "udp" {
			network = "tcp"
		}
		key := port + "/" + network
		used[key] = true
		if _, ok := exposed[key]; !ok {
			m.fault("causeway: listener %s binds %s, and ExposedPorts has no %s", name, bind, key)
		}
		if _, ok := published[key]; !ok {
			m.fault("causeway: listener %s binds %s, and HostConfig.PortBindings has no %s", name, bind, key)
		}
	}
	for _, ports := range []map[string]any{exposed, published} {
		for _, key := range slices.Sorted(maps.Keys(ports)) {
			if !used[key] {
				m.fault("causeway: port %s is open, and no listener binds it", key)
			}
		}
	}
}

// routes: the edge hub has a route from every output that the twin names, and
// from those that need no naming: the default one, the ends of queued commands, what
// happens to devices, and frames that could not be decoded.
func (m *manifest) routes(twin map[string]any) {
	outputs := map[string]bool{"telemetry": true, "results": true, "events": true, "deadletter": true}
	for _, group := range []string{"listeners", "routes"} {
		for name := range template.Object(twin, group) {
			if output, ok := template.Object(twin, group, name)["output"].(string); ok {
				outputs[output] = true
			}
		}
	}
	var from []string
	for name, route := range template.Object(m.hub(), "routes") {
		text, ok := route.(string)
		if object, isObject := route.(map[string]any); isObject {
			text, ok = object["route"].(string)
		}
		if !ok || !strings.HasPrefix(text, "FROM ") {
			m.fault("route %s: not a route", name)
		}
		from = append(from, strings.Fields(text + " ? ?")[1])
	}
	for _, output := range slices.Sorted(maps.Keys(outputs)) {
		if !slices.Contains(from, "/messages/modules/causeway/outputs/"+output) {
			m.fault("no route from output %s", output)
		}
	}
}

// keys: no key of a twin holds a dot, a dollar sign, a number sign or a space.
func (m *manifest) keys(path string, object map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if strings.ContainsAny(key, ".$# ") {
			m.fault("%s: key %q cannot stand in a twin", path, key)
		}
		if inner, ok := object[key].(map[string]any); ok {
			m.keys(path+"/"+key, inner)
		}
	}
}

func depth(value any) int {
	deepest := 0
	if object, ok := value.(map[string]any); ok {
		for _, inner := range object {
			deepest = max(deepest, depth(inner)+1)
		}
	}
	return deepest
}
