package amqp

import (
	"fmt"
	"math"
)

// maxLinks bounds the handles in use on one connection, those of refused links
// included: a thousand identities have six each.
const maxLinks = 16384

// session is one session of a connection; all of it is under the connection's lock.
type session struct {
	conn     *Conn
	channel  uint16 // of both directions
	incoming uint32 // next-incoming-id
	// inWindow is how many transfers the client may still send. It is opened again
	// when half of it is used, so it cannot be overrun: reading stops instead.
	inWindow  uint32
	outgoing  uint32 // next-outgoing-id
	outWindow uint32 // the client's remote-incoming-window
	delivery  uint32 // next delivery-id
	links     map[uint32]*Link
	names     map[string]*Link
	// sent holds deliveries that the client has not settled.
	sent map[uint32]*Outgoing
	// ended tells that we said end and wait for the client's.
	ended bool
}

// dispatch handles a performative under the lock. The error, if any, closes the
// connection.
func (c *Conn) dispatch(channel uint16, p any) *Error {
	if b, ok := p.(*Begin); ok {
		return c.begin(channel, b)
	}
	s := c.sessions[channel]
	if s == nil {
		return &Error{Condition: CondNotAllowed, Description: fmt.Sprintf("%T on channel %d without a session", p, channel)}
	}
	if _, ok := p.(*End); ok {
		s.end(nil)
		delete(c.sessions, channel)
		return nil
	}
	if s.ended {
		return nil
	}
	switch p := p.(type) {
	case *Attach:
		s.attach(p)
	case *Flow:
		s.flow(p)
	case *Transfer:
		s.transfer(p)
	case *Disposition:
		s.disposition(p)
	case *Detach:
		s.detach(p)
	default:
		return &Error{Condition: CondNotAllowed, Description: fmt.Sprintf("unexpected %T", p)}
	}
	return nil
}

func (c *Conn) begin(channel uint16, b *Begin) *Error {
	if channel > channelMax {
		return &Error{Condition: CondFraming, Description: fmt.Sprintf("channel %d over %d", channel, channelMax)}
	}
	if c.sessions[channel] != nil {
		return &Error{Condition: CondNotAllowed, Description: fmt.Sprintf("channel %d is in use", channel)}
	}
	c.sessions[channel] = &session{
		conn: c, channel: channel,
		incoming: b.NextOutgoingID, inWindow: window, outWindow: b.IncomingWindow,
		links: map[uint32]*Link{}, names: map[string]*Link{}, sent: map[uint32]*Outgoing{},
	}
	c.emit(channel, &Begin{
		RemoteChannel: Some(channel), IncomingWindow: window, OutgoingWindow: window, HandleMax: handleMax,
	})
	return nil
}

// end says end once and lets go of all links.
func (s *session) end(err *Error) {
	if s.ended {
		return
	}
	s.ended = true
	s.conn.emit(s.channel, &End{Err: err})
	for _, l := range s.dropLinks() {
		s.conn.post(l.farewell)
	}
}

// dropLinks forgets all links and returns those that were alive.
func (s *session) dropLinks() []*Link {
	var gone []*Link
	for _, l := range s.links {
		if l.drop() {
			gone = append(gone, l)
		}
	}
	s.conn.links -= len(s.links)
	s.links, s.names = map[uint32]*Link{}, map[string]*Link{}
	return gone
}

// flowFrame returns a flow with the session's part filled in, and opens the window
// again.
func (s *session) flowFrame() *Flow {
	s.inWindow = window
	return &Flow{
		NextIncomingID: Some(s.incoming), IncomingWindow: window,
		NextOutgoingID: s.outgoing, OutgoingWindow: window,
	}
}

func (s *session) flow(f *Flow) {
	next := uint32(0) // our first outgoing id, when the client has not seen our begin
	if f.NextIncomingID.Set {
		next = f.NextIncomingID.Value
	}
	// Serial arithmetic: what is in flight counts against the client's window.
	s.outWindow = 0
	if left := int64(f.IncomingWindow) - int64(s.outgoing-next); left > 0 {
		s.outWindow = uint32(left)
	}
	if !f.Handle.Set {
		if f.Echo {
			s.conn.emit(s.channel, s.flowFrame())
		}
		s.pump()
		return
	}
	l := s.links[f.Handle.Value]
	if l == nil {
		s.end(&Error{Condition: CondUnattached, Description: fmt.Sprintf("flow for handle %d", f.Handle.Value)})
		return
	}
	l.flow(f)
	s.pump()
}

// pump sends what links have waiting. Maps have no order, which is fair to links.
func (s *session) pump() {
	if s.outWindow == 0 || s.ended {
		return
	}
	for _, l := range s.links {
		if len(l.waiting) > 0 {
			l.pump()
		}
	}
}

func (s *session) transfer(t *Transfer) {
	s.incoming++
	s.inWindow--
	l := s.links[t.Handle]
	switch {
	case l == nil:
		s.end(&Error{Condition: CondUnattached, Description: fmt.Sprintf("transfer for handle %d", t.Handle)})
		return
	case !l.ClientSends:
		s.end(&Error{Condition: CondNotAllowed, Description: "transfer from the receiving end of link " + l.Name})
		return
	case !l.live && !l.detached:
		s.end(&Error{Condition: CondNotAllowed, Description: "transfer before the attach of link " + l.Name})
		return
	}
	l.receive(t)
	if s.inWindow < window/2 {
		s.conn.emit(s.channel, s.flowFrame())
	}
}

// disposition settles what we sent. What a client says of its own deliveries
// changes nothing here: ours are answered when they have been handled.
func (s *session) disposition(d *Disposition) {
	if !d.Receiver {
		return
	}
	last := d.First
	if d.Last.Set {
		last = d.Last.Value
	}
	span := last - d.First // serial arithmetic
	if span > math.MaxInt32 {
		return
	}
	if int(span) < len(s.sent) {
		for i := range span + 1 {
			s.settle(d.First+i, d)
		}
		return
	}
	for id := range s.sent {
		if id-d.First <= span {
			s.settle(id, d)
		}
	}
}

// settle takes the client's word on one delivery. A client in the mode "second"
// tells the outcome first and settles when we have.
func (s *session) settle(id uint32, d *Disposition) {
	o := s.sent[id]
	if o == nil {
		return
	}
	outcome := d.State
	if outcome != nil && !outcome.outcome() {
		outcome = nil
	}
	if outcome == nil && !d.Settled {
		return
	}
	delete(s.sent, id)
	o.link.unsettled--
	if !d.Settled {
		s.conn.emit(s.channel, &Disposition{First: id, Settled: true, State: outcome})
	}
	s.conn.tell(o, outcome)
}

func (s *session) detach(d *Detach) {
	l := s.links[d.Handle]
	if l == nil {
		s.end(&Error{Condition: CondUnattached, Description: fmt.Sprintf("detach of handle %d", d.Handle)})
		return
	}
	if !l.detached {
		s.conn.emit(s.channel, &Detach{Handle: d.Handle, Closed: d.Closed})
	}
	delete(s.links, d.Handle)
	s.conn.links--
	s.forget(l)
	if l.drop() {
		s.conn.post(l.farewell)
	}
}

// forget frees the link's name, which may be another link's if this one was refused.
func (s *session) forget(l *Link) {
	if s.names[l.Name] == l {
		delete(s.names, l.Name)
	}
}
