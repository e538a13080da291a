package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Share is how much of the gateway's time a package takes, in percent.
type Share struct {
	Package string  `json:"package"`
	Percent float64 `json:"percent"`
}

// shownShares is how many packages are shown: below, each is about one in a hundred.
const shownShares = 16

// Shares adds up what `go tool pprof -top` prints for functions, by package.
func Shares(top string) []Share {
	sums := map[string]float64{}
	for line := range strings.Lines(top) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(fields[1], "%"), 64)
		if err != nil || !strings.HasSuffix(fields[1], "%") {
			continue
		}
		sums[packageOf(fields[5])] += percent
	}
	var list []Share
	for name, percent := range sums {
		list = append(list, Share{name, percent})
	}
	slices.SortFunc(list, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Percent, a.Percent), strings.Compare(a.Package, b.Package))
	})
	return list[:min(len(list), shownShares)]
}

// packageOf cuts a function's name after the package: the first dot behind the last slash that
// stands before any type arguments or receiver.
func packageOf(function string) string {
	end := strings.IndexAny(function, "[(")
	if end < 0 {
		end = len(function)
	}
	slash := strings.LastIndexByte(function[:end], '/') + 1
	name, _, _ := strings.Cut(function[slash:end], ".")
	return strings.TrimPrefix(function[:slash]+name, "github.com/causeway-iot/causeway/")
}
