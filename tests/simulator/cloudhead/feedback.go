package cloudhead

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/causeway-iot/causeway/tests/simulator/amqp"
	"github.com/causeway-iot/causeway/tests/simulator/edge"
)

// record is the JSON of one message's end.
type record struct {
	MessageID   string    `json:"originalMessageId"`
	Description string    `json:"description"`
	Generation  string    `json:"deviceGenerationId"`
	Device      string    `json:"deviceId"`
	Enqueued    time.Time `json:"enqueuedTimeUtc"`
	Status      string    `json:"statusCode"`
}

// attachFeedback sends records to the link while it is there, one message for those that
// have gathered. What the client does not accept comes again.
func (p *peer) attachFeedback(l *amqp.Link) amqp.Terms {
	ctx, cancel := context.WithCancel(p.ctx)
	p.running.Go(func() { p.sendFeedback(ctx, l) })
	return amqp.Terms{SenderMode: amqp.SenderMixed, MaxMessageSize: maxMessage, Detached: cancel}
}

// retryPause is how long records rest that a client did not take.
const retryPause = time.Second

func (p *peer) sendFeedback(ctx context.Context, l *amqp.Link) {
	for {
		records := p.server.hub.Feedback(ctx)
		if len(records) == 0 {
			return
		}
		settled := make(chan bool, 1)
		data, err := feedbackMessage(records)
		if err == nil {
			err = l.Send(&amqp.Outgoing{Data: data, Settled: func(state amqp.DeliveryState) {
				_, taken := state.(*amqp.Accepted)
				_, refused := state.(*amqp.Rejected)
				settled <- taken || refused
			}})
		}
		done := false
		if err == nil {
			select {
			case done = <-settled:
			case <-ctx.Done():
			}
		}
		if done {
			continue
		}
		p.server.hub.ReturnFeedback(records)
		if err != nil || !pause(ctx, retryPause) {
			return
		}
	}
}

// pause waits and returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func feedbackMessage(records []edge.FeedbackRecord) ([]byte, error) {
	list := make([]record, len(records))
	for i, r := range records {
		list[i] = record{r.MessageID, r.Status, r.Generation, r.Device, r.Time.UTC(), r.Status}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("encode feedback: %w", err)
	}
	m := amqp.Message{
		Properties: &amqp.Properties{ContentType: "application/vnd.microsoft.iothub.feedback.json"},
		Data:       [][]byte{body},
	}
	return m.Append(nil)
}
