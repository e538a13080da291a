package amqp

// SenderSettleMode is how a link's sender settles, part 2 section 2.8.2.
type SenderSettleMode uint8

// The sender's modes; mixed is what null stands for.
const (
	SenderUnsettled SenderSettleMode = iota
	SenderSettled
	SenderMixed
)

// ReceiverSettleMode is how a link's receiver settles, section 2.8.3.
type ReceiverSettleMode uint8

// The receiver's modes; first is what null stands for.
const (
	ReceiverFirst ReceiverSettleMode = iota
	ReceiverSecond
)

// Attach makes a link of two ends, section 2.7.3.
type Attach struct {
	Name   string
	Handle uint32
	// Receiver tells that the end which speaks is the receiving one.
	Receiver             bool
	SenderMode           SenderSettleMode
	ReceiverMode         ReceiverSettleMode
	Source               *Source
	Target               *Target
	Unsettled            Map
	IncompleteUnsettled  bool
	InitialDeliveryCount Optional[uint32]
	MaxMessageSize       Optional[uint64]
	Offered              []Symbol
	Desired              []Symbol
	// Properties is nil when the peer sent no map at all.
	Properties Map
}

func (a *Attach) append(dst []byte) []byte {
	w := newList(dst, descAttach)
	w.mustText(a.Name)
	w.uint(a.Handle)
	w.bool(a.Receiver)
	w.ubyte(byte(a.SenderMode), byte(SenderMixed))
	w.ubyte(byte(a.ReceiverMode), byte(ReceiverFirst))
	w.composite(a.Source != nil, a.Source.append)
	w.composite(a.Target != nil, a.Target.append)
	w.fieldMap(a.Unsettled)
	w.flag(a.IncompleteUnsettled)
	w.optUint(a.InitialDeliveryCount)
	w.ulong(a.MaxMessageSize)
	w.symbols(a.Offered)
	w.symbols(a.Desired)
	w.fieldMap(a.Properties)
	return w.done()
}

func readAttach(l *listReader) *Attach {
	a := &Attach{SenderMode: SenderMixed}
	l.text(&a.Name)
	read(l, &a.Handle)
	read(l, &a.Receiver)
	read(l, (*uint8)(&a.SenderMode))
	read(l, (*uint8)(&a.ReceiverMode))
	if a.SenderMode > SenderMixed || a.ReceiverMode > ReceiverSecond {
		l.err = malformed("settle modes %d and %d", a.SenderMode, a.ReceiverMode)
	}
	readSource(l, &a.Source)
	readTarget(l, &a.Target)
	read(l, &a.Unsettled)
	read(l, &a.IncompleteUnsettled)
	optional(l, &a.InitialDeliveryCount)
	optional(l, &a.MaxMessageSize)
	l.symbols(&a.Offered)
	l.symbols(&a.Desired)
	read(l, &a.Properties)
	return a
}

// Source is where a link's messages come from, part 3 section 3.5.3.
type Source struct {
	Address               string
	Durable               uint32
	ExpiryPolicy          Symbol
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	DistributionMode      Symbol
	Filter                Map
	DefaultOutcome        DeliveryState
	Outcomes              []Symbol
	Capabilities          []Symbol
}

func (s *Source) append(dst []byte) []byte {
	w := newList(dst, descSource)
	w.text(s.Address)
	w.uint(s.Durable)
	w.symbol(s.ExpiryPolicy)
	w.uint(s.Timeout)
	w.flag(s.Dynamic)
	w.fieldMap(s.DynamicNodeProperties)
	w.symbol(s.DistributionMode)
	w.fieldMap(s.Filter)
	w.state(s.DefaultOutcome)
	w.symbols(s.Outcomes)
	w.symbols(s.Capabilities)
	return w.done()
}

func readSource(l *listReader, into **Source) {
	if !l.next() {
		return
	}
	desc, err := l.in.Descriptor()
	if err != nil || desc != descSource {
		l.err = malformed("descriptor 0x%x where a source is wanted (%v)", desc, err)
		return
	}
	f, s := l.in.fields(), &Source{}
	f.text(&s.Address)
	read(f, &s.Durable)
	read(f, &s.ExpiryPolicy)
	read(f, &s.Timeout)
	read(f, &s.Dynamic)
	read(f, &s.DynamicNodeProperties)
	read(f, &s.DistributionMode)
	read(f, &s.Filter)
	f.state(&s.DefaultOutcome)
	f.symbols(&s.Outcomes)
	f.symbols(&s.Capabilities)
	l.err = f.err
	*into = s
}

// Target is where a link's messages go, section 3.5.4.
type Target struct {
	Address               string
	Durable               uint32
	ExpiryPolicy          Symbol
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	Capabilities          []Symbol
}

func (t *Target) append(dst []byte) []byte {
	w := newList(dst, descTarget)
	w.text(t.Address)
	w.uint(t.Durable)
	w.symbol(t.ExpiryPolicy)
	w.uint(t.Timeout)
	w.flag(t.Dynamic)
	w.fieldMap(t.DynamicNodeProperties)
	w.symbols(t.Capabilities)
	return w.done()
}

// readTarget leaves nil for a target of another kind: a transaction coordinator,
// which this server has not.
func readTarget(l *listReader, into **Target) {
	if !l.next() {
		return
	}
	desc, err := l.in.Descriptor()
	if err != nil {
		l.err = err
		return
	}
	if desc != descTarget {
		l.err = l.in.Skip()
		return
	}
	f, t := l.in.fields(), &Target{}
	f.text(&t.Address)
	read(f, &t.Durable)
	read(f, &t.ExpiryPolicy)
	read(f, &t.Timeout)
	read(f, &t.Dynamic)
	read(f, &t.DynamicNodeProperties)
	f.symbols(&t.Capabilities)
	l.err = f.err
	*into = t
}
