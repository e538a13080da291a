package exproto

import (
	"context"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	pb "github.com/causeway-iot/causeway/modules/causeway/internal/plugin/exproto/exprotov1"
)

// service is ConnectionAdapter: the calls of the handler.
type service struct {
	pb.UnimplementedConnectionAdapterServer
	adapter *Adapter
}

// do runs f on the connection of that name, with its lock held.
func (s *service) do(id string, f func(*conn) *pb.CodeResponse) (*pb.CodeResponse, error) {
	if id == "" {
		return code(pb.ResultCode_REQUIRED_PARAMS_MISSED, "conn is missing"), nil
	}
	c := s.adapter.find(id)
	if c == nil {
		return code(pb.ResultCode_CONN_PROCESS_NOT_ALIVE, "there is no such connection"), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(c), nil
}

func code(c pb.ResultCode, format string, args ...any) *pb.CodeResponse {
	return &pb.CodeResponse{Code: c, Message: fmt.Sprintf(format, args...)}
}

func success() *pb.CodeResponse { return &pb.CodeResponse{Code: pb.ResultCode_SUCCESS} }

func tooMuch() *pb.CodeResponse {
	return code(pb.ResultCode_UNKNOWN, "more than %d bytes wait for the device's next turn", maxHeld)
}

// Send implements ConnectionAdapter.
func (s *service) Send(_ context.Context, r *pb.SendBytesRequest) (*pb.CodeResponse, error) {
	return s.do(r.GetConn(), func(c *conn) *pb.CodeResponse {
		if !c.hold(len(r.GetBytes())) {
			return tooMuch()
		}
		c.bytes = append(c.bytes, r.GetBytes()...)
		return success()
	})
}

// Close implements ConnectionAdapter.
func (s *service) Close(_ context.Context, r *pb.CloseSocketRequest) (*pb.CodeResponse, error) {
	return s.do(r.GetConn(), func(c *conn) *pb.CodeResponse {
		c.close = true
		return success()
	})
}

// Authenticate implements ConnectionAdapter. As in EMQX a connection is one device's.
func (s *service) Authenticate(_ context.Context, r *pb.AuthenticateRequest) (*pb.CodeResponse, error) {
	return s.do(r.GetConn(), func(c *conn) *pb.CodeResponse {
		id := r.GetClientinfo().GetClientid()
		switch {
		case id == "":
			return code(pb.ResultCode_REQUIRED_PARAMS_MISSED, "clientinfo.clientid is missing")
		case c.device != "":
			return code(pb.ResultCode_PERMISSION_DENY, "the connection is authenticated already")
		case !c.hold(len(id) + len(r.GetPassword())):
			return tooMuch()
		}
		c.device = id
		c.identity = codec.Identity{Device: id, Secret: r.GetPassword()}
		return success()
	})
}

// StartTimer implements ConnectionAdapter.
func (s *service) StartTimer(_ context.Context, r *pb.TimerRequest) (*pb.CodeResponse, error) {
	return s.do(r.GetConn(), func(c *conn) *pb.CodeResponse {
		if r.GetType() != pb.TimerType_KEEPALIVE || r.GetInterval() == 0 {
			return code(pb.ResultCode_PARAMS_TYPE_ERROR, "want the type KEEPALIVE and an interval in seconds")
		}
		c.interval = time.Duration(r.GetInterval()) * time.Second
		return success()
	})
}

// Publish implements ConnectionAdapter. Success says that the message was taken for
// the outcome; that it is safe is what the bytes after it wait for.
func (s *service) Publish(_ context.Context, r *pb.PublishRequest) (*pb.CodeResponse, error) {
	return s.do(r.GetConn(), func(c *conn) *pb.CodeResponse {
		switch {
		case c.device == "":
			return code(pb.ResultCode_PERMISSION_DENY, "the connection is not authenticated")
		case r.GetTopic() == "":
			return code(pb.ResultCode_REQUIRED_PARAMS_MISSED, "topic is missing")
		case r.GetQos() > 2:
			return code(pb.ResultCode_PARAMS_TYPE_ERROR, "qos %d, allowed are 0 to 2", r.GetQos())
		case !c.hold(len(r.GetTopic()) + len(r.GetPayload())):
			return tooMuch()
		}
		c.messages = append(c.messages, r)
		return success()
	})
}

// Subscribe implements ConnectionAdapter.
func (s *service) Subscribe(_ context.Context, r *pb.SubscribeRequest) (*pb.CodeResponse, error) {
	return s.do(r.GetConn(), func(c *conn) *pb.CodeResponse {
		switch {
		case c.device == "":
			return code(pb.ResultCode_PERMISSION_DENY, "the connection is not authenticated")
		case r.GetTopic() == "":
			return code(pb.ResultCode_REQUIRED_PARAMS_MISSED, "topic is missing")
		case len(c.topics) >= maxTopics:
			return code(pb.ResultCode_PERMISSION_DENY, "%d topics, more are not allowed", maxTopics)
		}
		if c.topics == nil {
			c.topics = make(map[string]bool)
		}
		c.topics[r.GetTopic()] = true
		return success()
	})
}

// Unsubscribe implements ConnectionAdapter.
func (s *service) Unsubscribe(_ context.Context, r *pb.UnsubscribeRequest) (*pb.CodeResponse, error) {
	return s.do(r.GetConn(), func(c *conn) *pb.CodeResponse {
		delete(c.topics, r.GetTopic())
		return success()
	})
}

// RawPublish implements ConnectionAdapter: a message is always some device's.
func (s *service) RawPublish(context.Context, *pb.RawPublishRequest) (*pb.CodeResponse, error) {
	return code(pb.ResultCode_PERMISSION_DENY, "a message without a connection has no device"), nil
}
