package transform

import (
	"bytes"
	stdflate "compress/flate"
	stdgzip "compress/gzip"
	stdzlib "compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// The vectors are those of NIST SP 800-38A (CBC) and of the GCM specification, test
// case 4 without its associated data's absence: see the texts.
func TestKnownVectorsAreDecrypted(t *testing.T) {
	cases := map[string]struct{ key, stage, frame, plain string }{
		"GCM, test case 4": {
			"feffe9928665731c6d6a8f9467308308",
			`"cipher":"aes-gcm","aad":"feedfacedeadbeeffeedfacedeadbeefabaddad2"`,
			nonceHex + "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091" +
				"5bc94fbc3221a5db94fae95ae7121a47",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		},
		"GCM, test case 1": {
			"00000000000000000000000000000000", `"cipher":"aes-gcm"`,
			"00000000000000000000000058e2fccefa7e3061367f1d57a4e7455a", "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			with := around()
			with.Environment = func(string) (string, bool) { return c.key, true }
			made, err := Parse([]byte(`{"frames":[{"type":"decrypt",`+c.stage+`,"key":{"env":"K"}}]}`), with)
			if err != nil {
				t.Fatal(err)
			}
			got, err := made.frames[0].open(nil, unhex(t, c.frame))
			if err != nil || !bytes.Equal(got, unhex(t, c.plain)) {
				t.Errorf("got %x, %v", got, err)
			}
		})
	}
}

// SP 800-38A, F.2.1: the first block, then a block of padding by hand.
func TestTheBlocksOfCBCAreThoseOfTheStandard(t *testing.T) {
	with := around()
	with.Environment = func(string) (string, bool) { return "2b7e151628aed2a6abf7158809cf4f3c", true }
	made, err := Parse([]byte(`{"frames":[{"type":"decrypt","cipher":"aes-cbc","key":{"env":"K"},"iv":"000102030405060708090a0b0c0d0e0f"}]}`), with)
	if err != nil {
		t.Fatal(err)
	}
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172a")
	sealed, err := made.frames[0].seal([]byte("head"), plain)
	if err != nil || !bytes.HasPrefix(sealed, append([]byte("head"), unhex(t, "7649abac8119b246cee98e9b12e9197d")...)) || len(sealed) != 4+32 {
		t.Fatalf("sealed as %x, %v", sealed, err)
	}
	got, err := made.frames[0].open([]byte("head"), sealed[4:])
	if err != nil || string(got) != "head"+string(plain) {
		t.Errorf("opened as %x, %v", got, err)
	}
}

