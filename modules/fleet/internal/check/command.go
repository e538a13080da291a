package check

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
)

// fetchTimeout bounds the download of one page of messages; pageSize is how many
// are asked for, some megabytes.
const (
	fetchTimeout = time.Minute
	pageSize     = 10_000
)

// Command is `fleet check`. It returns ErrViolation when a promise was broken,
// and flag.ErrHelp after it has printed the usage.
func Command(ctx context.Context, arguments []string, out io.Writer) error {
	set := flag.NewFlagSet("fleet check", flag.ContinueOnError)
	reportFile := set.String("report", "", "`file` that a run has written with -report")
	from := set.String("messages", "", "`file` or URL of the messages that arrived, as JSON; -: standard input")
	ignore := set.String("ignore", outputDead, "`outputs` whose messages do not count, comma-separated")
	others := set.Bool("allow-others", false, "messages of devices that are not in the report are no violation")
	if err := set.Parse(arguments); err != nil {
		return err
	}
	if *reportFile == "" || *from == "" || set.NArg() > 0 {
		return errors.New("check: -report and -messages are needed, and nothing else")
	}
	r, err := readReport(*reportFile)
	if err != nil {
		return err
	}
	messages, err := readAll(ctx, *from)
	if err != nil {
		return err
	}
	if len(messages) > 0 && messages[0].arrival > 1 {
		fmt.Fprintf(out, "note: the messages begin with number %d of their source\n", messages[0].arrival)
	}
	ignored := strings.Split(*ignore, ",")
	messages = slices.DeleteFunc(messages, func(m Message) bool {
		return m.Output != "" && slices.Contains(ignored, m.Output) && !m.Refused
	})
	result := Compare(r, messages, *others)
	if err := result.Write(out); err != nil {
		return err
	}
	if !result.OK() {
		return ErrViolation
	}
	return nil
}

func readReport(name string) (*report.Report, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return report.Read(file)
}

// readAll reads a file or standard input, or all pages of a URL.
func readAll(ctx context.Context, from string) ([]Message, error) {
	switch {
	case from == "-":
		return ReadMessages(os.Stdin)
	case strings.HasPrefix(from, "http://"), strings.HasPrefix(from, "https://"):
		return fetchAll(ctx, from)
	}
	file, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return ReadMessages(file)
}

// fetchAll asks for page after page, with the number of the last message seen as
// the parameter since, until nothing new comes. Where messages have no numbers,
// and where since is not understood, the first page is all there is.
func fetchAll(ctx context.Context, from string) ([]Message, error) {
	address, err := url.Parse(from)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	query := address.Query()
	if !query.Has("limit") {
		query.Set("limit", strconv.Itoa(pageSize))
	}
	var all []Message
	var last uint64
	for {
		address.RawQuery = query.Encode()
		page, err := fetch(ctx, address.String())
		if err != nil {
			return nil, err
		}
		page = slices.DeleteFunc(page, func(m Message) bool { return last > 0 && m.arrival <= last })
		all = append(all, page...)
		if len(page) == 0 || page[len(page)-1].arrival == 0 {
			return all, nil
		}
		last = page[len(page)-1].arrival
		query.Set("since", strconv.FormatUint(last, 10))
	}
}

func fetch(ctx context.Context, address string) ([]Message, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	client := http.Client{Timeout: fetchTimeout}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("messages: GET %s: %s", address, response.Status)
	}
	return ReadMessages(response.Body)
}
