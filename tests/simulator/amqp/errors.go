package amqp

// Error is the error of the standard: what a close, end, detach or rejection says.
type Error struct {
	Condition   Symbol
	Description string
	Info        Map
}

// Error implements error.
func (e *Error) Error() string {
	if e.Description == "" {
		return string(e.Condition)
	}
	return string(e.Condition) + ": " + e.Description
}

// The conditions of part 2 section 2.8 that the engine and its users need.
const (
	CondInternal       Symbol = "amqp:internal-error"
	CondNotFound       Symbol = "amqp:not-found"
	CondUnauthorized   Symbol = "amqp:unauthorized-access"
	CondDecode         Symbol = "amqp:decode-error"
	CondResourceLimit  Symbol = "amqp:resource-limit-exceeded"
	CondNotAllowed     Symbol = "amqp:not-allowed"
	CondInvalidField   Symbol = "amqp:invalid-field"
	CondNotImplemented Symbol = "amqp:not-implemented"
	CondResourceLocked Symbol = "amqp:resource-locked"
	CondFraming        Symbol = "amqp:connection:framing-error"
	CondForced         Symbol = "amqp:connection:forced"
	CondHandleInUse    Symbol = "amqp:session:handle-in-use"
	CondUnattached     Symbol = "amqp:session:unattached-handle"
	CondDetachForced   Symbol = "amqp:link:detach-forced"
	CondTransferLimit  Symbol = "amqp:link:transfer-limit-exceeded"
	CondMessageSize    Symbol = "amqp:link:message-size-exceeded"
	maxErrorText              = 4096 // bytes of a description that are sent
)

func (e *Error) append(dst []byte) []byte {
	w := newList(dst, descError)
	w.mustSymbol(e.Condition)
	w.text(e.Description[:min(len(e.Description), maxErrorText)])
	w.fieldMap(e.Info)
	return w.done()
}

func readError(l *listReader, into **Error) {
	if !l.next() {
		return
	}
	desc, err := l.in.Descriptor()
	if err != nil || desc != descError {
		l.err = malformed("descriptor 0x%x where an error is wanted (%v)", desc, err)
		return
	}
	f := l.in.fields()
	e := &Error{}
	read(f, &e.Condition)
	f.text(&e.Description)
	read(f, &e.Info)
	l.err = f.err
	*into = e
}
