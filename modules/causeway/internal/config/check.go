package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// textFaults judges the texts that decode into types of their own, while their
// pointers are at hand. The tree fits the schema and is complete.
func textFaults(tree map[string]any) []Fault {
	var faults []Fault
	check := func(value any, into interface{ UnmarshalText([]byte) error }, keys ...string) {
		text, _ := value.(string)
		if err := into.UnmarshalText([]byte(text)); err != nil {
			faults = append(faults, Fault{Pointer(keys...), err.Error()})
		}
	}
	listeners := member2(tree, "listeners")
	for name, listener := range listeners {
		check(listener["bind"], new(Bind), "listeners", name, "bind")
		allow, _ := listener["allow"].([]any)
		for i, prefix := range allow {
			check(prefix, new(Prefix), "listeners", name, "allow", strconv.Itoa(i))
		}
		trusted, _ := member(listener, "proxyProtocol")["trusted"].([]any)
		for i, prefix := range trusted {
			check(prefix, new(Prefix), "listeners", name, "proxyProtocol", "trusted", strconv.Itoa(i))
		}
	}
	return append(faults, banFaults(tree)...)
}

// settle fills in what depends on other values, and so is not in the schema.
func (d *Document) settle() {
	for name, l := range d.Listeners {
		if l.Bind.Transport == "tls" && l.TLS == nil {
			l.TLS = &TLS{ClientAuth: "none"}
		}
		if l.UnknownDevices == "" {
			l.UnknownDevices = "accept"
			if len(d.AuthenticationOf(name)) > 0 { // whoever asks for a password wants to be asked
				l.UnknownDevices = "reject"
			}
		}
		d.Listeners[name] = l
	}
}

// faults judges what no schema can: values that depend on one another.
func (d *Document) faults() []Fault {
	var faults []Fault
	names := slices.Sorted(maps.Keys(d.Listeners))
	for i, name := range names {
		l := d.Listeners[name]
		report := func(message string, keys ...string) {
			keys = append([]string{"listeners", name}, keys...)
			faults = append(faults, Fault{Pointer(keys...), message})
		}
		l.deviceFaults(report)
		l.transportFaults(report)
		for _, other := range names[:i] {
			if l.Enabled && d.Listeners[other].Enabled && l.Bind.collides(d.Listeners[other].Bind) {
				report(fmt.Sprintf("is %s, which listener %s has already", l.Bind, other), "bind")
			}
		}
	}
	faults = append(faults, d.admissionFaults()...)
	for name, c := range d.Codecs {
		faults = c.faults(name, faults)
	}
	for name, r := range d.Routes {
		faults = r.faults(name, faults)
	}
	return faults
}

func (c Codec) faults(name string, faults []Fault) []Fault {
	wrong := func(key, message string) { faults = append(faults, Fault{Pointer("codecs", name, key), message}) }
	switch {
	case c.Remote() && (c.Source != "" || c.SHA256 != ""):
		wrong("source", "is there, but kind is "+c.Kind+", which has settings instead")
	case c.Remote() && len(c.Settings) == 0:
		wrong("settings", "is missing, which kind "+c.Kind+" needs")
	case !c.Remote() && len(c.Settings) > 0:
		wrong("settings", "is there, but kind is "+c.Kind+", which has a source instead")
	case !c.Remote() && c.Source == "":
		wrong("source", "is missing, which kind "+c.Kind+" needs")
	}
	return faults
}

func (l Listener) deviceFaults(report func(message string, keys ...string)) {
	switch {
	case l.UnknownDevices != "allow-pattern" && l.AllowPattern != "":
		report("has no effect unless unknownDevices is allow-pattern", "allowPattern")
	case l.UnknownDevices == "allow-pattern" && l.AllowPattern == "":
		report("is allow-pattern, so allowPattern must be there", "unknownDevices")
	case l.AllowPattern != "":
		if _, err := regexp.Compile(l.AllowPattern); err != nil {
			report(fmt.Sprintf("is %q, must be a regular expression: %v", short(l.AllowPattern), err), "allowPattern")
		}
	}
	if l.Unconfirmed == "complete" && l.Identity != "device" {
		report("has no effect unless identity is device", "unconfirmed")
	}
}

func (l Listener) transportFaults(report func(message string, keys ...string)) {
	if l.TLS != nil {
		l.tlsFaults(report)
	}
	if l.ProxyProtocol.Mode != "off" {
		if l.Bind.Transport == "udp" {
			report("is "+l.ProxyProtocol.Mode+", must be off for udp", "proxyProtocol", "mode")
		}
		if len(l.ProxyProtocol.Trusted) == 0 {
			report("is empty, must name the load balancers: anyone else could claim any address",
				"proxyProtocol", "trusted")
		}
	}
}

func (l Listener) tlsFaults(report func(message string, keys ...string)) {
	if l.Bind.Transport != "tls" {
		report("is there, but bind is "+l.Bind.String()+"; must be absent or bind tls://", "tls")
	}
	if (l.TLS.Certificate == "") != (l.TLS.Key == "") {
		report("has only one of certificate and key, must have both or neither", "tls")
	}
	if l.TLS.ClientAuth == "none" && l.TLS.ClientCA != "" {
		report("is none, must be optional or require when clientCA is there", "tls", "clientAuth")
	}
	if l.TLS.ClientAuth != "none" && l.TLS.ClientCA == "" {
		report("is "+l.TLS.ClientAuth+", so clientCA must be there", "tls", "clientAuth")
	}
}

// collides reports whether the two cannot be open at once: the same port of tcp or
// of udp, on the same address or where one of them takes all addresses. Port 0
// takes any free one.
func (b Bind) collides(o Bind) bool {
	if (b.Transport == "udp") != (o.Transport == "udp") {
		return false
	}
	host, port, _ := net.SplitHostPort(b.Address)
	otherHost, otherPort, _ := net.SplitHostPort(o.Address)
	number, _ := strconv.Atoi(port)
	otherNumber, _ := strconv.Atoi(otherPort)
	if number == 0 || number != otherNumber {
		return false
	}
	a, all := address(host)
	other, otherAll := address(otherHost)
	return all || otherAll || a == other
}

func address(host string) (addr netip.Addr, all bool) {
	addr, err := netip.ParseAddr(host)
	return addr.Unmap(), err != nil || addr.IsUnspecified()
}

// faults refuses properties that would collide with those that the gateway or the
// hub adds; the hub compares names without regard to case.
func (r Route) faults(name string, faults []Fault) []Fault {
	seen := make(map[string]string)
	for _, property := range slices.Sorted(maps.Keys(r.Properties)) {
		lower := strings.ToLower(property)
		pointer := Pointer("routes", name, "properties", property)
		switch lower {
		case "deviceid", "listener", "codec":
			faults = append(faults, Fault{pointer, "is set by the gateway, must have another name"})
		}
		if strings.HasPrefix(lower, "iothub-") {
			faults = append(faults, Fault{pointer, "begins with iothub-, which the hub keeps for itself"})
		}
		if other, ok := seen[lower]; ok {
			faults = append(faults, Fault{pointer, "differs from " + other + " only in case, which the hub refuses"})
		}
		seen[lower] = property
	}
	return faults
}
