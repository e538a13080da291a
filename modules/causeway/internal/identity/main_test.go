package identity

import (
	"context"
	"encoding/base64"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// planted is a key that must not be seen anywhere but in what it signs.
const planted = "cGxhbnRlZC1kZXZpY2Uta2V5LW9mLTMyLWJ5dGVzISE="

// other is another key.
const other = "YW5vdGhlci1kZXZpY2Uta2V5LW9mLTMyLWJ5dGVzISE="

// signature is what a device with a key signs data with, computed here anew.
func signature(tb testing.TB, key, data string) string {
	tb.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return digest(raw, []byte(data))
}

// signs fails unless the credential is of a symmetric key, this one.
func signs(tb testing.TB, c Credential, key string) {
	tb.Helper()
	if c.Sign == nil || c.Certificate != nil {
		tb.Fatalf("it is a %v", c)
	}
	got, err := c.Sign(context.Background(), []byte("resource\n1700000000"))
	if want := signature(tb, key, "resource\n1700000000"); got != want || err != nil {
		tb.Errorf("signs %s, %v; want %s", got, err, want)
	}
}

// moduleKey stands for the workload API: it signs as the API does.
func moduleKey(key string) func(context.Context, []byte) (string, error) {
	return func(_ context.Context, data []byte) (string, error) {
		raw, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			return "", err
		}
		return digest(raw, data), nil
	}
}
