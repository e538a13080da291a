package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// badRequest is a caller's mistake.
type badRequest struct{ text string }

func (e *badRequest) Error() string { return e.text }

func bad(format string, args ...any) error { return &badRequest{fmt.Sprintf(format, args...)} }

func reply(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status = http.StatusInternalServerError
		body = []byte(`{"Message":"ErrorCode:ServerError;the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that has gone needs no answer
}

// cloudError is the form of the service's errors.
func cloudError(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"Message": text, "ExceptionMessage": ""})
}

// cloudCode is the form of those errors that carry a numbered code inside their text.
func cloudCode(w http.ResponseWriter, status, code int, text string) {
	inner, err := json.Marshal(map[string]any{
		"errorCode": code, "trackingId": "", "message": text,
		"timestampUtc": time.Now().UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		inner = []byte(text)
	}
	cloudError(w, status, string(inner))
}

// mistakes are the answers to what the hub refuses, the first that fits.
var mistakes = []struct {
	is     error
	status int
	code   string
}{
	{edge.ErrUnauthorized, http.StatusUnauthorized, "IotHubUnauthorizedAccess"},
	{edge.ErrUnknownIdentity, http.StatusNotFound, "DeviceNotFound"},
	{edge.ErrIdentityExists, http.StatusConflict, "DeviceAlreadyExists"},
	{edge.ErrTwinChanged, http.StatusPreconditionFailed, "PreconditionFailed"},
	{edge.ErrInvalidTwin, http.StatusBadRequest, "ArgumentInvalid"},
	{edge.ErrInvalidIdentity, http.StatusBadRequest, "ArgumentInvalid"},
	{edge.ErrProtectedIdentity, http.StatusBadRequest, "ArgumentInvalid"},
	{edge.ErrInvalidMethod, http.StatusBadRequest, "ArgumentInvalid"},
	{edge.ErrTooManyCalls, http.StatusTooManyRequests, "ThrottlingException"},
}

// fail answers with the service's status and code.
func fail(w http.ResponseWriter, err error) {
	for _, m := range mistakes {
		if errors.Is(err, m.is) {
			cloudError(w, m.status, "ErrorCode:"+m.code+";"+err.Error())
			return
		}
	}
	if errors.As(err, new(*badRequest)) {
		cloudError(w, http.StatusBadRequest, "ErrorCode:ArgumentInvalid;"+err.Error())
		return
	}
	cloudError(w, http.StatusInternalServerError, "ErrorCode:ServerError;"+err.Error())
}
