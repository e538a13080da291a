package codectest

import "github.com/causeway-iot/causeway/modules/causeway/codec"

// opened is a codec that remembers the dialogues it began, so that a suite, which
// begins thousands, can close them.
type opened struct {
	codec.Codec
	dialogues []codec.Dialogue
}

// Begin implements codec.Codec.
func (o *opened) Begin(p codec.Peer) (codec.Dialogue, error) {
	d, err := o.Codec.Begin(p)
	if _, ok := d.(codec.Closer); ok {
		o.dialogues = append(o.dialogues, d)
	}
	return d, err
}

// closeAll closes the dialogues begun since the last call.
func (o *opened) closeAll() {
	for _, d := range o.dialogues {
		codec.Close(d)
	}
	o.dialogues = o.dialogues[:0]
}
