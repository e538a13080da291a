package config

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// Document is the twin's desired properties, complete: every default is filled in.
type Document struct {
	SchemaVersion string              `json:"schemaVersion"`
	Listeners     map[string]Listener `json:"listeners"`
	Codecs        map[string]Codec    `json:"codecs"`
	Routes        map[string]Route    `json:"routes"`
	Devices       map[string]Device   `json:"devices"`
	Identity      Identity            `json:"identity"`

	Authentication map[string]Authentication `json:"authentication"`
	// Registration is a JSON object in canonical form, there where a listener needs it.
	Registration json.RawMessage `json:"registration,omitempty"`
	Bans         map[string]Ban  `json:"bans"`
	Quarantine   Quarantine      `json:"quarantine"`

	Limits      Limits      `json:"limits"`
	Spool       Spool       `json:"spool"`
	DeadLetters DeadLetters `json:"deadLetters"`
	Events      Events      `json:"events"`
	Log         Log         `json:"log"`
}

// Spool is the use of the disk.
type Spool struct {
	Bytes int64 `json:"bytes"`
	// Full is "block" or "drop-oldest".
	Full string `json:"full"`
	// Durability is "hub" or "always".
	Durability   string `json:"durability"`
	AlarmSeconds int    `json:"alarmSeconds"`
}

// DeadLetters bounds what is kept of them, both positive.
type DeadLetters struct {
	Count int `json:"count"`
	Bytes int `json:"bytes"`
}

// Events says which turns in the lives of devices are told to the cloud, and bounds how
// many are.
type Events struct {
	Connected        bool `json:"connected"`
	Disconnected     bool `json:"disconnected"`
	Authenticated    bool `json:"authenticated"`
	Refused          bool `json:"refused"`
	TakenOver        bool `json:"takenOver"`
	Quarantined      bool `json:"quarantined"`
	CommandSent      bool `json:"commandSent"`
	CommandAnswered  bool `json:"commandAnswered"`
	CommandExpired   bool `json:"commandExpired"`
	IdentityAttached bool `json:"identityAttached"`
	IdentityDetached bool `json:"identityDetached"`
	IdentityRefused  bool `json:"identityRefused"`
	// PerSecond and Burst are of all devices together, the others of each; all positive.
	PerSecond       int `json:"perSecond"`
	Burst           int `json:"burst"`
	DevicePerMinute int `json:"devicePerMinute"`
	DeviceBurst     int `json:"deviceBurst"`
}

// Limits are those of the whole gateway.
type Limits struct {
	Connections    int `json:"connections"`
	QueuedCommands int `json:"queuedCommands"`
	// FailedLogins, within ten minutes, begin a cool-down of CoolDownSeconds.
	FailedLogins           int `json:"failedLogins"`
	FailedLoginsPerAddress int `json:"failedLoginsPerAddress"`
	FailedLoginsPerDevice  int `json:"failedLoginsPerDevice"`
	CoolDownSeconds        int `json:"coolDownSeconds"`
}

// Log is how the log is written.
type Log struct {
	// Level is one of [LogLevels]; empty means that of the environment.
	Level string `json:"level,omitempty"`
}

// Listener is one listener. Raw JSON in it is in canonical form (keys sorted, no
// spaces, numbers as they were written), so that equal ones are equal bytes.
type Listener struct {
	Enabled bool   `json:"enabled"`
	Bind    Bind   `json:"bind"`
	Codec   string `json:"codec"`
	// Options is a JSON object for the codec's factory, or empty.
	Options json.RawMessage `json:"options,omitempty"`
	// Frame is a JSON object with at least "type", or empty: the codec frames.
	Frame json.RawMessage `json:"frame,omitempty"`
	// Transform is a JSON object for package transform, or empty.
	Transform json.RawMessage `json:"transform,omitempty"`
	// Ack is "stored", "decoded" or "none".
	Ack    string `json:"ack"`
	Output string `json:"output"`
	// Device is the fixed id of every link, or empty.
	Device string `json:"device,omitempty"`
	// UnknownDevices is "accept", "reject", "allow-pattern", "quarantine" or "register".
	UnknownDevices string `json:"unknownDevices"`
	// Identity is "module" or "device".
	Identity string `json:"identity"`
	// Unconfirmed is "reject" or "complete"; the latter only where Identity is "device".
	Unconfirmed string `json:"unconfirmed"`
	// AllowPattern is a valid regular expression, set exactly with "allow-pattern".
	AllowPattern string `json:"allowPattern,omitempty"`
	// TLS is not nil exactly when Bind.Transport is "tls".
	TLS           *TLS           `json:"tls,omitempty"`
	ProxyProtocol ProxyProtocol  `json:"proxyProtocol"`
	Allow         []Prefix       `json:"allow"`
	Limits        ListenerLimits `json:"limits"`
}

