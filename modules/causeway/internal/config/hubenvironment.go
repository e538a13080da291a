package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Style says how the environment describes the hub.
type Style string

// The two styles. The connection string is looked for first.
const (
	// StyleConnectionString is that of the official simulator, and of gateways without an
	// edge device: one string with a key.
	StyleConnectionString Style = "connection string"
	// StyleWorkload is that of the IoT Edge runtime: the workload API signs.
	StyleWorkload Style = "workload API"
)

// HubEnvironment is how the environment describes the hub and who the gateway is there.
// IoTHubHostName and DeviceID are set in both styles.
type HubEnvironment struct {
	Style Style
	// IoTHubHostName is the cloud hub's name: audience of tokens, label of metrics.
	IoTHubHostName string
	// GatewayHostName is the edge hub's name, to dial and to verify; empty means that the
	// gateway talks to IoT Hub itself. See [HubEnvironment.Host].
	GatewayHostName string
	// ParentHostName is set on nested edge devices.
	ParentHostName string
	// ModuleID is empty for a gateway that is a device of IoT Hub, not a module.
	DeviceID, ModuleID string

	// Key, Policy and CACertificateFile belong to StyleConnectionString. Key is base64;
	// Policy names the hub's shared access policy whose key it is, and is empty for the
	// identity's own. The file may be empty, which means the system's roots.
	Key               Secret
	Policy            string
	CACertificateFile string

	// The rest belongs to StyleWorkload. AuthScheme is always sasToken.
	WorkloadURI, GenerationID, AuthScheme, APIVersion string

	// UpstreamProtocol is what the hub is spoken to in: Amqp, AmqpWs, Mqtt or MqttWs.
	UpstreamProtocol string
}

// Host is the name to dial.
func (h HubEnvironment) Host() string {
	if h.Direct() {
		return h.IoTHubHostName
	}
	return h.GatewayHostName
}

// Direct tells that the gateway talks to IoT Hub itself, without an edge hub before it.
func (h HubEnvironment) Direct() bool { return h.GatewayHostName == "" }

// loadHub reads the variables of both styles (edgeAgent's and iotedgehubdev's). With direct the
// gateway is to talk to IoT Hub itself, whatever edge hub there is.
func loadHub(getenv func(string) string, direct bool) (HubEnvironment, error) {
	protocol, err := upstreamProtocol(getenv("UpstreamProtocol"))
	if err != nil {
		return HubEnvironment{}, err
	}
	var h HubEnvironment
	for _, name := range []string{"EdgeHubConnectionString", "IotHubConnectionString"} {
		if text := getenv(name); text != "" {
			h, err = parseConnectionString(text, direct)
			if err != nil {
				return HubEnvironment{}, fmt.Errorf("%s: %w", name, err)
			}
			h.CACertificateFile = getenv("EdgeModuleCACertificateFile")
			h.UpstreamProtocol = protocol
			return h, nil
		}
	}
	h = HubEnvironment{
		Style:            StyleWorkload,
		IoTHubHostName:   getenv("IOTEDGE_IOTHUBHOSTNAME"),
		GatewayHostName:  getenv("IOTEDGE_GATEWAYHOSTNAME"),
		ParentHostName:   getenv("IOTEDGE_PARENTHOSTNAME"),
		DeviceID:         getenv("IOTEDGE_DEVICEID"),
		ModuleID:         getenv("IOTEDGE_MODULEID"),
		WorkloadURI:      getenv("IOTEDGE_WORKLOADURI"),
		GenerationID:     getenv("IOTEDGE_MODULEGENERATIONID"),
		AuthScheme:       getenv("IOTEDGE_AUTHSCHEME"),
		APIVersion:       getenv("IOTEDGE_APIVERSION"),
		UpstreamProtocol: protocol,
	}
	if direct {
		h.GatewayHostName = ""
	}
	return h, h.validateWorkload()
}

