package frame

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// stream is a Source that never has to wait.
type stream struct{ io.Reader }

func (stream) SetReadDeadline(time.Time) error { return nil }

// ragged returns reads of random length up to most, as a network does.
type ragged struct {
	data []byte
	rng  *rand.Rand
	most int
}

func (r *ragged) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := min(1+r.rng.IntN(r.most), len(p), len(r.data))
	copy(p, r.data[:n])
	r.data = r.data[n:]
	return n, nil
}

func parse(tb testing.TB, spec string, limit int) *Framing {
	tb.Helper()
	f, err := Parse(json.RawMessage(spec), limit)
	if err != nil {
		tb.Fatalf("Parse(%s): %v", spec, err)
	}
	return f
}

// partOf tells whether a frame begins within data.
func partOf(data, frame []byte) bool {
	for i := range data {
		if &data[i] == &frame[0] {
			return true
		}
	}
	return false
}

// outcome of a stream: its frames in hexadecimal, "?" where bytes were refused
// and the stream went on, and the error at its end.
func outcome(tb testing.TB, f *Framing, src io.Reader) (frames []string, end error) {
	tb.Helper()
	within := func(data []byte, atEOF bool) (int, []byte, error) {
		advance, frame, err := f.Split(data, atEOF)
		if len(frame) > 0 && !partOf(data[:advance], frame) {
			tb.Fatalf("the frame %x is no part of what was consumed", frame)
		}
		return advance, frame, err
	}
	r := NewReader(stream{src}, within, Options{Limit: f.limit, Window: f.Window(), Gap: f.Gap})
	for {
		before := r.Consumed()
		frame, err := r.Next()
		switch {
		case err == nil:
			frames = append(frames, hex.EncodeToString(frame))
			if len(frame) > f.limit {
				tb.Fatalf("frame of %d bytes, the limit is %d", len(frame), f.limit)
			}
		case errors.Is(err, ErrMalformed) && r.Consumed() > before:
			frames = append(frames, "?")
		default:
			return frames, err
		}
	}
}

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

type splitCase struct {
	name, spec string
	limit      int
	in         string // hexadecimal, or text in quotes
	want       []string
	end        error
}

func (c splitCase) bytes(tb testing.TB) []byte {
	tb.Helper()
	var text string
	if json.Unmarshal([]byte(c.in), &text) == nil {
		return []byte(text)
	}
	return unhex(tb, c.in)
}

func text(lines ...string) []string {
	for i := range lines {
		lines[i] = hex.EncodeToString([]byte(lines[i]))
	}
	return lines
}

func splitCases() []splitCase {
	return slices.Concat(textCases(), lengthCases(), delimitedCases())
}

func textCases() []splitCase {
	return []splitCase{
		{"lines lose LF and CR LF", `{"type":"line"}`, 8, `"ab\nc\r\n\n\rd\n"`, text("ab", "c", "", "\rd"), io.EOF},
		{"a line that never ends is refused", `{"type":"line"}`, 4, `"ab\nabcde"`, text("ab"), ErrTooLong},
		{"a line of the limit with CR LF is taken", `{"type":"line"}`, 4, `"abcd\r\n"`, text("abcd"), io.EOF},
		{"a line over the limit with CR LF is refused", `{"type":"line"}`, 4, `"abcde\r\n"`, nil, ErrTooLong},
		{"half a line at the end is no frame", `{"type":"line"}`, 8, `"ab\ncd"`, text("ab"), io.ErrUnexpectedEOF},
		{"a delimiter of text", `{"type":"delimiter","text":"$\r\n"}`, 8, `"a$\rb$\r\n$\r\n"`, text("a$\rb", ""), io.EOF},
		{"a delimiter in hexadecimal", `{"type":"delimiter","hex":"0000"}`, 4, "01000200000000", []string{"010002", ""}, io.EOF},
		{"a delimiter that does not come", `{"type":"delimiter","hex":"0000"}`, 4, "010203040500", nil, ErrTooLong},
		{"fixed frames", `{"type":"fixed","size":3}`, 3, "010203040506", []string{"010203", "040506"}, io.EOF},
		{"half a fixed frame", `{"type":"fixed","size":3}`, 3, "0102030405", []string{"010203"}, io.ErrUnexpectedEOF},
		{"a gap frame ends with the stream", `{"type":"gap","milliseconds":20}`, 8, "01020304", []string{"01020304"}, io.EOF},
		{"a gap frame over the limit", `{"type":"gap","milliseconds":20}`, 3, "01020304", nil, ErrTooLong},
	}
}

