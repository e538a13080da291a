package mqtthead

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// errBag is what is wrong with a property bag, or with the message it describes.
var errBag = errors.New("malformed properties")

// pair is one property of a bag, decoded.
type pair struct{ key, value string }

// parseBag reads k=v&k=v. A topic has at most 65,535 bytes, which bounds the pairs.
func parseBag(text string) ([]pair, error) {
	if text == "" {
		return nil, nil
	}
	pairs := make([]pair, 0, strings.Count(text, "&")+1)
	for text != "" {
		var part string
		part, text, _ = strings.Cut(text, "&")
		key, value, _ := strings.Cut(part, "=")
		switch {
		case key == "":
			return nil, fmt.Errorf("%w: a name is empty", errBag)
		case strings.Contains(value, "="):
			return nil, fmt.Errorf("%w: the value of %.64q has an unencoded =", errBag, key)
		}
		pairs = append(pairs, pair{unescape(key), unescape(value)})
	}
	return pairs, nil
}

// unescape decodes like .NET's Uri.UnescapeDataString: a plus stays a plus, and what is no
// encoding, or none of UTF-8, stays as it is.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, ok1 := unhex(s[i+1])
			low, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				out.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	if !utf8.ValidString(out.String()) {
		return s
	}
	return out.String()
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// escape encodes like .NET's Uri.EscapeDataString: all but letters, digits and -_.~.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// appendPair writes one property behind those that are there.
func appendPair(bag []byte, key, value string) []byte {
	if len(bag) > 0 {
		bag = append(bag, '&')
	}
	bag = append(bag, escape(key)...)
	bag = append(bag, '=')
	return append(bag, escape(value)...)
}
