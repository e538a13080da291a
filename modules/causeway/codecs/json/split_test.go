package jsoncodec

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func begin(tb testing.TB) codec.Splitter {
	tb.Helper()
	c, err := New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := c.Begin(codec.Peer{})
	if err != nil {
		tb.Fatal(err)
	}
	s, ok := d.(codec.Splitter)
	if !ok {
		tb.Fatal("the dialogue is no codec.Splitter")
	}
	return s
}

func TestArraysAreCutBetweenTheirElements(t *testing.T) {
	for _, c := range []struct {
		body  string
		limit int
		want  []string
	}{
		{`[1,2,3,4]`, 5, []string{`[1,2]`, `[3,4]`}},
		{` [ 1 , 2 , 3 ] `, 7, []string{`[1 , 2]`, `[3]`}},
		{`[1,22222222,3]`, 5, []string{`[1]`, `[22222222]`, `[3]`}},
		{`["a,]",{"b":[1,2]}]`, 4, []string{`["a,]"]`, `[{"b":[1,2]}]`}},
		{`[1]`, 1, []string{`[1]`}},
		{`[]`, 1, nil},
		{`{"a":[1,2,3]}`, 5, nil},
		{`"text"`, 2, nil},
		{`[1,`, 1, nil},
		{``, 1, nil},
	} {
		var got []string
		for _, part := range begin(t).SplitBody(&codec.Message{Body: []byte(c.body)}, c.limit) {
			got = append(got, string(part))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s by %d: %q, want %q", c.body, c.limit, got, c.want)
		}
	}
}

// What the parts hold, one after the other, is what the whole holds, and no two
// neighbours would fit into one part.
func TestPartsHoldWhatTheWholeHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.SliceOfN(rapid.OneOf(
			rapid.String().AsAny(), rapid.Int().AsAny(),
			rapid.SliceOfN(rapid.Bool(), 0, 4).AsAny(), rapid.MapOfN(rapid.String(), rapid.Int(), 0, 3).AsAny(),
		), 1, 20).Draw(t, "whole")
		body, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		limit := rapid.IntRange(1, 200).Draw(t, "limit")
		d := &dialogue{}
		parts := d.SplitBody(&codec.Message{Body: body}, limit)
		var inner []string
		for i, part := range parts {
			var elements []json.RawMessage
			if err := json.Unmarshal(part, &elements); err != nil || len(part) > limit && len(elements) > 1 {
				t.Fatalf("part %s of %d elements: %v", part, len(elements), err)
			}
			if i > 0 {
				first := len(elements[0])
				if len(parts[i-1])+len(",")+first <= limit {
					t.Errorf("%s had room for %s", parts[i-1], elements[0])
				}
			}
			inner = append(inner, string(part[1:len(part)-1]))
		}
		if got := "[" + strings.Join(inner, ",") + "]"; got != string(body) {
			t.Errorf("%s became %s", body, got)
		}
	})
}

func FuzzSplitBody(f *testing.F) {
	f.Add([]byte(` [1, [2,"]"], {"a":[]}] `), 6)
	f.Add([]byte(`[1,2`), 1)
	f.Fuzz(func(t *testing.T, body []byte, limit int) {
		for _, part := range (&dialogue{}).SplitBody(&codec.Message{Body: body}, limit) {
			if json.Valid(body) && !json.Valid(part) {
				t.Errorf("%q has the part %q", body, part)
			}
		}
	})
}