func lengthCases() []splitCase {
	return []splitCase{
		{"two bytes big-endian, stripped", `{"type":"length"}`, 9, "00020102000000010a", []string{"0102", "", "0a"}, io.EOF},
		{"kept header", `{"type":"length","size":1,"strip":false}`, 3, "020102", []string{"020102"}, io.EOF},
		{"kept header counts for the limit", `{"type":"length","size":1,"strip":false}`, 2, "020102", nil, ErrTooLong},
		{"offset keeps the header", `{"type":"length","offset":1,"size":1}`, 9, "ff0201020000", []string{"ff020102", "0000"}, io.EOF},
		{"length counts the whole frame", `{"type":"length","offset":2,"size":2,"adjustment":-4}`, 9, "aaaa0005bb", []string{"aaaa0005bb"}, io.EOF},
		{"length is less than its header", `{"type":"length","offset":2,"size":2,"adjustment":-4}`, 9, "aaaa0003bb", nil, ErrMalformed},
		{"a checksum that is not counted", `{"type":"length","size":1,"adjustment":2}`, 9, "01aabbcc", []string{"aabbcc"}, io.EOF},
		{"four bytes little-endian", `{"type":"length","size":4,"endian":"little"}`, 9, "010000000a", []string{"0a"}, io.EOF},
		{"eight bytes at their highest", `{"type":"length","size":8}`, 9, "ffffffffffffffff", nil, ErrTooLong},
		{"a length over the limit is refused before the bytes come", `{"type":"length"}`, 9, "000a", nil, ErrTooLong},
		{"half a frame at the end", `{"type":"length"}`, 9, "000301", nil, io.ErrUnexpectedEOF},
		{"a varint", `{"type":"length","size":"varint"}`, 300, "0101" + "810001", []string{"01", "01"}, io.EOF},
		{"a varint without an end", `{"type":"length","size":"varint"}`, 9, "ffffffffffffffffffff", nil, ErrMalformed},
		{"digits", `{"type":"length","size":4,"encoding":"ascii"}`, 9, `"0003abc0000"`, text("abc", ""), io.EOF},
		{"digits that are none", `{"type":"length","size":4,"encoding":"ascii"}`, 9, `"00x3abc"`, nil, ErrMalformed},
		{"binary-coded decimal", `{"type":"length","size":2,"encoding":"bcd"}`, 12, "0010" + "00010203040506070809", []string{"00010203040506070809"}, io.EOF},
		{"binary-coded decimal little-endian", `{"type":"length","size":2,"encoding":"bcd","endian":"little"}`, 12, "0100aa", []string{"aa"}, io.EOF},
		{"no decimal", `{"type":"length","size":2,"encoding":"bcd"}`, 12, "001a", nil, ErrMalformed},
		{"a prefix", `{"type":"length","prefix":"68","size":1}`, 9, "680201026800", []string{"0102", ""}, io.EOF},
		{"another prefix is refused at its first byte", `{"type":"length","prefix":"6869","size":1}`, 9, "67", nil, ErrMalformed},
	}
}

