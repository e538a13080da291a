package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// Options describe one listener. The zero value of a bound or a duration means
// its default.
type Options struct {
	// Name is the listener's name in the configuration.
	Name string
	// Network is "tcp", "tls" or "udp".
	Network string
	// Address is host:port; port 0 lets the system choose.
	Address string
	// TLS is needed for "tls". The handshake has 10 seconds.
	TLS *tls.Config
	// Proxy says what is made of PROXY protocol headers; not for "udp".
	Proxy ProxyOptions
	// Allow lists the addresses that may connect, judged on the device's own
	// address (that of the PROXY header where there is one). Empty means all.
	Allow []netip.Prefix
	// Barred tells of an address, when it connects and is allowed, whether it may not all
	// the same: a ban comes and goes while the listener is open. It must be quick and safe
	// for concurrent use. Nil bars nobody.
	Barred func(netip.Addr) bool
	// Connections bounds the links of this listener. Default: 10,000, half the
	// 20,000 open files that a container is commonly given.
	Connections int
	// PerAddress bounds the links of one address. Default: Connections, since
	// mobile networks put thousands of devices behind one address.
	PerAddress int
	// Shared bounds the links of all listeners that carry it, and numbers them.
	// Nil means a quota of this listener's own without a bound.
	Shared *Quota
	// PeerIdle is how long a UDP peer may be silent before it is gone. Default: 5
	// minutes, longer than the reporting interval of most trackers.
	PeerIdle time.Duration
	// SendBuffer is how many bytes may wait to be written to a device before its
	// link is closed as too slow. Default: 64 KiB.
	SendBuffer int
	// WriteTimeout bounds one write to a device, and the flushing of a link that
	// is closed. Default: 10 seconds.
	WriteTimeout time.Duration
	// DatagramSize is the largest datagram accepted; larger ones are counted as
	// refused and dropped. Default: 65,507, the most that UDP over IPv4 carries.
	DatagramSize int
	// Refused counts what was not let in, by one of the Refused constants. It is
	// called inline and must be cheap and safe for concurrent use. Nil means that
	// nobody counts.
	Refused func(reason string)
}

// Reasons for which something is refused, as counted by Options.Refused.
const (
	// RefusedAccept: the system could not hand over a connection, or a datagram.
	RefusedAccept = "accept"
	// RefusedAllowList: the address is not in Options.Allow.
	RefusedAllowList = "allow-list"
	// RefusedBarred: Options.Barred said so.
	RefusedBarred = "banned"
	// RefusedConnections: Options.Connections was reached.
	RefusedConnections = "connections"
	// RefusedPerAddress: Options.PerAddress was reached.
	RefusedPerAddress = "per-address"
	// RefusedShared: the bound of Options.Shared was reached.
	RefusedShared = "shared"
	// RefusedProxy: the PROXY header was missing or bad, or its sender not trusted.
	RefusedProxy = "proxy"
	// RefusedTLS: the TLS handshake failed or took too long.
	RefusedTLS = "tls"
	// RefusedPeer: Handler.Peer returned nil.
	RefusedPeer = "peer"
	// RefusedDraining: a new UDP peer after StopAccepting.
	RefusedDraining = "draining"
	// RefusedDatagramSize: a datagram over Options.DatagramSize.
	RefusedDatagramSize = "datagram-size"
)

// withDefaults validates and fills in the defaults.
func (o Options) withDefaults() (Options, error) {
	switch o.Network {
	case "tcp":
	case "tls":
		if o.TLS == nil {
			return o, errors.New(`network "tls" needs a TLS configuration`)
		}
	case "udp":
		if o.Proxy.Mode != "" && o.Proxy.Mode != ProxyOff {
			return o, fmt.Errorf("proxy mode %q: udp listeners know only %q", o.Proxy.Mode, ProxyOff)
		}
	default:
		return o, fmt.Errorf("network %q: allowed are tcp, tls, udp", o.Network)
	}
	if err := o.Proxy.check(); err != nil {
		return o, err
	}
	o.Connections = positive(o.Connections, 10_000)
	o.PerAddress = positive(o.PerAddress, o.Connections)
	o.SendBuffer = positive(o.SendBuffer, 64<<10)
	o.DatagramSize = positive(o.DatagramSize, 65_507)
	o.PeerIdle = positive(o.PeerIdle, 5*time.Minute)
	o.WriteTimeout = positive(o.WriteTimeout, 10*time.Second)
	if o.Shared == nil {
		o.Shared = NewQuota(0)
	}
	if o.Refused == nil {
		o.Refused = func(string) {}
	}
	return o, nil
}

func positive[T int | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}

// Quota bounds the links of several listeners together and gives each link its
// number. It is safe for concurrent use.
type Quota struct {
	max  atomic.Int64
	used atomic.Int64
	ids  atomic.Uint64
}

// NewQuota returns a quota of so many links; 0 or less means no bound.
func NewQuota(links int) *Quota {
	q := new(Quota)
	q.Resize(links)
	return q
}

// Resize changes the bound; links over it stay, and new ones are refused.
func (q *Quota) Resize(links int) { q.max.Store(int64(links)) }

// Used returns how many links there are at the moment.
func (q *Quota) Used() int { return int(q.used.Load()) }

func (q *Quota) acquire() bool {
	if n, most := q.used.Add(1), q.max.Load(); most > 0 && n > most {
		q.used.Add(-1)
		return false
	}
	return true
}

func (q *Quota) release() { q.used.Add(-1) }
