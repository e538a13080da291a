// Package teltonika speaks the protocol of Teltonika trackers (FMB, FMC, FMM and
// their relatives) over TCP and UDP: records in Codec 8, 8 Extended and 16,
// commands and texts in Codec 12, 13, 14 and 15.
//
// A record is acknowledged with [codec.Outcome.Ack] only, because a tracker
// erases its own copy when the server confirms the count of records. The frame
// layouts are those of the manufacturer's public page "Teltonika Data Sending
// Protocols"; the README beside this file tells them in short.
package teltonika

import (
	"encoding/json"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// protocol is the compiled configuration of one listener. It is read-only after
// New, so every link shares it.
type protocol struct {
	options options
	crc     *crcTable
	avl     *dictionary
	// named: elements are told by name, where they have one.
	named bool
}

// New compiles the options of a listener; it is a [codec.Factory]. An unknown
// option or a value out of range is an error that names the option, the value
// and what is allowed.
func New(raw json.RawMessage) (codec.Codec, error) {
	o, err := parseOptions(raw)
	if err != nil {
		return nil, err
	}
	avl, err := newDictionary(avlTable(), o.Elements)
	if err != nil {
		return nil, err
	}
	return &protocol{options: o, crc: newCRCTable(), avl: avl, named: o.Names == "name"}, nil
}

// Begin implements codec.Codec. Datagrams carry a header of their own and no
// login, so they have a dialogue of their own.
func (p *protocol) Begin(peer codec.Peer) (codec.Dialogue, error) {
	switch {
	case peer.Datagram():
		return &datagrams{protocol: p}, nil
	case peer.Transport == "tcp" || peer.Transport == "tls":
		return &stream{protocol: p}, nil
	}
	return nil, fmt.Errorf("teltonika: transport %q, allowed are tcp, tls and udp", peer.Transport)
}
