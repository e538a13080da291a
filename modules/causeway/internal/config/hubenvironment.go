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
	// StyleConnectionString is that of the official simulator: one string with the
	// module's key.
	StyleConnectionString Style = "connection string"
	// StyleWorkload is that of the IoT Edge runtime: the workload API signs.
	StyleWorkload Style = "workload API"
)

// HubEnvironment is how the environment describes the edge hub and this module.
// HostName, DeviceID and ModuleID are set in both styles.
type HubEnvironment struct {
	Style Style
	// IoTHubHostName is the cloud hub's name: audience of tokens, label of metrics.
	IoTHubHostName string
	// GatewayHostName is the edge hub's name, to dial and to verify; empty means
	// that the module talks to IoT Hub itself, as it does where CAUSEWAY_HUB is "iothub". See
	// [HubEnvironment.Host].
	GatewayHostName string
	// ParentHostName is set on nested edge devices.
	ParentHostName     string
	DeviceID, ModuleID string
	// Direct tells that the gateway is to talk to IoT Hub itself, whatever edge hub there is.
	Direct bool

	// ConnectionString and CACertificateFile belong to StyleConnectionString; the
	// file may be empty, which means the system's roots.
	ConnectionString  Secret
	CACertificateFile string

	// The rest belongs to StyleWorkload. AuthScheme is always sasToken.
	WorkloadURI, GenerationID, AuthScheme, APIVersion string

	// UpstreamProtocol is what the hub is spoken to in: Amqp, AmqpWs, Mqtt or MqttWs.
	UpstreamProtocol string
}

// Host is the name to dial.
func (h HubEnvironment) Host() string {
	if h.GatewayHostName != "" {
		return h.GatewayHostName
	}
	return h.IoTHubHostName
}

// loadHub reads the variables of both styles (edgeAgent's and iotedgehubdev's).
func loadHub(getenv func(string) string) (HubEnvironment, error) {
	protocol, err := upstreamProtocol(getenv("UpstreamProtocol"))
	if err != nil {
		return HubEnvironment{}, err
	}
	var h HubEnvironment
	for _, name := range []string{"EdgeHubConnectionString", "IotHubConnectionString"} {
		if text := getenv(name); text != "" {
			h, err = parseConnectionString(text)
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
func parseConnectionString(text string) (HubEnvironment, error) {
	if strings.Contains(text, "|") {
		return HubEnvironment{}, errors.New("joins the strings of several modules with |, must be this module's own")
	}
	h := HubEnvironment{Style: StyleConnectionString, ConnectionString: Secret(text)}
	var key string
	fields := map[string]*string{
		"hostname": &h.IoTHubHostName, "gatewayhostname": &h.GatewayHostName,
		"deviceid": &h.DeviceID, "moduleid": &h.ModuleID, "sharedaccesskey": &key,
	}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		if field := fields[strings.ToLower(strings.TrimSpace(name))]; field != nil {
			*field = value
		}
	}
	for _, r := range []struct{ name, value string }{
		{"HostName", h.IoTHubHostName}, {"DeviceId", h.DeviceID},
		{"ModuleId", h.ModuleID}, {"SharedAccessKey", key},
	} {
		if r.value == "" {
			return HubEnvironment{}, fmt.Errorf("has no %s, must have HostName, DeviceId, ModuleId and "+
				"SharedAccessKey, and may have GatewayHostName", r.name)
		}
	}
	if _, err := base64.StdEncoding.DecodeString(key); err != nil {
		return HubEnvironment{}, errors.New("SharedAccessKey must be base64")
	}
	return h, nil
}
