package authenticate

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxReason keeps a reason to one line of a log, and of reported properties.
	maxReason = 200
	// withheld stands for a reason that would show the device's secret. All of it
	// goes: what is left of a line with a hole in it tells how long the secret is.
	withheld = "reason withheld, it shows the secret"
)

// shown returns a reason of others that may be logged: without the secret in any of the
// forms that a service may send back.
func shown(reason, secret string) string {
	if shows(reason, secret) {
		return withheld
	}
	return oneLine(reason)
}

// oneLine returns a reason as one bounded line of printable text.
func oneLine(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, reason)
	if len(reason) > maxReason {
		cut := maxReason
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut] + "..."
	}
	return reason
}

func shows(text, secret string) bool {
	if secret == "" || text == "" {
		return false
	}
	quoted := strconv.Quote(secret)
	for _, form := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), quoted[1 : len(quoted)-1],
		hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}
