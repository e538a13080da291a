package amqp

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Link is one end of a link, ours. The exported fields are what the client said and
// never change.
type Link struct {
	Name string
	// Address is the target's for a sending client, the source's for a receiving one.
	Address string
	// ClientSends tells the direction.
	ClientSends bool
	// Properties is nil when the client sent no map at all.
	Properties   Map
	SenderMode   SenderSettleMode
	ReceiverMode ReceiverSettleMode

	session *session
	handle  uint32
	terms   Terms
	ctx     context.Context

	// Under the connection's lock:
	live     bool // Attach has succeeded and Detached is still to come
	detached bool // we said detach

	// Of a sending client:
	credit      uint32 // left of what was granted
	outstanding uint32 // deliveries that have not been settled
	count       uint32 // delivery-count
	partial     *Delivery
	queue       []*Delivery
	spare       [][]byte // memory of deliveries that were released
	ready       *sync.Cond

	// Of a receiving client:
	waiting   []*Outgoing
	unsettled int
	drain     bool
	sizeLimit uint64
}

// Conn returns the link's connection.
func (l *Link) Conn() *Conn { return l.session.conn }

// attach asks the handler and answers, at once or when it says.
func (s *session) attach(a *Attach) {
	c := s.conn
	switch {
	case a.Handle > handleMax || s.links[a.Handle] != nil:
		s.end(&Error{Condition: CondHandleInUse, Description: fmt.Sprintf("handle %d", a.Handle)})
		return
	case c.links >= maxLinks:
		s.end(&Error{Condition: CondResourceLimit, Description: fmt.Sprintf("over %d links", maxLinks)})
		return
	}
	l := &Link{
		Name: a.Name, ClientSends: !a.Receiver, Properties: a.Properties,
		SenderMode: a.SenderMode, ReceiverMode: a.ReceiverMode,
		session: s, handle: a.Handle, ctx: c.ctx, ready: sync.NewCond(&c.mu),
	}
	refusal := l.admit(a)
	wait := time.Duration(0)
	if d, ok := c.srv.Handler.(Delayer); ok && refusal == nil {
		var err error
		c.mu.Unlock()
		wait, err = d.Delay(l)
		c.mu.Lock()
		if err != nil {
			refusal = asError(err)
		}
	}
	s.links[a.Handle] = l
	c.links++
	if wait <= 0 || refusal != nil {
		s.attachNow(l, a, refusal)
		return
	}
	s.names[l.Name] = l // it is taken from now on
	c.workers.Go(func() {
		if !c.pause(wait) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.isClosing && s.links[a.Handle] == l {
			s.attachNow(l, a, nil)
		}
	})
}

// attachNow answers the attach of a link whose handle is taken. The lock is given up while
// the handler thinks, which meanwhile is asked about no other link of the connection.
func (s *session) attachNow(l *Link, a *Attach, refusal *Error) {
	c := s.conn
	answer := &Attach{Name: a.Name, Handle: a.Handle, Receiver: !a.Receiver, Source: a.Source, Target: a.Target}
	if refusal == nil {
		c.mu.Unlock()
		c.attaching.Lock()
		terms, err := c.srv.Handler.Attach(c.ctx, l)
		c.attaching.Unlock()
		c.mu.Lock()
		l.terms = terms
		if err != nil {
			refusal = asError(err)
		}
	}
	gone := c.isClosing || s.ended || s.links[a.Handle] != l
	switch {
	case refusal == nil && gone:
		l.live = true
		l.drop()
		c.post(l.farewell)
	case gone:
	case refusal != nil:
		s.forget(l)
		l.refuse(answer, refusal)
	default:
		s.names[l.Name] = l
		l.open(a, answer)
	}
}

