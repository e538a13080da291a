package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// IoT Hub takes device keys of these many bytes, before base64.
const (
	minKey = 16
	maxKey = 64
)

// decodeKey reads a symmetric key as IoT Hub shows it. The error never shows the text.
func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("the key is not base64")
	}
	if len(key) < minKey || len(key) > maxKey {
		return nil, fmt.Errorf("the key has %d bytes before base64, allowed are %d to %d", len(key), minKey, maxKey)
	}
	return key, nil
}

// symmetric is the credential of a device whose key is this.
func symmetric(key []byte) Credential {
	return Credential{Sign: func(_ context.Context, data []byte) (string, error) { return digest(key, data), nil }}
}

// digest is base64(HMAC-SHA256(key, data)).
func digest(key, data []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(data) // never fails, see hash.Hash
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
