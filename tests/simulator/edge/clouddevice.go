package edge

import (
	"context"
	"fmt"
	"time"
)

// The service's limits for messages from the cloud to a device.
const (
	// maxCloudToDevice is how many may wait for one device.
	maxCloudToDevice = 50
	// maxCloudMessage bounds one message with its properties, in bytes.
	maxCloudMessage = 64 << 10
	// maxDeliveries is how often a message is tried that its device does not settle for
	// good; cloudLife is how long it waits unless it says otherwise. Both are the
	// service's defaults.
	maxDeliveries = 10
	cloudLife     = time.Hour
)

// ConditionQueueFull is a device whose queue in the cloud is full.
const ConditionQueueFull = "amqp:resource-limit-exceeded"

// InjectCloudToDevice puts a message from the cloud before a device; modules get none. It waits
// in the cloud, for the device and for the link, until its "absolute-expiry-time" or one
// hour. A *Refusal is a queue that is full or a message that is too large.
func (h *Hub) InjectCloudToDevice(device string, m Message) error {
	id := Identity{Device: device}
	if err := h.knows(id); err != nil {
		return fmt.Errorf("cloud to device: %w", err)
	}
	m.Enqueued = h.opts.Now()
	size, err := check(&m)
	if err == nil && size > maxCloudMessage {
		err = &Refusal{ConditionTooLarge, fmt.Sprintf("message of %d bytes is over %d", size, maxCloudMessage)}
	}
	if err != nil {
		return fmt.Errorf("cloud to device: %w", err)
	}
	item := queued{message: m, size: size, expires: m.Enqueued.Add(cloudLife)}
	if t, err := time.Parse(time.RFC3339Nano, m.System["absolute-expiry-time"]); err == nil {
		item.expires = t
	}
	if h.Waiting(id) >= maxCloudToDevice {
		return fmt.Errorf("cloud to device: %w", &Refusal{ConditionQueueFull, fmt.Sprintf(
			"Total number of messages on queue exceeded the allocated quota. Allocated: %[1]d, Current: %[1]d.",
			maxCloudToDevice)})
	}
	if err := h.queueInput(id, DefaultPriority, item); err != nil {
		return fmt.Errorf("cloud to device: %w", err)
	}
	return nil
}

// wakeDevices lets messages go that waited for the link to the cloud.
func (h *Hub) wakeDevices() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		if c.id.Module == "" {
			c.change()
		}
	}
}

// purge drops what waits for a device that was removed: a new one of the same name is
// another one.
func (h *Hub) purge(id Identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.clients[id]
	if !ok || id.Module != "" {
		return
	}
	for {
		// No time is after everything, so nothing counts as expired.
		item, _, ok := c.inputs.pop(time.Time{})
		if !ok {
			break
		}
		h.reportLocked(id, &item, FeedbackPurged)
	}
	c.generation++
	c.change()
}

// The ends that a message to a device may find.
const (
	FeedbackSuccess       = "Success"
	FeedbackExpired       = "Expired"
	FeedbackDeliveryCount = "DeliveryCountExceeded"
	FeedbackRejected      = "Rejected"
	FeedbackPurged        = "Purged"
)

// FeedbackRecord tells the service what became of a message that asked for it.
type FeedbackRecord struct {
	MessageID, Device, Generation string
	// Status is one of the ends.
	Status string
	Time   time.Time
}

// maxFeedback bounds the records that nobody has fetched; the oldest make room. feedbackBatch
// is how many one message carries, as in the service.
const (
	maxFeedback   = 1000
	feedbackBatch = 64
)

// feedback holds records for the service. Guarded by Hub.mu.
type feedback struct {
	records []FeedbackRecord
	// wake is closed when there are records; nil while nobody waits.
	wake chan struct{}
}

func (h *Hub) report(id Identity, item *queued, status string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reportLocked(id, item, status)
}

// reportLocked notes the end of a message, and keeps a record for the service when the
// property "iothub-ack" asks for one.
func (h *Hub) reportLocked(id Identity, item *queued, status string) {
	if id.Module != "" {
		return
	}
	h.ends.add(End{
		MessageID: item.message.System["messageId"], Device: id.Device, Status: status, Time: h.opts.Now(),
	})
	switch ack := item.message.Properties["iothub-ack"]; {
	case ack == "full", ack == "positive" && status == FeedbackSuccess, ack == "negative" && status != FeedbackSuccess:
	default:
		return
	}
	r := FeedbackRecord{
		MessageID: item.message.System["messageId"], Device: id.Device, Status: status, Time: h.opts.Now(),
	}
	if c := h.identities[id]; c != nil {
		r.Generation = c.generation
	}
	h.addFeedback(r)
}

func (h *Hub) addFeedback(records ...FeedbackRecord) {
	f := &h.feedback
	f.records = append(f.records, records...)
	if over := len(f.records) - maxFeedback; over > 0 {
		f.records = append([]FeedbackRecord(nil), f.records[over:]...)
	}
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// Feedback waits for records and takes up to 64; it returns none when ctx ends or the hub
// closes.
func (h *Hub) Feedback(ctx context.Context) []FeedbackRecord {
	for {
		h.mu.Lock()
		f := &h.feedback
		if n := min(len(f.records), feedbackBatch); n > 0 {
			taken := append([]FeedbackRecord(nil), f.records[:n]...)
			f.records = f.records[n:]
			h.mu.Unlock()
			return taken
		}
		if f.wake == nil {
			f.wake = make(chan struct{})
		}
		wake := f.wake
		h.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		case <-h.done:
			return nil
		}
	}
}

// ReturnFeedback puts records back that their receiver did not take.
func (h *Hub) ReturnFeedback(records []FeedbackRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addFeedback(records...)
}
