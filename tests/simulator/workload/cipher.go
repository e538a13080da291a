package workload

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
)

type cipherRequest struct {
	Plaintext  string `json:"plaintext"`
	Ciphertext string `json:"ciphertext"`
	Vector     string `json:"initializationVector"`
}

// aead returns the cipher and what binds a text to one module and generation. The
// caller's initialization vector may have any length, so the nonce is derived from it.
func (a *API) aead(r *http.Request, vector []byte) (gcm cipher.AEAD, nonce, bound []byte, err error) {
	block, err := aes.NewCipher(a.master)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("cipher: %w", err)
	}
	if gcm, err = cipher.NewGCM(block); err != nil {
		return nil, nil, nil, fmt.Errorf("cipher: %w", err)
	}
	bound = []byte(r.PathValue("name") + "\x00" + r.PathValue("gen"))
	mac := hmac.New(sha256.New, a.master)
	mac.Write(vector)
	return gcm, mac.Sum(nil)[:gcm.NonceSize()], bound, nil
}

func (a *API) cipherInput(r *http.Request, decrypt bool) (text, vector []byte, err error) {
	if _, err := a.registry.Key(r.PathValue("name")); err != nil {
		return nil, nil, fmt.Errorf("cipher: %w", err)
	}
	var request cipherRequest
	if err := read(r, &request); err != nil {
		return nil, nil, err
	}
	field, value := "plaintext", request.Plaintext
	if decrypt {
		field, value = "ciphertext", request.Ciphertext
	}
	if value == "" || request.Vector == "" {
		return nil, nil, badRequest("%s and initializationVector must not be empty", field)
	}
	if text, err = decode64(field, value); err != nil {
		return nil, nil, err
	}
	vector, err = decode64("initializationVector", request.Vector)
	return text, vector, err
}

func (a *API) encrypt(r *http.Request) (int, any, error) {
	text, vector, err := a.cipherInput(r, false)
	if err != nil {
		return 0, nil, err
	}
	gcm, nonce, bound, err := a.aead(r, vector)
	if err != nil {
		return 0, nil, err
	}
	sealed := gcm.Seal(nil, nonce, text, bound)
	return http.StatusOK, map[string]string{"ciphertext": base64.StdEncoding.EncodeToString(sealed)}, nil
}

func (a *API) decrypt(r *http.Request) (int, any, error) {
	text, vector, err := a.cipherInput(r, true)
	if err != nil {
		return 0, nil, err
	}
	gcm, nonce, bound, err := a.aead(r, vector)
	if err != nil {
		return 0, nil, err
	}
	plain, err := gcm.Open(nil, nonce, text, bound)
	if err != nil {
		return 0, nil, &apiError{http.StatusInternalServerError, "ciphertext cannot be decrypted"}
	}
	return http.StatusOK, map[string]string{"plaintext": base64.StdEncoding.EncodeToString(plain)}, nil
}
