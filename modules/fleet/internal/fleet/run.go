package fleet

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/device"
	"github.com/causeway-iot/causeway/modules/fleet/internal/misbehave"
	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
	"github.com/causeway-iot/causeway/modules/fleet/internal/teltonika"
)

// rampRate is how many devices start in a second: a listen queue of 4,096 and a
// server of two cores take that without dropping connections.
const rampRate = 2000

// The n-th device over UDP takes the IMEI of this place on, the n-th misbehaving
// connection that of the next, so that no two are ever the same.
const (
	firstUDPTracker = 300_000
	firstImpostor   = 600_000
)

// Run runs the devices until the context ends, Duration has passed or every
// device has sent Count messages. Then it waits up to Settle for what is not
// acknowledged, and reports. A line a second goes to out.
func Run(ctx context.Context, o *Options, version string, out io.Writer) *report.Report {
	dial := device.Dialer(o.sources)
	devices := o.devices(dial)
	r := &report.Report{Version: version, Started: time.Now().UTC()}

	stop := make(chan struct{})
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var running sync.WaitGroup
	for _, d := range devices {
		running.Go(func() { d.Run(life, stop) })
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		running.Wait()
	}()
	abuse, unwell := context.WithCancel(ctx)
	defer unwell()
	bad := misbehave.Start(abuse, o.modes, dial, o.TCP, func(n int) string { return teltonika.IMEI(firstImpostor + n) })

	o.watch(ctx, finished, devices, out)
	close(stop)
	settle := time.NewTimer(o.Settle)
	defer settle.Stop()
	select {
	case <-finished:
	case <-settle.C:
		end()
		<-finished
	}
	unwell()
	r.Misbehaviour = bad.Wait()
	r.Ended = time.Now().UTC()
	for _, d := range devices {
		r.Devices = append(r.Devices, d.Account())
	}
	return r
}

// watch tells how the devices do until it is time to stop.
func (o *Options) watch(ctx context.Context, finished <-chan struct{}, devices []*device.Device, out io.Writer) {
	var over <-chan time.Time
	if o.Duration > 0 {
		timer := time.NewTimer(o.Duration)
		defer timer.Stop()
		over = timer.C
	}
	if len(devices) == 0 {
		finished = nil // the misbehaving alone go on until the end
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			status(out, now, devices)
		case <-finished:
			return
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

func status(out io.Writer, now time.Time, devices []*device.Device) {
	var up, sent, acked, resent, commands, failures uint64
	for _, d := range devices {
		if d.Connected() {
			up++
		}
		a := d.Account()
		sent += a.Sent
		acked += a.Acknowledged.Count()
		resent += a.Resent
		commands += a.Commands
		failures += a.Errors
	}
	fmt.Fprintf(out, "%s up=%d/%d sent=%d acked=%d resent=%d commands=%d errors=%d\n",
		now.UTC().Format("15:04:05"), up, len(devices), sent, acked, resent, commands, failures)
}

// devices makes the fleet.
func (o *Options) devices(dial dialFunc) []*device.Device {
	total := o.Trackers + o.UDPTrackers + o.Meters + o.Lines
	ramp := min(o.interval(), time.Second) // so that devices do not speak in step
	ramp = max(ramp, time.Duration(total)*time.Second/rampRate)
	base := device.Options{
		Dial: dial, First: o.First, Count: o.Count, Interval: o.interval(), AckTimeout: o.AckTimeout,
		ClockSteps: o.ClockSteps,
	}
	options := func(id, address string) device.Options {
		own := base
		own.ID, own.Address = id, address
		if ramp > 0 {
			own.Delay = rand.N(ramp)
		}
		return own
	}
	list := make([]*device.Device, 0, total)
	for n := o.Offset; n < o.Offset+o.Trackers; n++ {
		list = append(list, device.NewTracker(options(teltonika.IMEI(n), o.TCP), o.tracker(n)))
	}
	for n := o.Offset; n < o.Offset+o.UDPTrackers; n++ {
		list = append(list, device.NewUDPTracker(options(teltonika.IMEI(firstUDPTracker+n), o.UDP), o.tracker(n)))
	}
	for n := o.Offset; n < o.Offset+o.Meters; n++ {
		list = append(list, device.NewMeter(options(fmt.Sprintf("meter-%d", n+1), o.MetersAddr), o.MetersAck))
	}
	for n := o.Offset; n < o.Offset+o.Lines; n++ {
		list = append(list, device.NewLine(options(fmt.Sprintf("line-%d", n+1), o.LinesAddr), o.LinesAck, o.Window))
	}
	return list
}

// dialFunc is the type of device.Options.Dial.
type dialFunc = misbehave.DialFunc

func (o *Options) tracker(n int) device.TrackerOptions {
	t := device.TrackerOptions{Codec: teltonika.Codec8, Records: o.Records, Silent: o.Silent}
	if o.Codec == "8e" || o.Codec == "mixed" && n%2 == 1 {
		t.Codec = teltonika.Codec8Extended
	}
	return t
}

// Summarize writes the end of a run for people: totals, and the devices that have
// something unacknowledged or failed.
func Summarize(out io.Writer, r *report.Report) {
	var acked, open uint64
	for i := range r.Devices {
		d := &r.Devices[i]
		acked += d.Acknowledged.Count()
		if missing := d.Sent - d.Refused - d.Acknowledged.Count(); missing > 0 && !d.Unconfirmed {
			open++
			if open <= summaryLines {
				fmt.Fprintf(out, "%s: %d of %d messages are not acknowledged; last error: %s\n",
					d.Device, missing, d.Sent, d.LastError)
			}
		}
	}
	if open > summaryLines {
		fmt.Fprintf(out, "and %d more devices\n", open-summaryLines)
	}
	sum := r.Totals()
	fmt.Fprintf(out, "%d devices: sent=%d acked=%d resent=%d refused=%d commands=%d errors=%d\n",
		len(r.Devices), sum.Sent, acked, sum.Resent, sum.Refused, sum.Commands, sum.Errors)
}

// summaryLines bounds what Summarize says of single devices.
const summaryLines = 20
