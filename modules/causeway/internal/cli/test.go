package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
	"github.com/causeway-iot/causeway/modules/causeway/codec/dialogue"
)

// played is what became of a case.
type played struct {
	Case     string   `json:"case"`
	OK       bool     `json:"ok"`
	Steps    int      `json:"steps"`
	Updated  bool     `json:"updated,omitempty"`
	Error    string   `json:"error,omitempty"`
	Failures []failed `json:"failures,omitempty"`
}

type failed struct {
	Step string   `json:"step"`
	Got  []string `json:"got"`
	Want []string `json:"want"`
}

// summary is the last line of a test.
type summary struct {
	Cases  int `json:"cases"`
	Failed int `json:"failed"`
}

func test(c *call) (err error) {
	spec := c.flags.String("codec", "", "`name` of a built-in codec, a plugin's file, or kind:file")
	update := c.flags.Bool("update", false, "write what the codec does into the case files")
	if err := c.parse(); err != nil {
		return err
	}
	p, err := c.plugin(*spec)
	if err != nil {
		return err
	}
	defer p.close(&err)
	scripts, err := cases(p, c.args)
	if err != nil {
		return err
	}
	if len(scripts) == 0 {
		return usagef("no case is given, and %s carries no examples", *spec)
	}
	sum := summary{Cases: len(scripts)}
	for i, s := range scripts {
		r := c.play(p.New, s, *update && i >= len(p.Examples))
		if !r.OK {
			sum.Failed++
		}
		if err := c.put(r); err != nil {
			return err
		}
	}
	if err := c.put(sum); err != nil {
		return err
	}
	if sum.Failed > 0 {
		return errFailed
	}
	return nil
}

// cases reads the examples of a plugin, then the files and folders that are named.
func cases(p *Plugin, paths []string) ([]*dialogue.Script, error) {
	var all []*dialogue.Script
	for _, e := range p.Examples {
		s, err := dialogue.Parse(e.Name, e.Text)
		if err != nil {
			return nil, fmt.Errorf("example %s: %w", e.Name, err)
		}
		all = append(all, s)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("no case file %s", path)
		} else if err != nil {
			return nil, fmt.Errorf("find cases: %w", err)
		}
		if info.IsDir() {
			more, err := dialogue.Scripts(path)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read case: %w", err)
		}
		s, err := dialogue.Parse(path, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// play plays one case, or has its file say what the codec does.
func (c *call) play(factory codec.Factory, s *dialogue.Script, update bool) played {
	r := played{Case: s.Path, Steps: len(s.Steps)}
	failures, got, err := s.Check(factory)
	switch {
	case err != nil:
		r.Error = err.Error()
		fmt.Fprintf(c.opts.Stderr, "%s: %v\n", filepath.Base(s.Path), err)
		return r
	case update:
		s.Settle(got)
		if err := s.Update(got); err != nil {
			r.Error = err.Error()
			return r
		}
		r.OK, r.Updated = true, len(failures) > 0
		return r
	}
	for _, f := range failures {
		r.Failures = append(r.Failures, failed{Step: f.Step, Got: orNone(f.Got), Want: orNone(f.Want)})
		fmt.Fprintf(c.opts.Stderr, "%s: %v\n", filepath.Base(s.Path), f)
	}
	r.OK = len(failures) == 0
	return r
}

// orNone has an empty list written as [].
func orNone(lines []string) []string {
	if lines == nil {
		return []string{}
	}
	return lines
}
