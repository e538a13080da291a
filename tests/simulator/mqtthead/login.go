package mqtthead

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// The return codes of CONNACK that the hub uses. There are no others.
const (
	codeAccepted      byte = 0
	codeUnavailable   byte = 3
	codeNotAuthorised byte = 5
)

var (
	errUserName = errors.New("malformed user name")
	errClientID = errors.New("the client id is not that of the user name")
)

// parseUserName reads {host}/{device}[/{module}]/[?]api-version=..&... Host and version
// can be anything, but must be there.
func parseUserName(name string) (edge.Identity, error) {
	parts := strings.Split(name, "/")
	var id edge.Identity
	switch len(parts) {
	case 3:
		id.Device = parts[1]
	case 4:
		id.Device, id.Module = parts[1], parts[2]
		if id.Module == "" {
			return id, fmt.Errorf("%w: %.256q has an empty module id", errUserName, name)
		}
	default:
		return id, fmt.Errorf("%w: %.256q must be host/device[/module]/?api-version=", errUserName, name)
	}
	if parts[0] == "" || id.Device == "" {
		return id, fmt.Errorf("%w: %.256q has an empty host or device id", errUserName, name)
	}
	query, _ := url.ParseQuery(strings.TrimPrefix(parts[len(parts)-1], "?")) // what is unreadable is as if absent
	if query.Get("api-version") == "" {
		return id, fmt.Errorf("%w: %.256q has no api-version", errUserName, name)
	}
	return id, nil
}

// judge says who logs in, or with which code the hub refuses.
func (s *Server) judge(
	ctx context.Context, connect *packets.ConnectParams, transport certified,
) (edge.Identity, byte, error) {
	id, err := parseUserName(string(connect.Username))
	if err != nil {
		return id, codeUnavailable, err
	}
	if connect.ClientIdentifier != id.String() {
		return id, codeNotAuthorised, fmt.Errorf("%w: %.256q, not %q", errClientID, connect.ClientIdentifier, id)
	}
	wait, err := s.head.Attach(id, true)
	if err != nil {
		return id, codeUnavailable, err
	}
	if !pause(ctx, wait) {
		return id, codeUnavailable, ctx.Err()
	}
	if err := s.authenticate(id, string(connect.Password), transport); err != nil {
		return id, codeNotAuthorised, err
	}
	return id, codeAccepted, nil
}

// authenticate judges the token, or in place of an empty one the certificate of the
// transport.
func (s *Server) authenticate(id edge.Identity, token string, transport certified) error {
	if token != "" || transport == nil {
		return s.head.Authenticate(id, token)
	}
	judge, ok := s.head.(certifier)
	if !ok {
		return s.head.Authenticate(id, token)
	}
	return judge.AuthenticateCertificate(id, transport.ConnectionState().PeerCertificates)
}