// TLS names the files of a tls listener.
type TLS struct {
	// Certificate and Key are paths, both empty for a certificate from the
	// workload API.
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// ClientCA is a path, set exactly when ClientAuth is not "none".
	ClientCA string `json:"clientCA,omitempty"`
	// ClientAuth is "none", "optional" or "require".
	ClientAuth string `json:"clientAuth"`
}

// ProxyProtocol says whose PROXY header is believed.
type ProxyProtocol struct {
	// Mode is "off", "optional" or "require".
	Mode    string   `json:"mode"`
	Trusted []Prefix `json:"trusted"`
}

// ListenerLimits are counts, bytes and seconds as their names say, all positive.
// QueueBytes is 0 where the document leaves it to the gateway.
type ListenerLimits struct {
	Connections           int `json:"connections"`
	ConnectionsPerAddress int `json:"connectionsPerAddress"`
	LoginBytes            int `json:"loginBytes"`
	LoginSeconds          int `json:"loginSeconds"`
	FrameBytes            int `json:"frameBytes"`
	IdleSeconds           int `json:"idleSeconds"`
	SendBytes             int `json:"sendBytes"`
	QueueBytes            int `json:"queueBytes,omitempty"`
}

// Route is one routing rule; its name is the key in the document.
type Route struct {
	// When is the condition, not yet compiled; empty means always.
	When       string            `json:"when"`
	Output     string            `json:"output"`
	Order      int               `json:"order"`
	Properties map[string]string `json:"properties"`
}

// Codec is a codec that is not built in; its name is the key in the document.
type Codec struct {
	// Kind is "layout", "js", "wasm", "rpc" or "exproto".
	Kind string `json:"kind"`
	// Source is a URL, set exactly for the first three; it is not judged yet.
	Source string `json:"source,omitempty"`
	// SHA256 is in lower-case hexadecimal, or empty.
	SHA256 string `json:"sha256,omitempty"`
	// Settings is a JSON object in canonical form, set exactly for the last two.
	Settings json.RawMessage `json:"settings,omitempty"`
	// Exchange is "keep" or "close": what becomes of a link that cannot go over to a new
	// version of it.
	Exchange string `json:"exchange"`
}

// Remote tells whether the codec is another process.
func (c Codec) Remote() bool { return c.Kind == "rpc" || c.Kind == "exproto" }

// Device is what the twin says of one device.
type Device struct {
	// Desired is a JSON object in canonical form, or empty.
	Desired json.RawMessage `json:"desired,omitempty"`
	// Key is the device's symmetric key in IoT Hub, in base64, or empty.
	Key Secret `json:"key,omitempty"`
}

// Equal reports whether two listeners are the same in every value that connections
// depend on, so that an open one can keep them. Who may come in is not among them: it
// is judged at the next login.
func (l Listener) Equal(o Listener) bool {
	l.UnknownDevices, l.AllowPattern = o.UnknownDevices, o.AllowPattern
	return reflect.DeepEqual(l, o)
}

// Bind is where a listener listens.
type Bind struct {
	// Transport is "tcp", "tls" or "udp".
	Transport string
	// Address is an IP address or none, and a port, as net.Listen takes them.
	Address string
}

// String is the form of the document.
func (b Bind) String() string { return b.Transport + "://" + b.Address }

// MarshalText implements encoding.TextMarshaler.
func (b Bind) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bind) UnmarshalText(text []byte) error {
	const allowed = "must be tcp://, tls:// or udp:// with an IP address or none and a port, as tcp://0.0.0.0:5027"
	transport, address, ok := strings.Cut(string(text), "://")
	if !ok || (transport != "tcp" && transport != "tls" && transport != "udp") {
		return fmt.Errorf("is %q, %s", short(string(text)), allowed)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("is %q, %s", short(string(text)), allowed)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("has port %q, must be a number from 0 to 65535", short(port))
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("has host %q, must be an IP address, or none for all addresses", short(host))
		}
	}
	*b = Bind{Transport: transport, Address: address}
	return nil
}

// Prefix is a range of addresses; a single address is a range of one.
type Prefix struct{ netip.Prefix }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Prefix) UnmarshalText(text []byte) error {
	if prefix, err := netip.ParsePrefix(string(text)); err == nil {
		p.Prefix = prefix.Masked()
		return nil
	}
	if addr, err := netip.ParseAddr(string(text)); err == nil && addr.Zone() == "" {
		p.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	return fmt.Errorf("is %q, must be an address range in CIDR form, as 10.0.0.0/8", short(string(text)))
}

// short cuts text for a message; twins hold values up to 4 KiB, faults must not.
func short(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
