package wasm

import (
	"encoding/binary"
	"fmt"
)

// split cuts the stream, as bufio.SplitFunc.
func (i *instance) split(dialogue uint32, data []byte, atEOF bool) (advance int, frame []byte, err error) {
	at, n, err := i.put(data)
	if err != nil {
		return 0, nil, err
	}
	end := uint64(0)
	if atEOF {
		end = 1
	}
	result, err := i.callFunction(i.keep(fnSplit), i.program.limits.Fuel, uint64(dialogue), at, n, end)
	if err != nil {
		return 0, nil, err
	}
	b, err := i.block(result)
	if err != nil || len(b) == 0 {
		return 0, nil, err
	}
	var failure error
	advance, frame, failure, err = cut(b, data)
	if err != nil {
		return 0, nil, i.fail(fmt.Errorf("%s: %w", fnSplit, err))
	}
	return advance, frame, failure
}

// cut reads what a split returned. The error of the dialogue is failure; err is that
// of a module that returned something else.
func cut(b, data []byte) (advance int, frame []byte, failure, err error) {
	const skipSize, frameSize = 4, 12
	r := records{rest: b}
	if !r.next() || len(r.rest) > 0 {
		return 0, nil, nil, fmt.Errorf("%d bytes are not one record: %w", len(b), errNonsense)
	}
	word := func(k int) uint64 { return uint64(binary.LittleEndian.Uint32(r.data[4*k:])) }
	switch {
	case r.tag == tagError:
		failure, err = dialogueError(r.data)
		return 0, nil, failure, err
	case r.tag == tagSkip && len(r.data) == skipSize && word(0) <= uint64(len(data)):
		return int(word(0)), nil, nil, nil
	case r.tag == tagFrame && len(r.data) == frameSize:
		from, to, consumed := word(0), word(0)+word(1), word(2)
		if consumed > 0 && to <= consumed && consumed <= uint64(len(data)) {
			return int(consumed), data[from:to:to], nil, nil
		}
	}
	shown := r.data[:min(len(r.data), frameSize)]
	return 0, nil, nil, fmt.Errorf("tag %d, %x, of %d bytes: %w", r.tag, shown, len(data), errNonsense)
}
