package listen

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

func proxyHeader(tb testing.TB, version byte, family proxyproto.AddressFamilyAndProtocol, source string) []byte {
	tb.Helper()
	from, err := netip.ParseAddrPort(source)
	if err != nil {
		tb.Fatal(err)
	}
	to := netip.MustParseAddrPort("198.51.100.1:5027")
	if from.Addr().Is6() {
		to = netip.MustParseAddrPort("[2001:db8::1]:5027")
	}
	header := &proxyproto.Header{
		Version: version, Command: proxyproto.PROXY, TransportProtocol: family,
		SourceAddr: net.TCPAddrFromAddrPort(from), DestinationAddr: net.TCPAddrFromAddrPort(to),
	}
	b, err := header.Format()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// localHeader is what a proxy sends that checks the server's health.
const localHeader = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

func TestProxyHeaders(t *testing.T) {
	trusted := prefixes(t, "127.0.0.0/8")
	v1 := string(proxyHeader(t, 1, proxyproto.TCPv4, "203.0.113.7:1234"))
	v2 := string(proxyHeader(t, 2, proxyproto.TCPv4, "203.0.113.7:1234"))
	six := string(proxyHeader(t, 2, proxyproto.TCPv6, "[2001:db8::7]:1234"))
	for name, c := range map[string]struct {
		proxy  ProxyOptions
		allow  []netip.Prefix
		send   string
		remote string // empty: the socket's own
		echo   string // empty: refused
		reason string
	}{
		"version 1":       {ProxyOptions{ProxyRequire, trusted}, nil, v1 + "hi", "203.0.113.7:1234", "hi", ""},
		"version 2":       {ProxyOptions{ProxyRequire, trusted}, nil, v2 + "hi", "203.0.113.7:1234", "hi", ""},
		"version 2, IPv6": {ProxyOptions{ProxyOptional, trusted}, nil, six + "hi", "[2001:db8::7]:1234", "hi", ""},
		"local command":   {ProxyOptions{ProxyRequire, trusted}, nil, localHeader + "hi", "", "hi", ""},
		"unknown family":  {ProxyOptions{ProxyRequire, trusted}, nil, "PROXY UNKNOWN\r\nhi", "", "hi", ""},
		"none, optional":  {ProxyOptions{ProxyOptional, trusted}, nil, "hi", "", "hi", ""},
		"none, required":  {ProxyOptions{ProxyRequire, trusted}, nil, "hi there, no header", "", "", RefusedProxy},
		"garbage after the signature": {
			ProxyOptions{ProxyOptional, trusted}, nil, "PROXY TCP9 a b c d\r\n", "", "", RefusedProxy,
		},
		"an endless line": {
			ProxyOptions{ProxyOptional, trusted}, nil, "PROXY TCP4 " + strings.Repeat("1", 400), "", "", RefusedProxy,
		},
		"untrusted, required": {
			ProxyOptions{ProxyRequire, prefixes(t, "10.0.0.0/8")}, nil, v1 + "hi", "", "", RefusedProxy,
		},
		"untrusted, optional: bytes like others": {
			ProxyOptions{ProxyOptional, prefixes(t, "10.0.0.0/8")}, nil, v1, "", v1, "",
		},
		"off: bytes like others": {ProxyOptions{}, nil, v1, "", v1, ""},
		"allowed by the real address": {
			ProxyOptions{ProxyRequire, trusted}, prefixes(t, "203.0.113.0/24"), v1 + "hi", "203.0.113.7:1234", "hi", "",
		},
		"refused by the real address": {
			ProxyOptions{ProxyRequire, trusted}, prefixes(t, "127.0.0.0/8"), v1 + "hi", "", "", RefusedAllowList,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var refused refusals
			h, links := echoes()
			l := serve(t, Options{Proxy: c.proxy, Allow: c.allow, Refused: refused.add}, h)
			conn := dial(t, l)
			write(t, conn, c.send)
			if c.echo == "" {
				eventually(t, "the refusal is counted", func() bool { return refused.of(c.reason) == 1 })
				wantClosed(t, conn)
				return
			}
			wantText(t, conn, c.echo)
			want := cmp.Or(c.remote, conn.LocalAddr().String())
			if remote := receive(t, links, "link").Peer().Remote.String(); remote != want {
				t.Errorf("remote is %s, want %s", remote, want)
			}
		})
	}
}

// hasty makes every read deadline come at once.
type hasty struct{ net.Conn }

func (c hasty) SetReadDeadline(at time.Time) error {
	if at.IsZero() {
		return c.Conn.SetReadDeadline(at)
	}
	return c.Conn.SetReadDeadline(time.Now())
}

func TestASilentProxyIsRefusedOnlyWhereAHeaderIsRequired(t *testing.T) {
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	own := netip.MustParseAddrPort("127.0.0.1:9")
	if _, _, err := readProxyHeader(hasty{server}, own, ProxyRequire); err == nil {
		t.Error("required: no error")
	}
	_, remote, err := readProxyHeader(hasty{server}, own, ProxyOptional)
	if err != nil || remote != own {
		t.Errorf("optional: remote %s, %v", remote, err)
	}
}

func TestBoundPerAddressCountsTheRealAddress(t *testing.T) {
	var refused refusals
	h, links := streams()
	l := serve(t, Options{
		PerAddress: 1, Refused: refused.add,
		Proxy: ProxyOptions{Mode: ProxyRequire, Trusted: prefixes(t, "127.0.0.0/8")},
	}, h)
	for _, source := range []string{"203.0.113.7:1", "203.0.113.8:1", "203.0.113.7:2"} {
		write(t, dial(t, l), string(proxyHeader(t, 1, proxyproto.TCPv4, source)))
		if source == "203.0.113.7:2" {
			continue
		}
		receive(t, links, "link")
	}
	eventually(t, "the second of one address is counted", func() bool { return refused.of(RefusedPerAddress) == 1 })
}

func FuzzProxyHeader(f *testing.F) {
	f.Add(proxyHeader(f, 1, proxyproto.TCPv4, "203.0.113.7:1234"))
	f.Add(proxyHeader(f, 2, proxyproto.TCPv6, "[2001:db8::7]:1234"))
	f.Add([]byte("PROXY UNKNOWN\r\nrest"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		own := netip.MustParseAddrPort("127.0.0.1:9")
		in := &scripted{Reader: bytes.NewReader(b)}
		conn, remote, err := readProxyHeader(in, own, ProxyOptional)
		if err != nil {
			return
		}
		rest, err := io.ReadAll(conn)
		if err != nil || !bytes.HasSuffix(b, rest) {
			t.Errorf("%d bytes left of %d, %v", len(rest), len(b), err)
		}
		if !remote.IsValid() {
			t.Error("the remote address is not valid")
		}
	})
}

// scripted is a connection that reads from memory.
type scripted struct {
	net.Conn
	io.Reader
}

func (s *scripted) Read(p []byte) (int, error)      { return s.Reader.Read(p) }
func (s *scripted) SetReadDeadline(time.Time) error { return nil }