func (h HubEnvironment) validateWorkload() error {
	required := []struct{ name, value string }{
		{"IOTEDGE_WORKLOADURI", h.WorkloadURI},
		{"IOTEDGE_IOTHUBHOSTNAME", h.IoTHubHostName},
		{"IOTEDGE_DEVICEID", h.DeviceID},
		{"IOTEDGE_MODULEID", h.ModuleID},
		{"IOTEDGE_MODULEGENERATIONID", h.GenerationID},
		{"IOTEDGE_AUTHSCHEME", h.AuthScheme},
	}
	var missing []string
	for _, r := range required {
		if r.value == "" {
			missing = append(missing, r.name)
		}
	}
	if len(missing) == len(required) {
		return errors.New("nothing says how to reach the edge hub: set EdgeHubConnectionString, " +
			"or run under the IoT Edge runtime, which sets IOTEDGE_WORKLOADURI and its companions")
	}
	if missing != nil {
		return fmt.Errorf("%s must be set", strings.Join(missing, ", "))
	}
	if !strings.EqualFold(h.AuthScheme, "sasToken") {
		return fmt.Errorf("IOTEDGE_AUTHSCHEME is %q, must be sasToken", h.AuthScheme)
	}
	u, err := url.Parse(h.WorkloadURI)
	if err != nil || !slices.Contains([]string{"unix", "http"}, u.Scheme) || u.Host+u.Path == "" {
		return fmt.Errorf("IOTEDGE_WORKLOADURI is %q, must be unix:///path or http://host:port", h.WorkloadURI)
	}
	return nil
}

// upstreamProtocol reads the edge agent's own variable, which it hands to every
// module.
func upstreamProtocol(text string) (string, error) {
	if text == "" {
		return "Amqp", nil
	}
	for _, known := range []string{"Amqp", "AmqpWs", "Mqtt", "MqttWs"} {
		if strings.EqualFold(text, known) {
			return known, nil
		}
	}
	return "", fmt.Errorf("UpstreamProtocol is %q, must be Amqp, AmqpWs, Mqtt or MqttWs", text)
}

// parseConnectionString never quotes the text in an error, only names of keys.
func parseConnectionString(text string, direct bool) (HubEnvironment, error) {
	if strings.Contains(text, "|") {
		return HubEnvironment{}, errors.New("joins the strings of several modules with |, must be this gateway's own")
	}
	h := HubEnvironment{Style: StyleConnectionString}
	var key string
	fields := map[string]*string{
		"hostname": &h.IoTHubHostName, "gatewayhostname": &h.GatewayHostName, "deviceid": &h.DeviceID,
		"moduleid": &h.ModuleID, "sharedaccesskeyname": &h.Policy, "sharedaccesskey": &key,
	}
	for part := range strings.SplitSeq(text, ";") {
		name, value, pair := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if !pair && name != "" {
			return HubEnvironment{}, errors.New("has a part without =, must be parts of name=value with ; between them")
		}
		if field := fields[strings.ToLower(name)]; field != nil {
			*field = value
		}
	}
	if direct {
		h.GatewayHostName = ""
	}
	h.Key = Secret(key)
	if err := h.validateConnectionString(); err != nil {
		return HubEnvironment{}, err
	}
	return h, nil
}

func (h HubEnvironment) validateConnectionString() error {
	for _, r := range []struct{ name, value string }{
		{"HostName", h.IoTHubHostName}, {"DeviceId", h.DeviceID}, {"SharedAccessKey", h.Key.Reveal()},
	} {
		if r.value == "" {
			return fmt.Errorf("has no %s, must have HostName, DeviceId and SharedAccessKey, and may have ModuleId, "+
				"GatewayHostName and SharedAccessKeyName", r.name)
		}
	}
	const straight = "leave GatewayHostName out, or set CAUSEWAY_HUB=iothub, to talk to IoT Hub itself"
	switch {
	case !h.Direct() && h.Policy != "":
		return errors.New("has SharedAccessKeyName, but no edge hub takes the key of a policy: " + straight)
	case !h.Direct() && h.ModuleID == "":
		return errors.New("has no ModuleId, but behind an edge hub the gateway must be a module: " + straight)
	}
	if _, err := base64.StdEncoding.DecodeString(h.Key.Reveal()); err != nil {
		return errors.New("SharedAccessKey must be base64")
	}
	return nil
}
