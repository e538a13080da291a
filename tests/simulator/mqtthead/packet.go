package mqtthead

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/mochi-mqtt/server/v2/packets"
)

// maxPacket is the greatest packet behind its fixed header, in bytes. The hub ends the
// connection at a greater one.
const maxPacket = 262144

// version is MQTT 3.1.1.
const version = 4

// errPacket is a packet that MQTT 3.1.1, or the hub, does not allow here.
var errPacket = errors.New("protocol violation")

// readPacket reads one packet. The texts of the packet are parts of a buffer of its own.
func readPacket(in *bufio.Reader) (packets.Packet, error) {
	pk := packets.Packet{ProtocolVersion: version}
	first, err := in.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, fmt.Errorf("%w: %w", errPacket, err)
	}
	length, size, err := packets.DecodeLength(in)
	if err != nil {
		return pk, err
	}
	if length > maxPacket || size > 4 {
		return pk, fmt.Errorf("%w: packet of %d bytes, at most %d are allowed", errPacket, length, maxPacket)
	}
	pk.FixedHeader.Remaining = length
	buf := make([]byte, length)
	if _, err := io.ReadFull(in, buf); err != nil {
		return pk, err
	}
	if err := decode(&pk, buf); err != nil {
		return pk, fmt.Errorf("%w: %w", errPacket, err)
	}
	return pk, nil
}

func decode(pk *packets.Packet, buf []byte) error {
	switch pk.FixedHeader.Type {
	case packets.Connect:
		return decodeConnect(pk, buf)
	case packets.Publish:
		if err := pk.PublishDecode(buf); err != nil {
			return err
		}
		if pk.FixedHeader.Qos > 0 && pk.PacketID == 0 {
			return packets.ErrProtocolViolationNoPacketID
		}
		return nil
	case packets.Puback:
		return pk.PubackDecode(buf)
	case packets.Subscribe:
		if err := pk.SubscribeDecode(buf); err != nil {
			return err
		}
		return refused(pk.SubscribeValidate())
	case packets.Unsubscribe:
		if err := pk.UnsubscribeDecode(buf); err != nil {
			return err
		}
		return refused(pk.UnsubscribeValidate())
	}
	return nil // without a body, or refused by whoever sees the type
}

// decodeConnect looks at the version first, as the codec knows other ones.
func decodeConnect(pk *packets.Packet, buf []byte) error {
	if !bytes.HasPrefix(buf, []byte("\x00\x04MQTT\x04")) {
		return packets.ErrProtocolViolationProtocolVersion
	}
	if err := pk.ConnectDecode(buf); err != nil {
		return err
	}
	if pk.ReservedBit != 0 || pk.Connect.WillQos > 2 {
		return packets.ErrMalformedFlags
	}
	return nil
}

func refused(code packets.Code) error {
	if code != packets.CodeSuccess {
		return code
	}
	return nil
}

// answer encodes a packet that has an id at most.
func answer(kind byte, id uint16) []byte {
	if kind == packets.Pingresp {
		return []byte{kind << 4, 0}
	}
	return []byte{kind << 4, 2, byte(id >> 8), byte(id)}
}

// connack encodes the answer to a login.
func connack(code byte, sessionPresent bool) []byte {
	present := byte(0)
	if sessionPresent {
		present = 1
	}
	return []byte{packets.Connack << 4, 2, present, code}
}

// suback encodes the qualities granted. The hub bounds a client's filters, not those of one
// packet, which has 262,144 bytes at most.
func suback(id uint16, granted []byte) ([]byte, error) {
	var buf bytes.Buffer
	pk := packets.Packet{
		ProtocolVersion: version, FixedHeader: packets.FixedHeader{Type: packets.Suback},
		PacketID: id, ReasonCodes: granted,
	}
	err := pk.SubackEncode(&buf)
	return buf.Bytes(), err
}

// publication encodes a message to a client.
func publication(topic string, payload []byte, qos byte, id uint16) ([]byte, error) {
	var buf bytes.Buffer
	pk := packets.Packet{
		ProtocolVersion: version, FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
		TopicName: topic, PacketID: id, Payload: payload,
	}
	err := pk.PublishEncode(&buf)
	return buf.Bytes(), err
}