func delimitedCases() []splitCase {
	const dle = `{"type":"delimited","start":"1002","end":"1003","escape":{"map":{"1010":"10"}}}`
	return []splitCase{
		{"hdlc with shared flags", `{"type":"delimited","preset":"hdlc"}`, 8, "7e7e01027e037d5e7d5d7e7e", []string{"0102", "037e7d"}, io.EOF},
		{"hdlc abort", `{"type":"delimited","preset":"hdlc"}`, 8, "7e01027d7e037e", []string{"?", "03"}, io.EOF},
		{"slip", `{"type":"delimited","preset":"slip"}`, 8, "c001dbdcdbddc0c002c0", []string{"01c0db", "02"}, io.EOF},
		{"slip with a wrong escape", `{"type":"delimited","preset":"slip"}`, 8, "01db01c002c0", []string{"?", "02"}, io.EOF},
		{"jt808", `{"type":"delimited","preset":"jt808"}`, 8, "7e307d02087d017e7e017e", []string{"307e087d", "01"}, io.EOF},
		{"jt808 joined in the middle of a frame", `{"type":"delimited","preset":"jt808"}`, 8, "01027e7e037e7e047e", []string{"03", "04"}, io.EOF},
		{"jt808 of the limit, all escaped", `{"type":"delimited","preset":"jt808"}`, 4, "7e7d027d017d027d017e", []string{"7e7d7e7d"}, io.EOF},
		{"jt808 over the limit", `{"type":"delimited","preset":"jt808"}`, 4, "7e7d027d017d027d0101", nil, ErrTooLong},
		{"mllp with noise between", `{"type":"delimited","preset":"mllp"}`, 8, "0b41421c0d0d0a0b1c431c0d", []string{"4142", "1c43"}, io.EOF},
		{"garbage without a start", `{"type":"delimited","preset":"mllp"}`, 4, "0102030405", nil, ErrMalformed},
		{"a start after too much garbage", `{"type":"delimited","preset":"mllp"}`, 4, "01020304050b411c0d", nil, ErrMalformed},
		{"an end that does not come", `{"type":"delimited","preset":"mllp"}`, 4, "0b010203041c1c", nil, ErrTooLong},
		{"doubled escape before the end's second byte", dle, 8, "1002" + "0110100310101003" + "10021003", []string{"01100310", ""}, io.EOF},
		{"only escapes without an end", dle, 3, "1002" + "1010101010101010", nil, ErrTooLong},
	}
}

func TestSplitCutsTheStreamInWhateverPiecesItComes(t *testing.T) {
	for _, c := range splitCases() {
		t.Run(c.name, func(t *testing.T) {
			f := parse(t, c.spec, c.limit)
			got, err := outcome(t, f, bytes.NewReader(c.bytes(t)))
			if !slices.Equal(got, c.want) || !errors.Is(err, c.end) {
				t.Errorf("got %q, %v, want %q, %v", got, err, c.want, c.end)
			}
			for most := range 4 {
				src := &ragged{data: c.bytes(t), rng: rand.New(rand.NewPCG(1, uint64(most))), most: most + 1}
				pieces, err := outcome(t, f, src)
				if !slices.Equal(pieces, c.want) || !errors.Is(err, c.end) {
					t.Errorf("in pieces of up to %d: got %q, %v, want %q, %v", most+1, pieces, err, c.want, c.end)
				}
			}
		})
	}
}

func TestFrameOfTheLengthFieldIsRefusedBeforeItsBytesCome(t *testing.T) {
	f := parse(t, `{"type":"length","size":4}`, 100)
	if _, _, err := f.Split([]byte{0, 0, 0, 101}, false); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want %v", err, ErrTooLong)
	}
}

func TestNoneTakesEachChunkForAFrame(t *testing.T) {
	f := parse(t, `{"type":"none"}`, 4)
	got, err := outcome(t, f, bytes.NewReader([]byte("abcdef")))
	if want := text("abcd", "ef"); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestDatagramIsOneFrameWithinTheLimit(t *testing.T) {
	f := parse(t, `{"type":"datagram"}`, 4)
	if n, frame, err := f.Split([]byte("abcd"), true); n != 4 || string(frame) != "abcd" || err != nil {
		t.Errorf("got %d, %q, %v", n, frame, err)
	}
	if _, _, err := f.Split([]byte("abcde"), true); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want %v", err, ErrTooLong)
	}
}

// allSpecs are framings in which whatever Append takes comes out of Split again.
func allSpecs() []string {
	return []string{
		`{"type":"line"}`, `{"type":"line","crlf":true}`, `{"type":"delimiter","hex":"0d0a"}`, `{"type":"delimiter","text":";"}`,
		`{"type":"length"}`, `{"type":"length","size":1}`, `{"type":"length","size":4,"endian":"little","adjustment":3}`,
		`{"type":"length","size":"varint"}`, `{"type":"length","size":3,"encoding":"ascii"}`,
		`{"type":"length","size":2,"encoding":"bcd","adjustment":-2}`, `{"type":"length","offset":2,"size":1,"adjustment":1}`,
		`{"type":"length","prefix":"68","size":8,"endian":"little"}`, `{"type":"fixed","size":7}`,
		`{"type":"delimited","preset":"hdlc"}`, `{"type":"delimited","preset":"slip"}`, `{"type":"delimited","preset":"jt808"}`,
		`{"type":"delimited","preset":"mllp"}`,
		`{"type":"delimited","start":"1002","end":"1003","escape":{"map":{"1010":"10"}}}`,
		`{"type":"delimited","start":"02","end":"03","escape":{"byte":"10","xor":"20"}}`,
		`{"type":"delimited","end":"0d0d"}`,
		`{"type":"gap","milliseconds":5}`,
	}
}

