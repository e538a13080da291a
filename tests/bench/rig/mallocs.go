package rig

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// metricsLine is where the gateway's log says that it serves metrics.
var metricsLine = regexp.MustCompile(`metrics open addr=(\S+)`)

// Mallocs asks Causeway's metrics how many objects it has put on the heap so far.
func (p *Process) Mallocs(ctx context.Context) (n float64, ok bool) {
	text, err := os.ReadFile(p.log)
	found := metricsLine.FindSubmatch(text)
	if err != nil || found == nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(found[1])+"/metrics", http.NoBody)
	if err != nil {
		return 0, false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, false
	}
	defer func() { _ = resp.Body.Close() }()
	return parseMallocs(resp.Body)
}

// parseMallocs finds the runtime's counter among the metrics; it may have labels.
func parseMallocs(metrics io.Reader) (n float64, ok bool) {
	lines := bufio.NewScanner(metrics)
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "go_memstats_mallocs_total") {
			n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			return n, err == nil
		}
	}
	return 0, false
}