func TestChangedFramesAreNotDecrypted(t *testing.T) {
	for _, name := range []string{"aes-gcm", "aes-cbc"} {
		s := chain(t, `{"frames":[{"type":"decrypt","cipher":"`+name+`","key":{"env":"KEY"}}]}`).frames[0]
		sealed, err := s.seal(nil, []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.seal(nil, []byte("hello"))
		if err != nil || bytes.Equal(sealed, again) {
			t.Errorf("%s: two frames are equal, %v", name, err)
		}
		for n := range len(sealed) {
			if _, err := s.open(nil, sealed[:n]); !errors.Is(err, errDecrypt) {
				t.Errorf("%s: %d of %d bytes are opened: %v", name, n, len(sealed), err)
			}
		}
		changed := bytes.Clone(sealed)
		if name == "aes-gcm" {
			changed[len(changed)-1] ^= 1
		} else {
			changed[15] ^= 0xff // the last byte of the first block's padding
		}
		if got, err := s.open(nil, changed); !errors.Is(err, errDecrypt) {
			t.Errorf("%s: a changed frame is opened as %q: %v", name, got, err)
		}
	}
}

// deflated is what others write in the four formats.
func deflated(tb testing.TB, name string, plain []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch name {
	case "gzip":
		w = stdgzip.NewWriter(&out)
	case "zlib":
		w = stdzlib.NewWriter(&out)
	case "deflate":
		w, err = stdflate.NewWriter(&out, stdflate.BestCompression)
	case "zstd":
		w, err = zstd.NewWriter(&out)
	}
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatOthersCompressIsDecompressed(t *testing.T) {
	noise := make([]byte, 10_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, name := range strings.Split(algorithms, ", ") {
		c, err := newCompression("", name, len(noise))
		if err != nil {
			t.Fatal(err)
		}
		for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("abc"), 3000), noise} {
			for range 3 { // pooled coders
				got, err := c.decompress([]byte("head"), deflated(t, name, plain))
				if err != nil || string(got) != "head"+string(plain) {
					t.Errorf("%s of %d bytes: got %d, %v", name, len(plain), len(got), err)
				}
				small, err := c.compress([]byte("head"), plain)
				if err != nil || !bytes.HasPrefix(small, []byte("head")) {
					t.Fatal(err)
				}
				if back, err := c.decompress(nil, small[4:]); err != nil || !bytes.Equal(back, plain) {
					t.Errorf("%s there and back: %d bytes, %v", name, len(back), err)
				}
			}
		}
		whole := deflated(t, name, noise[:100])
		for _, broken := range [][]byte{{}, whole[:len(whole)/2], []byte("hello, I am plain text"), append(bytes.Clone(whole), 1, 2, 3)} {
			if got, err := c.decompress(nil, broken); err == nil {
				t.Errorf("%s: %d broken bytes become %d", name, len(broken), len(got))
			}
			if got, err := c.decompress(nil, whole); err != nil || !bytes.Equal(got, noise[:100]) {
				t.Errorf("%s: after a broken frame a good one fails: %v", name, err)
			}
		}
	}
}

func TestBombsAreRefusedAtTheirBound(t *testing.T) {
	zeros := make([]byte, 3<<20)
	for _, name := range strings.Split(algorithms, ", ") {
		t.Run(name, func(t *testing.T) {
			const most = 20_000
			c, err := newCompression("", name, most)
			if err != nil {
				t.Fatal(err)
			}
			bomb := deflated(t, name, zeros)
			if len(bomb) > 1<<16 {
				t.Fatalf("a bomb of %d bytes is none", len(bomb))
			}
			head := make([]byte, 1000, 2000)
			got, err := c.decompress(head, bomb)
			if !errors.Is(err, errBomb) || len(got) != len(head) || cap(got) > 4*most {
				t.Errorf("got %d of %d bytes, %v", len(got), cap(got), err)
			}
			for n, fits := range map[int]bool{most: true, most + 1: false} {
				if _, err := c.decompress(head, deflated(t, name, zeros[:n])); (err == nil) != fits {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
}

func FuzzFramesAreOpenedWithinTheirBound(f *testing.F) {
	const most = 4096
	var all []func(dst, src []byte) ([]byte, error)
	for i, name := range strings.Split(algorithms, ", ") {
		c, err := newCompression("", name, most)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, c.decompress)
		f.Add(uint8(i), deflated(f, name, []byte("hello, hello, hello")))
	}
	for i, name := range []string{"aes-gcm", "aes-cbc"} {
		s := chain(f, `{"frames":[{"type":"decrypt","cipher":"`+name+`","key":{"env":"KEY"}}]}`).frames[0]
		all = append(all, s.open)
		sealed, err := s.seal(nil, []byte("hello"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(4+i), sealed)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		head := []byte("head")
		got, err := all[int(which)%len(all)](head, data)
		if !bytes.HasPrefix(got, head) || err != nil && len(got) != len(head) || len(got) > len(head)+max(most, len(data)) {
			t.Errorf("%d bytes become %d, %v", len(data), len(got), err)
		}
	})
}

func BenchmarkFrames(b *testing.B) {
	plain := bytes.Repeat([]byte(`{"t":21.5,"h":40}`), 10)
	for _, stage := range []string{
		`"type":"decrypt","cipher":"aes-gcm","key":{"env":"KEY"}`, `"type":"decrypt","cipher":"aes-cbc","key":{"env":"KEY"}`,
		`"type":"decompress","algorithm":"gzip"`, `"type":"decompress","algorithm":"zstd"`,
	} {
		s := chain(b, `{"frames":[{`+stage+`}]}`).frames[0]
		sealed, err := s.seal(nil, plain)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%s of %d bytes", s.name, len(plain)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(plain)))
			var dst []byte
			for b.Loop() {
				if dst, err = s.open(dst[:0], sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
