// Package check compares what a fleet was promised with what arrived: every
// acknowledged message at least once, each device's messages in order, and none
// that no device sent.
package check

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
)

// ErrViolation says that the messages break a promise.
var ErrViolation = errors.New("the integrity check failed")

// Row is the finding for one device.
type Row struct {
	Device, Kind string
	// Sent and Acked are the device's account; Delivered counts distinct messages
	// that arrived, Duplicates how often one came again, Reordered those that came
	// after a younger one.
	Sent, Acked, Delivered, Duplicates, Reordered uint64
	// Late came after a younger one too, and may: the hub had refused them for good.
	Late report.Ranges
	// Lost are acknowledged and never arrived. Invented arrived and were never
	// sent. Unreadable arrived without a number.
	Lost                 report.Ranges
	Invented, Unreadable uint64
}

func (r *Row) faulty() bool {
	return len(r.Lost) > 0 || r.Reordered+r.Invented+r.Unreadable > 0
}

// Result is the finding for all.
type Result struct {
	Rows []Row
	// Others counts messages of devices that the report does not know; they are a
	// violation unless OthersAllowed.
	Others        uint64
	OtherDevices  []string // the first few
	OthersAllowed bool
}

// othersNamed bounds Result.OtherDevices.
const othersNamed = 5

// Compare judges the messages, in the order of their arrival. A dead letter about a
// refusal is the arrival of nothing: what was acknowledged and only it tells of is lost.
func Compare(r *report.Report, messages []Message, allowOthers bool) *Result {
	accounts := make(map[string]*account, len(r.Devices))
	for i := range r.Devices {
		d := &r.Devices[i]
		accounts[d.Device] = &account{device: d, times: make(map[uint64]uint64), refused: make(map[uint64]bool)}
	}
	for i := range messages { // before all others: a letter may itself be late
		if m := &messages[i]; m.Refused && accounts[m.Device] != nil {
			accounts[m.Device].refuse(m)
		}
	}
	result := &Result{OthersAllowed: allowOthers}
	for i := range messages {
		m := &messages[i]
		if m.Refused {
			continue
		}
		if a := accounts[m.Device]; a != nil {
			a.take(m)
			continue
		}
		result.Others++
		if len(result.OtherDevices) < othersNamed && !slices.Contains(result.OtherDevices, m.Device) {
			result.OtherDevices = append(result.OtherDevices, m.Device)
		}
	}
	for i := range r.Devices {
		result.Rows = append(result.Rows, accounts[r.Devices[i].Device].close())
	}
	return result
}

// account is one device's messages as they arrive.
type account struct {
	device *report.Device
	times  map[uint64]uint64 // how often each number arrived
	newest uint64
	// refused are the numbers that dead letters name, late those of them that came late.
	refused map[uint64]bool
	late    []uint64
	row     Row
}

// refuse takes a dead letter. Of a packet of which the hub refuses one record for good,
// the others are stored and the device is not acknowledged: it sends the whole packet
// again, and the first arrival of that record is after its successors. So is that of a
// line whose refusal did not reach the device.
//
// Only what a letter names may come late, whenever the letter itself arrives: it goes its
// own way to the hub. A letter that never arrives excuses nothing, for no other sign tells
// of which record it was; who lets a hub refuse waits for the letters before he kills what
// sends them.
func (a *account) refuse(m *Message) {
	for _, n := range m.Numbers {
		a.refused[n] = true
	}
}

func (a *account) take(m *Message) {
	if len(m.Numbers) == 0 {
		a.row.Unreadable++
	}
	for _, n := range m.Numbers {
		if n < a.device.First || n-a.device.First >= a.device.Sent {
			a.row.Invented++
			continue
		}
		a.times[n]++
		switch {
		case a.times[n] > 1:
			a.row.Duplicates++
			continue
		case n < a.newest && a.refused[n]:
			a.late = append(a.late, n)
		case n < a.newest:
			a.row.Reordered++
		}
		a.newest = max(a.newest, n)
		a.row.Delivered++
	}
}

func (a *account) close() Row {
	a.row.Device, a.row.Kind = a.device.Device, a.device.Kind
	a.row.Sent, a.row.Acked = a.device.Sent, a.device.Acknowledged.Count()
	slices.Sort(a.late)
	for _, n := range a.late {
		a.row.Late = a.row.Late.Append(n, n)
	}
	for _, r := range a.device.Acknowledged {
		for n := r.From; ; n++ {
			if a.times[n] == 0 {
				a.row.Lost = a.row.Lost.Append(n, n)
			}
			if n == r.To {
				break
			}
		}
	}
	return a.row
}

// OK reports whether every promise was kept.
func (r *Result) OK() bool {
	if r.Others > 0 && !r.OthersAllowed {
		return false
	}
	return !slices.ContainsFunc(r.Rows, func(row Row) bool { return row.faulty() })
}

// Write writes the table and the verdict.
func (r *Result) Write(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "device\tkind\tsent\tacked\tdelivered\tduplicates\treordered\tlost\tinvented\tunreadable\t")
	var sum Row
	var lost uint64
	for _, row := range r.Rows {
		missing := row.Lost.Count()
		writeRow(table, row, missing)
		lost += missing
		sum.Sent += row.Sent
		sum.Acked += row.Acked
		sum.Delivered += row.Delivered
		sum.Duplicates += row.Duplicates
		sum.Reordered += row.Reordered
		sum.Invented += row.Invented
		sum.Unreadable += row.Unreadable
	}
	sum.Device, sum.Kind = "total", fmt.Sprintf("%d devices", len(r.Rows))
	writeRow(table, sum, lost)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	for _, row := range r.Rows {
		if len(row.Lost) > 0 {
			fmt.Fprintf(out, "%s: acknowledged and lost: %s\n", row.Device, brief(row.Lost))
		}
		if len(row.Late) > 0 {
			fmt.Fprintf(out, "%s: late, since the hub had refused them for good: %s\n", row.Device, brief(row.Late))
		}
	}
	if r.Others > 0 {
		fmt.Fprintf(out, "%d messages of devices that are not in the report: %s\n",
			r.Others, strings.Join(r.OtherDevices, ", "))
	}
	verdict := "verdict: every acknowledged message arrived, in order, and none was invented"
	if !r.OK() {
		verdict = "verdict: " + ErrViolation.Error()
	}
	_, err := fmt.Fprintln(out, verdict)
	return err
}

func writeRow(out io.Writer, r Row, lost uint64) {
	fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n",
		r.Device, r.Kind, r.Sent, r.Acked, r.Delivered, r.Duplicates, r.Reordered, lost, r.Invented, r.Unreadable)
}

// brief writes the first ranges.
func brief(r report.Ranges) string {
	const most = 10
	text, err := r[:min(len(r), most)].MarshalJSON()
	if err != nil {
		return err.Error()
	}
	if len(r) > most {
		return fmt.Sprintf("%s and %d more ranges", text, len(r)-most)
	}
	return string(text)
}
