package amqp

// SASL bodies, part 5 section 5.3.3.
type (
	saslMechanisms struct{ Names []Symbol }
	saslInit       struct {
		Mechanism Symbol
		Response  []byte
		Hostname  string
	}
	saslOutcome struct{ Code uint8 }
)

// The outcome codes that are used.
const (
	saslOK   uint8 = 0
	saslAuth uint8 = 1
)

func (m *saslMechanisms) append(dst []byte) []byte {
	w := newList(dst, descMechanisms)
	w.symbols(m.Names)
	return w.done()
}

func (i *saslInit) append(dst []byte) []byte {
	w := newList(dst, descInit)
	w.mustSymbol(i.Mechanism)
	w.binary(i.Response)
	w.text(i.Hostname)
	return w.done()
}

func (o *saslOutcome) append(dst []byte) []byte {
	w := newList(dst, descOutcome)
	w.value(o.Code)
	return w.done()
}

// parseSASL reads the one SASL body that a client of the offered mechanisms sends.
func parseSASL(body []byte) (*saslInit, error) {
	r := NewReader(body)
	desc, err := r.Descriptor()
	if err != nil {
		return nil, err
	}
	if desc != descInit {
		return nil, malformed("descriptor 0x%x where sasl-init is wanted", desc)
	}
	l, i := r.fields(), &saslInit{}
	read(l, &i.Mechanism)
	read(l, &i.Response)
	l.text(&i.Hostname)
	return i, l.err
}
