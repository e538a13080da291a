package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/causeway-iot/causeway/tests/bench/report"
)

// The files of the report, in the folder of the documents.
const (
	pageFile    = "performance.md"
	folder      = "performance"
	resultsFile = "results.json"
	notesFile   = "notes.md"
)

// writeReport is the command report: it measures and writes the page, also when something was
// wrong, which it then tells.
func writeReport(ctx context.Context, args []string) error {
	var o options
	flags := o.flags("report")
	docs := flags.String("docs", "docs", "`folder` of the documents")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	run, failed := o.measure(ctx)
	if run == nil {
		return failed
	}
	shares, err := o.shares(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	run.Profile = shares
	text, err := json.MarshalIndent(run, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(*docs, folder), 0o755); err != nil { //nolint:gosec // public pages
		return err
	}
	if err := write(filepath.Join(*docs, folder, resultsFile), string(text)+"\n"); err != nil {
		return err
	}
	return errors.Join(failed, render(*docs))
}

// writePage is the command page.
func writePage(_ context.Context, args []string) error {
	var o options
	flags := o.flags("page")
	docs := flags.String("docs", "docs", "`folder` of the documents")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return render(*docs)
}

// render makes the page and the plots from the results and the notes.
func render(docs string) error {
	text, err := os.ReadFile(filepath.Join(docs, folder, resultsFile))
	if err != nil {
		return err
	}
	var run report.Run
	if err := json.Unmarshal(text, &run); err != nil {
		return fmt.Errorf("%s: %w", resultsFile, err)
	}
	notes, err := os.ReadFile(filepath.Join(docs, folder, notesFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for name, plot := range report.Plots(&run) {
		if err := write(filepath.Join(docs, folder, name), plot); err != nil {
			return err
		}
	}
	return write(filepath.Join(docs, pageFile), report.Page(&run, string(notes)))
}

func write(name, text string) error {
	return os.WriteFile(name, []byte(text), 0o644) //nolint:gosec // a public page
}
