package check

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/causeway-iot/causeway/modules/fleet/internal/report"
)

// fetchTimeout bounds the download of the messages.
const fetchTimeout = time.Minute

// Command is `fleet check`. It returns ErrViolation when a promise was broken,
// and flag.ErrHelp after it has printed the usage.
func Command(ctx context.Context, arguments []string, out io.Writer) error {
	set := flag.NewFlagSet("fleet check", flag.ContinueOnError)
	reportFile := set.String("report", "", "`file` that a run has written with -report")
	from := set.String("messages", "", "`file` or URL of the messages that arrived, as JSON; -: standard input")
	ignore := set.String("ignore", "deadletter", "`outputs` whose messages do not count, comma-separated")
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
	in, err := open(ctx, *from)
	if err != nil {
		return err
	}
	defer in.Close()
	messages, err := ReadMessages(in)
	if err != nil {
		return err
	}
	ignored := strings.Split(*ignore, ",")
	messages = slices.DeleteFunc(messages, func(m Message) bool {
		return m.Output != "" && slices.Contains(ignored, m.Output)
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

func open(ctx context.Context, from string) (io.ReadCloser, error) {
	switch {
	case from == "-":
		return io.NopCloser(os.Stdin), nil
	case strings.HasPrefix(from, "http://"), strings.HasPrefix(from, "https://"):
		return fetch(ctx, from)
	}
	return os.Open(from)
}

func fetch(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	client := http.Client{Timeout: fetchTimeout}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("messages: GET %s: %s", url, response.Status)
	}
	return response.Body, nil
}
