package transform

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// frameStage changes frames on the way up (open) and, where answers is set, what is
// written to the device on the way down (seal). Both append to dst, which does not
// overlap src.
type frameStage struct {
	name    string
	answers bool
	open    func(dst, src []byte) ([]byte, error)
	seal    func(dst, src []byte) ([]byte, error)
}

// errDecrypt is the one error of decryption, so that a device learns nothing from it.
var errDecrypt = errors.New("cannot be decrypted")

func parseDecrypt(raw json.RawMessage, with Surroundings) (*frameStage, error) {
	s := struct {
		Type    string     `json:"type"`
		Cipher  string     `json:"cipher"`
		Key     keySetting `json:"key"`
		IV      string     `json:"iv"`
		AAD     string     `json:"aad"`
		Answers bool       `json:"answers"`
	}{Answers: true}
	if err := codec.DecodeOptions(raw, &s); err != nil {
		return nil, err
	}
	key, err := s.Key.read(with)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, codec.Optionf("/key", "%v", err)
	}
	stage := &frameStage{name: s.Cipher, answers: s.Answers}
	switch s.Cipher {
	case "aes-gcm":
		if s.IV != "" {
			return nil, codec.Optionf("/iv", "is for aes-cbc: with aes-gcm a nonce that repeats gives the key away")
		}
		aad, err := hex.DecodeString(s.AAD)
		if err != nil {
			return nil, codec.Optionf("/aad", "got %q, want bytes in hexadecimal", s.AAD)
		}
		return stage, stage.gcm(block, aad)
	case "aes-cbc":
		if s.AAD != "" {
			return nil, codec.Optionf("/aad", "is for aes-gcm: aes-cbc authenticates nothing")
		}
		iv, err := hex.DecodeString(s.IV)
		if err != nil || len(iv) != 0 && len(iv) != aes.BlockSize {
			return nil, codec.Optionf("/iv", "got %q, want %d bytes in hexadecimal, or none", s.IV, aes.BlockSize)
		}
		stage.cbc(block, iv)
		return stage, nil
	default:
		return nil, codec.Optionf("/cipher", "got %q, want aes-gcm or aes-cbc", s.Cipher)
	}
}

// gcm: a frame is the nonce of 12 bytes, the ciphertext, and the tag of 16.
func (s *frameStage) gcm(block cipher.Block, aad []byte) error {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return codec.Optionf("/cipher", "%v", err)
	}
	n := aead.NonceSize()
	s.open = func(dst, src []byte) ([]byte, error) {
		if len(src) < n+aead.Overhead() {
			return dst, fmt.Errorf("%d bytes, at least %d: %w", len(src), n+aead.Overhead(), errDecrypt)
		}
		out, err := aead.Open(dst, src[:n], src[n:], aad)
		if err != nil {
			return dst, errDecrypt
		}
		return out, nil
	}
	s.seal = func(dst, src []byte) ([]byte, error) {
		at := len(dst)
		dst = append(dst, make([]byte, n)...)
		if _, err := rand.Read(dst[at:]); err != nil {
			return dst[:at], err
		}
		return aead.Seal(dst, dst[at:at+n], src, aad), nil
	}
	return nil
}

// cbc: a frame is the initialisation vector, unless it is fixed, and whole blocks with
// the padding of PKCS #7.
func (s *frameStage) cbc(block cipher.Block, fixed []byte) {
	const size = aes.BlockSize
	s.open = func(dst, src []byte) ([]byte, error) {
		iv := fixed
		if len(iv) == 0 {
			if len(src) < size {
				return dst, fmt.Errorf("%d bytes, at least %d: %w", len(src), size, errDecrypt)
			}
			iv, src = src[:size], src[size:]
		}
		if len(src) == 0 || len(src)%size != 0 {
			return dst, fmt.Errorf("%d bytes, not whole blocks: %w", len(src), errDecrypt)
		}
		at := len(dst)
		dst = append(dst, src...)
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(dst[at:], dst[at:])
		pad := int(dst[len(dst)-1])
		if pad == 0 || pad > size {
			return dst[:at], errDecrypt
		}
		for _, b := range dst[len(dst)-pad:] {
			if int(b) != pad {
				return dst[:at], errDecrypt
			}
		}
		return dst[:len(dst)-pad], nil
	}
	s.seal = func(dst, src []byte) ([]byte, error) {
		iv := fixed
		if len(iv) == 0 {
			at := len(dst)
			dst = append(dst, make([]byte, size)...)
			if _, err := rand.Read(dst[at:]); err != nil {
				return dst[:at], err
			}
			iv = dst[at : at+size]
		}
		at := len(dst)
		dst = append(dst, src...)
		pad := size - len(src)%size
		for range pad {
			dst = append(dst, byte(pad))
		}
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(dst[at:], dst[at:])
		return dst, nil
	}
}
