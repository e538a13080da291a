package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

type variable struct{ name, fallback, description string }

// environmentVariables lists every variable that LoadEnvironment reads.
func environmentVariables() []variable {
	descriptions := map[string]string{
		"CAUSEWAY_DATA_DIR":     "Directory of the last good configuration and of the spool; bind it to a volume.",
		"CAUSEWAY_METRICS_ADDR": "Address of metrics and health over HTTP; `off` or empty serves neither.",
		"CAUSEWAY_LOG_LEVEL": "Log level: " + strings.Join(LogLevels(), ", ") +
			". Overrides `RuntimeLogLevel`; the twin's `log.level` overrides both.",
		"CAUSEWAY_CONFIG": "Path of a JSON document in the form of the desired properties, used while the twin " +
			"has none and no last good one exists; without it a built-in document is used.",
		"CAUSEWAY_SHUTDOWN_SECONDS":      "Longest drain after SIGTERM; Docker kills after 10 s unless told otherwise.",
		"CAUSEWAY_TOKEN_TTL_SECONDS":     "Life of the SAS tokens that authenticate the gateway.",
		"CAUSEWAY_HUB_BATCH_BYTES":       "Size at which a batch leaves for the hub; one AMQP frame holds 65536.",
		"CAUSEWAY_HUB_BATCHES_IN_FLIGHT": "Batches that may wait for the hub's answer at once; the hub grants 1000.",
		"CAUSEWAY_HUB_QUEUE_BYTES": "Bytes of messages taken and not yet answered by the hub, before devices are " +
			"made to wait.",
		"CAUSEWAY_HUB":           "`edgehub`, or `iothub` to talk to IoT Hub itself, past the edge hub.",
		"CAUSEWAY_HUB_LINGER_MS": "Milliseconds that a message waits for company while other batches are in flight.",
	}
	var list []variable
	t := reflect.TypeFor[variables]()
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		v := variable{tag.Get("envconfig"), tag.Get("default"), descriptions[tag.Get("envconfig")]}
		if tag.Get("min") != "" {
			v.description += fmt.Sprintf(" From %s to %s.", tag.Get("min"), tag.Get("max"))
		}
		list = append(list, v)
	}
	return append(list,
		variable{"RuntimeLogLevel", "info", "Log level of the IoT Edge runtime, which sets it on every module."},
		variable{"UpstreamProtocol", "Amqp", "What the gateway speaks to the hub: Amqp (port 5671), Mqtt (8883), or " +
			"over WebSocket (443) AmqpWs or MqttWs. The runtime hands on its own."},
		variable{"EdgeHubConnectionString", "", "Connection string of this module, as the IoT Edge simulator sets " +
			"it. Without GatewayHostName, or with `CAUSEWAY_HUB` iothub, it leads to IoT Hub itself, and may be that of " +
			"a device, or have the key of a shared access policy. Where it is set, it is used instead of the workload API."},
		variable{"IotHubConnectionString", "", "The same, looked at when `EdgeHubConnectionString` is empty."},
		variable{"EdgeModuleCACertificateFile", "", "Path of the root certificate that is trusted with a connection " +
			"string; without it those of the system are."},
		variable{"IOTEDGE_WORKLOADURI", "", "The workload API, which signs tokens; this and the rest are set by the " +
			"IoT Edge runtime."},
		variable{"IOTEDGE_IOTHUBHOSTNAME", "", "Host name of the IoT Hub."},
		variable{"IOTEDGE_GATEWAYHOSTNAME", "", "Host name of the edge hub."},
		variable{"IOTEDGE_PARENTHOSTNAME", "", "Host name of the parent of a nested edge device."},
		variable{"IOTEDGE_DEVICEID", "", "Id of the edge device."},
		variable{"IOTEDGE_MODULEID", "", "Id of this module."},
		variable{"IOTEDGE_MODULEGENERATIONID", "", "Generation of this module, for the workload API."},
		variable{"IOTEDGE_AUTHSCHEME", "", "How modules authenticate: `sasToken`."},
		variable{"IOTEDGE_APIVERSION", "", "Version of the workload API."},
	)
}

// EnvironmentTable is the Markdown table of every environment variable.
func EnvironmentTable() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range environmentVariables() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, code(v.fallback), cell(v.description))
	}
	return b.String()
}

// DocumentTable is the Markdown table of every key of the twin document.
func DocumentTable() string {
	s, err := loadSchema()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	s.rows(&b, "", s.root)
	return b.String()
}

func (s *schema) rows(b *strings.Builder, prefix string, node map[string]any) {
	properties := member2(node, "properties")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		s.row(b, prefix+name, s.resolve(properties[name]), slices.Contains(required(node), name))
	}
	if sub := member(node, "additionalProperties"); sub != nil {
		sub = s.resolve(sub)
		if sub["description"] != nil {
			s.row(b, prefix+"<name>", sub, false)
			return
		}
		s.rows(b, prefix+"<name>.", sub)
	}
}

func (s *schema) row(b *strings.Builder, path string, node map[string]any, needed bool) {
	fallback := ""
	if value, ok := node["default"]; ok {
		fallback = code(string(encode(value)))
	} else if needed {
		fallback = "required"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", path, typeOf(node), fallback, cell(fmt.Sprint(node["description"])))
	s.rows(b, path+".", node)
}

func required(node map[string]any) []string {
	list, _ := node["required"].([]any)
	return texts(list)
}

func texts(list []any) []string {
	names := make([]string, 0, len(list))
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	return names
}

// typeOf is the type with its bounds, or the values that are allowed.
func typeOf(node map[string]any) string {
	if values, ok := node["enum"].([]any); ok {
		names := make([]string, 0, len(values))
		for _, value := range values {
			names = append(names, code(fmt.Sprint(value)))
		}
		return strings.Join(names, ", ")
	}
	name := fmt.Sprint(node["type"])
	if names, ok := node["type"].([]any); ok {
		name = strings.Join(texts(names), " or ")
	}
	if node["minimum"] != nil {
		return fmt.Sprintf("%s, %v to %v", name, node["minimum"], node["maximum"])
	}
	if items := member(node, "items"); items != nil {
		return name + " of " + fmt.Sprint(items["type"])
	}
	return name
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
