package amqp

// Descriptors of the standard, parts 2, 3 and 5.
const (
	descOpen        uint64 = 0x10
	descBegin       uint64 = 0x11
	descAttach      uint64 = 0x12
	descFlow        uint64 = 0x13
	descTransfer    uint64 = 0x14
	descDisposition uint64 = 0x15
	descDetach      uint64 = 0x16
	descEnd         uint64 = 0x17
	descClose       uint64 = 0x18
	descError       uint64 = 0x1d

	descReceived uint64 = 0x23
	descAccepted uint64 = 0x24
	descRejected uint64 = 0x25
	descReleased uint64 = 0x26
	descModified uint64 = 0x27
	descSource   uint64 = 0x28
	descTarget   uint64 = 0x29

	descMechanisms uint64 = 0x40
	descInit       uint64 = 0x41
	descOutcome    uint64 = 0x44
)

// The sections of a message, part 3 section 3.2.
const (
	SectionHeader                uint64 = 0x70
	SectionDeliveryAnnotations   uint64 = 0x71
	SectionAnnotations           uint64 = 0x72
	SectionProperties            uint64 = 0x73
	SectionApplicationProperties uint64 = 0x74
	SectionData                  uint64 = 0x75
	SectionSequence              uint64 = 0x76
	SectionValue                 uint64 = 0x77
	SectionFooter                uint64 = 0x78
)

// symbolicDescriptor translates the symbolic form, which a peer may use too.
func symbolicDescriptor(name string) (uint64, error) {
	switch name {
	case "amqp:open:list":
		return descOpen, nil
	case "amqp:begin:list":
		return descBegin, nil
	case "amqp:attach:list":
		return descAttach, nil
	case "amqp:flow:list":
		return descFlow, nil
	case "amqp:transfer:list":
		return descTransfer, nil
	case "amqp:disposition:list":
		return descDisposition, nil
	case "amqp:detach:list":
		return descDetach, nil
	case "amqp:end:list":
		return descEnd, nil
	case "amqp:close:list":
		return descClose, nil
	case "amqp:error:list":
		return descError, nil
	case "amqp:source:list":
		return descSource, nil
	case "amqp:target:list":
		return descTarget, nil
	}
	return symbolicOther(name)
}

func symbolicOther(name string) (uint64, error) {
	switch name {
	case "amqp:received:list":
		return descReceived, nil
	case "amqp:accepted:list":
		return descAccepted, nil
	case "amqp:rejected:list":
		return descRejected, nil
	case "amqp:released:list":
		return descReleased, nil
	case "amqp:modified:list":
		return descModified, nil
	case "amqp:header:list":
		return SectionHeader, nil
	case "amqp:delivery-annotations:map":
		return SectionDeliveryAnnotations, nil
	case "amqp:message-annotations:map":
		return SectionAnnotations, nil
	case "amqp:properties:list":
		return SectionProperties, nil
	case "amqp:application-properties:map":
		return SectionApplicationProperties, nil
	case "amqp:data:binary":
		return SectionData, nil
	case "amqp:amqp-sequence:list":
		return SectionSequence, nil
	case "amqp:amqp-value:*":
		return SectionValue, nil
	case "amqp:footer:map":
		return SectionFooter, nil
	}
	return 0, malformed("unknown descriptor %.64q", name)
}