// admit judges what the engine itself has to say of an attach.
func (l *Link) admit(a *Attach) *Error {
	switch {
	case l.ClientSends && a.Target != nil:
		l.Address = a.Target.Address
	case l.ClientSends:
		return &Error{Condition: CondNotImplemented, Description: "the link has no target of a known kind"}
	case a.Source != nil:
		l.Address = a.Source.Address
	default:
		return &Error{Condition: CondInvalidField, Description: "the link has no source"}
	}
	if l.session.names[a.Name] != nil {
		return &Error{Condition: CondResourceLocked, Description: fmt.Sprintf("the link name %.128q is in use", a.Name)}
	}
	return nil
}

// refuse attaches without a terminus of ours and detaches, as section 2.6.3 asks.
func (l *Link) refuse(answer *Attach, err *Error) {
	if l.ClientSends {
		answer.Target = nil
	} else {
		answer.Source, answer.InitialDeliveryCount = nil, Some(uint32(0))
	}
	answer.SenderMode, answer.ReceiverMode = l.SenderMode, l.ReceiverMode
	l.session.conn.emit(l.session.channel, answer)
	l.detach(err)
}

func (l *Link) open(a, answer *Attach) {
	c, s := l.session.conn, l.session
	answer.SenderMode, answer.ReceiverMode = l.terms.SenderMode, l.terms.ReceiverMode
	size := l.terms.MaxMessageSize
	if a.MaxMessageSize.Value != 0 && (size == 0 || a.MaxMessageSize.Value < size) {
		size = a.MaxMessageSize.Value
	}
	answer.MaxMessageSize = Optional[uint64]{size, size != 0}
	l.live = true
	if !l.ClientSends {
		l.sizeLimit = a.MaxMessageSize.Value
		answer.InitialDeliveryCount = Some(l.count)
		c.emit(s.channel, answer)
		l.pump()
		return
	}
	l.sizeLimit, l.count = size, a.InitialDeliveryCount.Value
	c.emit(s.channel, answer)
	l.grant()
	c.workers.Go(l.work)
}

// flow takes the client's word on the link's credit.
func (l *Link) flow(f *Flow) {
	if l.detached {
		return
	}
	if !l.ClientSends && f.LinkCredit.Set {
		// Serial arithmetic; a credit that is used up in flight is none.
		left := int64(f.LinkCredit.Value) - int64(l.count-f.DeliveryCount.Value)
		l.credit = uint32(max(left, 0))
		l.drain = f.Drain
		l.pump()
		if f.Drain {
			return // pump has answered, or will when it is done
		}
	}
	if f.Echo && l.live {
		l.sayFlow()
	}
}

func (l *Link) sayFlow() {
	f := l.session.flowFrame()
	f.Handle, f.DeliveryCount, f.LinkCredit = Some(l.handle), Some(l.count), Some(l.credit)
	f.Drain = l.drain
	l.session.conn.emit(l.session.channel, f)
}

// Detach says detach with closed set, and the error if there is one. It returns at
// once; the link's Detached is called soon.
func (l *Link) Detach(err *Error) {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.live && !l.detached {
		l.detach(err)
	}
}

// detach runs under the lock. The handle stays taken until the client's detach.
func (l *Link) detach(err *Error) {
	l.detached = true
	l.session.conn.emit(l.session.channel, &Detach{Handle: l.handle, Closed: true, Err: err})
	l.session.forget(l)
	if l.drop() {
		l.session.conn.post(l.farewell)
	}
}

// drop makes the link dead and returns true if it was not. Its queue is still
// handled by its worker.
func (l *Link) drop() bool {
	c := l.session.conn
	if l.partial != nil {
		c.partial -= len(l.partial.Data)
		l.partial = nil
	}
	if !l.live {
		return false
	}
	l.live = false
	l.ready.Broadcast()
	return true
}

// farewell tells the handler that the link is no more: what was sent and not
// settled first.
func (l *Link) farewell() {
	c := l.session.conn
	c.mu.Lock()
	lost := l.waiting
	l.waiting = nil
	for id, o := range l.session.sent {
		if o.link == l {
			delete(l.session.sent, id)
			lost = append(lost, o)
		}
	}
	c.mu.Unlock()
	for _, o := range lost {
		o.tell(nil)
	}
	if l.terms.Detached != nil {
		l.terms.Detached()
	}
}
