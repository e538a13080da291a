// Package report makes tables, plots and a page of what was measured. The page is made from
// the results alone, so it can be made again without measuring.
package report
