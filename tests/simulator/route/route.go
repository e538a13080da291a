package route

import (
	"errors"
	"fmt"
	"strings"
)

// MaxText bounds a route's text in bytes: a twin string holds no more.
const MaxText = 4096

// ErrSyntax is what every refused route wraps.
var ErrSyntax = errors.New("route syntax")

// Source paths that do not name a module.
const (
	// LeafSource is where a leaf device's telemetry comes from.
	LeafSource = "/messages"
	// TwinChangeSource is where changes of reported properties come from.
	TwinChangeSource = "/twinChangeNotifications"
)

// ModuleSource returns the source path of a module's messages; output may be empty.
func ModuleSource(module, output string) string {
	if output == "" {
		return "/messages/modules/" + module
	}
	return "/messages/modules/" + module + "/outputs/" + output
}

// Message is what a route looks at. A Message is evaluated by one goroutine at a time; it
// keeps the decoded body for the next route.
type Message struct {
	Source string
	// Properties are the user properties, System the system properties under the hub's
	// internal names. Both are looked up without regard to case.
	Properties, System map[string]string
	Body               []byte

	parsed  bool
	decoded any
	isJSON  bool
}

// Route is one parsed route, safe for concurrent use.
type Route struct {
	source string
	where  expr
	sink   Sink
}

// Sink is where a route leads: Upstream, or a module's input.
type Sink struct {
	Upstream      bool
	Module, Input string
}

// String names the sink as routes do.
func (s Sink) String() string {
	if s.Upstream {
		return "$upstream"
	}
	return fmt.Sprintf("BrokeredEndpoint(%q)", "/modules/"+s.Module+"/inputs/"+s.Input)
}

// Sink returns where the route leads.
func (r *Route) Sink() Sink { return r.sink }

// Conditional says whether the route has a WHERE part.
func (r *Route) Conditional() bool { return r.where != nil }

// MatchSource says whether messages of that source enter the route.
func (r *Route) MatchSource(source string) bool {
	source = strings.TrimRight(source, "/") + "/"
	return len(source) >= len(r.source) && strings.EqualFold(source[:len(r.source)], r.source)
}

// Match says whether the message takes the route.
func (r *Route) Match(m *Message) bool {
	return r.MatchSource(m.Source) && (r.where == nil || r.where(m).isTrue())
}

// Parse reads one route. The error wraps ErrSyntax and says where and what was expected.
func Parse(text string) (*Route, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrSyntax, len(text), MaxText)
	}
	p := &parser{scanner: scanner{text: text}}
	p.next()
	r, err := p.route()
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (p *parser) route() (*Route, error) {
	if p.keyword("SELECT") {
		p.next()
		if p.tok.kind != tokenOperator || p.tok.text != "*" {
			return nil, p.unexpected("* after SELECT")
		}
		p.next()
	}
	if !p.keyword("FROM") {
		return nil, p.unexpected("FROM")
	}
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	r := &Route{source: strings.TrimRight(path, "*/") + "/"}
	p.next()
	if p.keyword("WHERE") {
		p.next()
		if r.where, err = p.condition(); err != nil {
			return nil, err
		}
	}
	if !p.keyword("INTO") {
		return nil, p.unexpected("INTO")
	}
	p.next()
	if r.sink, err = p.sink(); err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.unexpected("the end of the route")
	}
	return r, nil
}

func (p *parser) sink() (Sink, error) {
	switch {
	case p.tok.kind == tokenSystem && strings.EqualFold(p.tok.text, "$upstream"):
		p.next()
		return Sink{Upstream: true}, nil
	case p.tok.kind == tokenName && strings.EqualFold(p.tok.text, "BrokeredEndpoint"):
		p.next()
		return p.brokered()
	default:
		return Sink{}, p.unexpected(`$upstream or BrokeredEndpoint("/modules/<module>/inputs/<input>")`)
	}
}

func (p *parser) brokered() (Sink, error) {
	if !p.operator("(") {
		return Sink{}, p.unexpected("( after BrokeredEndpoint")
	}
	if p.tok.kind != tokenString {
		return Sink{}, p.unexpected("a quoted endpoint")
	}
	parts := strings.Split(strings.Trim(p.tok.text, "/"), "/")
	if len(parts) != 4 || parts[1] == "" || parts[3] == "" {
		return Sink{}, p.unexpected("an endpoint of the form /modules/<module>/inputs/<input>")
	}
	p.next()
	if !p.operator(")") {
		return Sink{}, p.unexpected(") after the endpoint")
	}
	return Sink{Module: parts[1], Input: parts[3]}, nil
}
