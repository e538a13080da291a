package session

// TurnKind is what happened to a device.
type TurnKind int

// The turns in the life of a device on a link. For one device on one link they come in
// this order: authenticated or refused or quarantined, taken over, connected, commands
// and messages, disconnected.
const (
	// TurnConnected: a link has come to speak for a device, by a login, by a message that
	// names it, or because all devices of its listener have one id. It comes before the
	// device's first message on that link.
	TurnConnected TurnKind = iota
	// TurnDisconnected: that link has ended, or speaks for the device no longer. It comes
	// after the device's last message, save those that a timer or a command makes at the
	// same moment.
	TurnDisconnected
	// TurnAuthenticated: the device has shown that it is who it says.
	TurnAuthenticated
	// TurnRefused: the device was not let in.
	TurnRefused
	// TurnTakenOver: a second login with the id of a device that is connected; the older
	// link is closed.
	TurnTakenOver
	// TurnQuarantined: the device is kept connected, and nothing of it is forwarded.
	TurnQuarantined
	// TurnCommandSent: a command has left for the device.
	TurnCommandSent
	// TurnCommandAnswered: the device has answered it, with yes or no.
	TurnCommandAnswered
	// TurnCommandExpired: no answer will come any more, or the command never left.
	TurnCommandExpired
)

// Turn is one turn in the life of a device.
type Turn struct {
	Kind TurnKind
	// Device is the id that the device claims, empty where it is none.
	Device string
	// Link is the device's.
	Link Link
	// Session is the epoch of the session, which is in the ids of its messages.
	Session uint64
	// Reason is a word or two, where there is one: of a disconnected link the reason for
	// which it was closed, which may be a codec's; otherwise one of those below.
	Reason string
	// Before is the older link of a device that was taken over.
	Before Link
	// Elsewhere: the device that was disconnected is connected by another link.
	Elsewhere bool
	// Command is the name of a command as its caller gave it, which may have arguments in
	// it; CommandID is what callers know it by.
	Command, CommandID string
}

// The reasons of turns that the session itself knows. No error's text is among them: it
// may repeat what a device has sent.
const (
	reasonUnknown     = "unknown-device"
	reasonIllegal     = "illegal-id"
	reasonCodec       = "refused-by-codec"
	reasonDenied      = "not-authenticated"
	reasonUndecided   = "undecided"
	ReasonElsewhere   = "connected-elsewhere"
	reasonExpired     = "expired"
	reasonOtherLogin  = "logged-in-as-another"
	reasonNo          = "refused-by-device"
	reasonNoAnswer    = "no-answer"
	reasonNotSent     = "not-sent"
	reasonUnconfirmed = "unconfirmed"
	reasonLinkEnded   = "disconnected"
	reasonCallerEnded = "caller-gone"
)

// turned tells of a turn. What does not come from the table is told with no lock held
// that the uplink could need.
func (s *Session) turned(t Turn) {
	if s.profile.Turned == nil {
		return
	}
	t.Link, t.Session = s.link, s.epoch
	s.profile.Turned(t)
}

// refused tells that a device was not let in under the id that it claims; an id that
// cannot travel as text is not repeated.
func (s *Session) refused(device, reason string) {
	if reason == reasonIllegal {
		device = ""
	}
	s.turned(Turn{Kind: TurnRefused, Device: device, Reason: reason})
}

// endedFor is why the link was closed, if it knows.
func (s *Session) endedFor() string {
	if k, ok := s.link.(interface{ Reason() string }); ok {
		return k.Reason()
	}
	return ""
}
