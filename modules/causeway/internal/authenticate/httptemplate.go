package authenticate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// errClaim says that a claim cannot be put into a request: the device's fault.
var errClaim = errors.New("the claim cannot be sent")

// holes are the names of a claim's parts in templates.
var holes = map[string]func(Request) string{
	"{device}":   func(r Request) string { return r.Device },
	"{listener}": func(r Request) string { return r.Listener },
	"{secret}":   func(r Request) string { return r.Secret },
	"{remote}": func(r Request) string {
		if !r.Remote.IsValid() {
			return ""
		}
		return plain(r.Remote).String()
	},
}

// holePattern finds what looks like one, so that one that is misspelt is a fault.
var holePattern = regexp.MustCompile(`\{[A-Za-z]+\}`)

// requester makes the requests of one service.
type requester struct {
	method      string
	origin      string // scheme and host
	path, query string // templates
	headers     map[string]string
	secret      map[string]bool // the headers that are no templates
	body        any             // decoded JSON, its strings are templates
	uses        map[string]bool // the holes that occur
}

// newRequester compiles the templates.
func newRequester(spec *HTTPSpec, deps Deps) (*requester, error) {
	r := &requester{
		method: spec.Method, headers: map[string]string{}, secret: map[string]bool{}, uses: map[string]bool{},
	}
	begin, err := address("/url", spec.URL, spec.Plain)
	if err != nil {
		return nil, err
	}
	r.origin = spec.URL[:begin]
	r.path, r.query, _ = strings.Cut(spec.URL[begin:], "?")
	if dots(r.path) {
		return nil, codec.Optionf("/url", "has . or .. in its path")
	}
	if _, err := url.Parse(r.origin + holePattern.ReplaceAllString(spec.URL[begin:], "x")); err != nil {
		return nil, codec.Optionf("/url", "want https://host/path")
	}
	if err := r.note("/url", spec.URL[begin:]); err != nil {
		return nil, err
	}
	for name, value := range spec.Headers {
		if err := r.header(name, value, deps); err != nil {
			return nil, err
		}
	}
	return r, r.compile(spec.Body)
}

func (r *requester) header(name string, value headerValue, deps Deps) (err error) {
	at := "/headers" + token(name)
	text := value.text
	if value.source != nil {
		r.secret[name] = true
		if text, err = value.source.read(at, deps); err != nil {
			return err
		}
	} else if err := r.note(at, text); err != nil {
		return err
	}
	if strings.Trim(name, headerName) != "" || name == "" || len(text) > maxTemplate || !clean(text) {
		return codec.Optionf(at, "want a header's name, and a value of at most %d bytes on one line", maxTemplate)
	}
	r.headers[name] = text
	return nil
}

const headerName = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (r *requester) compile(body json.RawMessage) error {
	if len(body) == 0 || string(body) == "null" {
		if r.method == http.MethodGet {
			return nil
		}
		body = json.RawMessage(`{"device":"{device}","listener":"{listener}","remote":"{remote}","secret":"{secret}"}`)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&r.body); err != nil {
		return codec.Optionf("/body", "is not JSON")
	}
	_, err := walk(r.body, func(text string) (string, error) { return text, r.note("/body", text) })
	return err
}

// note remembers the holes of a template.
func (r *requester) note(at, text string) error {
	for _, hole := range holePattern.FindAllString(text, -1) {
		if holes[hole] == nil {
			return codec.Optionf(at, "has %s, known are {device}, {listener}, {remote} and {secret}", short(hole))
		}
		r.uses[hole] = true
	}
	return nil
}

// walk returns JSON with each string in it changed by fn; names of members stay.
func walk(v any, fn func(string) (string, error)) (_ any, err error) {
	switch v := v.(type) {
	case string:
		return fn(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			if list[i], err = walk(v[i], fn); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		object := make(map[string]any, len(v))
		for name := range v {
			if object[name], err = walk(v[name], fn); err != nil {
				return nil, err
			}
		}
		return object, nil
	default:
		return v, nil
	}
}

// request makes the request for a claim. The error is errClaim.
func (r *requester) request(claim Request) (*http.Request, error) {
	fill := func(text string, escape func(string) string) string {
		pairs := make([]string, 0, 2*len(holes))
		for hole := range r.uses {
			pairs = append(pairs, hole, escape(holes[hole](claim)))
		}
		return strings.NewReplacer(pairs...).Replace(text) // once: a device may be named {secret}
	}
	as := func(s string) string { return s }
	path := fill(r.path, url.PathEscape)
	if dots(path) {
		return nil, errClaim
	}
	target := r.origin + path
	if r.query != "" {
		target += "?" + fill(r.query, url.QueryEscape)
	}
	var body io.Reader
	if r.body != nil {
		text, err := r.render(func(text string) string { return fill(text, as) })
		if err != nil {
			return nil, errClaim
		}
		body = bytes.NewReader(text)
	}
	made, err := http.NewRequest(r.method, target, body) //nolint:noctx // the sender's; it comes with the sending
	if err != nil {
		return nil, errClaim // the error shows the URL
	}
	if body != nil {
		made.Header.Set("Content-Type", "application/json")
	}
	made.Header.Set("Accept", "application/json")
	for name, value := range r.headers {
		if !r.secret[name] {
			value = fill(value, as)
		}
		if !clean(value) {
			return nil, errClaim
		}
		made.Header.Set(name, value)
	}
	return made, nil
}

// dots tells of segments that would name another resource; nothing escapes them.
func dots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// render writes the body. Bytes that are no text would be sent as others than they are.
func (r *requester) render(fill func(string) string) ([]byte, error) {
	filled, err := walk(r.body, func(text string) (string, error) {
		if text = fill(text); !utf8.ValidString(text) {
			return "", errClaim
		}
		return text, nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(filled)
}
