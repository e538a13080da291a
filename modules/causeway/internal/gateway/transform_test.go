package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

const meterKey = "000102030405060708090a0b0c0d0e0f"

// The examples of docs/codecs/transform.md are applied, and their dialogues come true.
func TestTheExamplesOfTransformationsComeTrue(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "codecs", "transform.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("METER_KEY", meterKey)
	g := newGateway(t, environment(t))
	defer run(t, g)()
	var listener string
	played := 0
	for _, part := range strings.Split("\n"+string(page), "\n```")[1:] {
		mark, body, _ := strings.Cut(part, "\n")
		switch mark {
		case "json":
			listener = body
		case "dialogue":
			played++
			play(t, g, listener, body)
		}
	}
	if played == 0 {
		t.Error("the page has no dialogue")
	}
}

// play compiles a listener and plays a dialogue with its codec, stages included.
func play(t *testing.T, g *Gateway, listener, text string) {
	t.Helper()
	p, faults := g.compile(t.Context(), []byte(`{"listeners":{"example":`+listener+`}}`), changed)
	if faults != nil {
		t.Fatalf("%s\n%v", listener, faults)
	}
	door := p.doors["example"]
	s := &dialogue.Script{UDP: door.config.Bind.Transport == "udp", Frame: door.config.Frame}
	if err := s.Add(text); err != nil {
		t.Fatal(err)
	}
	got, _, err := s.Play(door.profile.Codec, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Failures(got) {
		t.Error(f)
	}
}

// meterCipher is what the meter of the page encrypts with.
func meterCipher(t *testing.T) cipher.AEAD {
	t.Helper()
	key, err := hex.DecodeString(meterKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// sealedLine is the line "m1,21.5" as the meter of the page sends it.
func sealedLine(t *testing.T) string {
	t.Helper()
	aead := meterCipher(t)
	nonce := make([]byte, aead.NonceSize())
	return hex.EncodeToString(aead.Seal(nonce, nonce, []byte("m1,21.5"), nil))
}

func TestFaultsOfTransformationsAreNamedByPointer(t *testing.T) {
	g := newGateway(t, environment(t))
	defer run(t, g)()
	long := filepath.Join(t.TempDir(), "long.avsc")
	if err := os.WriteFile(long, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	decrypt := `{"type":"decrypt","cipher":"aes-gcm","key":{"env":"NO_SUCH_KEY"}}`
	for transform, want := range map[string]string{
		`{"frames":[` + decrypt + `]}`:                                                           "/transform/frames/0/key/env",
		`{"frames":[{"type":"decompress","algorithm":"gzip"}]}`:                                  "/transform/frames: needs a frame",
		`{"frames":[{"type":"decompress","algorithm":"lzw"}]}`:                                   "/transform/frames/0/algorithm",
		`{"frames":[{"typ":"decompress"}]}`:                                                      "/transform/frames/0/typ",
		`{"frames":{}}`:                                                                          "/transform/frames",
		`{"bodies":[{"type":"encrypt"}]}`:                                                        "/transform/bodies/0/type",
		`{"bodies":[{"type":"fields","set":{"a":"message.("}}]}`:                                 "/transform/bodies/0/set/a",
		`{"bodies":[{"type":"decode","format":"cbor","skip":-1}]}`:                               "/transform/bodies/0/skip",
		fmt.Sprintf(`{"bodies":[{"type":"decode","format":"avro","schema":{"file":%q}}]}`, long): "/transform/bodies/0/schema/file",
		`{"bodies":[{"type":"decode","format":"avro","schema":{"file":"/none.avsc"}}]}`:          "/transform/bodies/0/schema/file",
	} {
		document := `{"listeners":{"a":{"bind":"tcp://127.0.0.1:0","codec":"raw","transform":` + transform + `}}}`
		_, faults := g.compile(t.Context(), json.RawMessage(document), changed)
		if len(faults) == 0 || !strings.Contains(fmt.Sprint(faults), "/listeners/a"+want) {
			t.Errorf("%s: got %v, want %s", transform, faults, want)
		}
	}
}

// A device that encrypts gets an encrypted acknowledgement, inside the framing.
func TestAnEncryptedDeviceIsAnsweredAsItSpeaks(t *testing.T) {
	t.Setenv("METER_KEY", meterKey)
	g := newGateway(t, environment(t))
	defer run(t, g)()
	g.applyDesired(json.RawMessage(`{"listeners":{"meters":{"bind":"tcp://127.0.0.1:0","codec":"csv","ack":"decoded",
		"frame":{"type":"length","size":2},"options":{"columns":["id","celsius"],"id":"id","ack":"OK"},
		"transform":{"frames":[{"type":"decrypt","cipher":"aes-gcm","key":{"env":"METER_KEY"}}]}}}}`), 1)
	conn := dial(t, g, "meters")
	frame, err := hex.DecodeString(sealedLine(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append([]byte{0, byte(len(frame))}, frame...)); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	const nonce, tag = 12, 16
	answer := make([]byte, 2+nonce+len("OK")+tag)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	aead := meterCipher(t)
	plain, err := aead.Open(nil, answer[2:2+nonce], answer[2+nonce:], nil)
	if err != nil || string(plain) != "OK" || int(answer[1]) != len(answer)-2 {
		t.Errorf("the device reads %q, %v", plain, err)
	}
}