func FuzzSplit(f *testing.F) {
	for _, c := range splitCases() {
		for i := range allSpecs() {
			f.Add(i, uint16(c.limit), c.bytes(f), uint64(1))
		}
	}
	f.Fuzz(func(t *testing.T, spec int, limit uint16, data []byte, seed uint64) {
		specs := allSpecs()
		framing, err := Parse(json.RawMessage(specs[uint(spec)%uint(len(specs))]), int(limit)+1)
		if err != nil {
			return
		}
		whole, end := outcome(t, framing, bytes.NewReader(bytes.Clone(data)))
		src := &ragged{data: data, rng: rand.New(rand.NewPCG(seed, 1)), most: 1 + int(seed%64)}
		pieces, endPieces := outcome(t, framing, src)
		if !slices.Equal(whole, pieces) || !errors.Is(kindOf(end), kindOf(endPieces)) {
			t.Errorf("%s, limit %d\nwhole     %q %v\nin pieces %q %v", specs[uint(spec)%uint(len(specs))],
				int(limit)+1, whole, end, pieces, endPieces)
		}
		if kindOf(end) == nil {
			t.Errorf("the stream ended with %v", end)
		}
	})
}

// kindOf is the sentinel that an error wraps, nil for one that must not occur.
func kindOf(err error) error {
	for _, kind := range []error{ErrTooLong, ErrMalformed, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

func FuzzWhatAppendTakesComesOutOfSplit(f *testing.F) {
	for i := range allSpecs() {
		for _, payload := range []string{"", "a", "ab\n", "\x10\x03\x10", "~}\xc0\xdb\x1c\r", "\x00\x01\x02\x03", "1234567"} {
			f.Add(i, []byte(payload), []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, spec int, a, b []byte) {
		specs := allSpecs()
		framing := parse(t, specs[uint(spec)%uint(len(specs))], max(len(a), len(b), 7)+8)
		wire := []byte("x")
		var want []string
		for _, payload := range [][]byte{a, b} {
			out, err := framing.Append(wire, payload)
			if err != nil {
				if !errors.Is(err, ErrPayload) || !bytes.Equal(out, wire) {
					t.Fatalf("Append(%x): %x, %v", payload, out, err)
				}
				continue
			}
			wire = out
			want = append(want, hex.EncodeToString(delivered(framing, payload)))
		}
		if framing.Gap > 0 {
			return // only a silence tells two frames apart
		}
		got, end := outcome(t, framing, bytes.NewReader(wire[1:]))
		if !slices.Equal(got, want) || !errors.Is(end, io.EOF) {
			t.Errorf("%s\nwire %x\ngot  %q %v\nwant %q", specs[uint(spec)%uint(len(specs))], wire[1:], got, end, want)
		}
	})
}

// delivered is the frame that the other side sees: a line's end that the payload
// brought along is not part of it.
func delivered(f *Framing, payload []byte) []byte {
	d, ok := f.cutter.(*delimiter)
	if !ok {
		return payload
	}
	line := bytes.TrimSuffix(payload, d.end)
	if len(line) == len(payload) && len(d.write) > len(d.end) {
		return payload // Append wrote a CR of its own
	}
	payload = line
	if d.cr {
		payload = bytes.TrimSuffix(payload, []byte("\r"))
	}
	return payload
}

func ExampleFraming_Append() {
	f, err := Parse(json.RawMessage(`{"type":"delimited","preset":"jt808"}`), 1024)
	if err != nil {
		return
	}
	wire, err := f.Append(nil, []byte{0x30, 0x7e, 0x08, 0x7d})
	fmt.Printf("%x %v\n", wire, err) //nolint:forbidigo // the example's output
	// Output: 7e307d02087d017e <nil>
}
