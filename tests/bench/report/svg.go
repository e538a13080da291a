package report

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The colours are read on white and on black: the page does not know which it is on.
const (
	ink    = "#7d7d7d"
	faint  = "#7d7d7d"
	strong = "#2f81f7"
	plain  = "#9aa0a6"
)

// palette is of the curves.
var palette = [...]string{"#2f81f7", "#d29922", "#3fb950", "#db61a2", "#a371f7"}

// Bar is one of a plot of bars.
type Bar struct {
	Label string
	Value float64
	// Strong marks the one that the plot is about.
	Strong bool
}

// Bars draws horizontal bars from zero, each with its value in words.
func Bars(title string, bars []Bar, format func(float64) string) string {
	const left, width, right, row, top = 190, 400, 110, 26, 40
	most := 0.0
	for _, b := range bars {
		most = max(most, b.Value)
	}
	height := top + row*len(bars) + 10
	s := newSVG(left+width+right, height, title)
	s.text(10, 22, "start", "bold", ink, title)
	for i, b := range bars {
		y := float64(top + row*i)
		length := 0.0
		if most > 0 {
			length = b.Value / most * width
		}
		colour, weight := plain, "normal"
		if b.Strong {
			colour, weight = strong, "bold"
		}
		s.text(left-8, y+15, "end", weight, ink, b.Label)
		fmt.Fprintf(&s.b, `<rect x="%d" y="%.0f" width="%.1f" height="18" rx="2" fill="%s"/>`+"\n",
			left, y+1, max(length, 1), colour)
		s.text(left+length+6, y+15, "start", weight, ink, format(b.Value))
	}
	return s.end()
}

// Curve is one of a plot of curves: a value for each place on the common axis.
type Curve struct {
	Label  string
	Values []float64
}

// Curves draws curves over labelled places, from zero, with their names at the right end.
func Curves(title string, places []string, curves []Curve, format func(float64) string) string {
	const left, top, width, height, right, bottom = 60, 45, 440, 240, 150, 40
	most := 0.0
	for _, c := range curves {
		for _, v := range c.Values {
			most = max(most, v)
		}
	}
	step := niceStep(most)
	most = max(step*math.Ceil(most/step), step)
	s := newSVG(left+width+right, top+height+bottom, title)
	s.text(10, 22, "start", "bold", ink, title)
	x := func(i int) float64 { return left + width*float64(i)/float64(max(len(places)-1, 1)) }
	y := func(v float64) float64 { return top + height*(1-v/most) }
	for v := 0.0; v <= most+step/2; v += step {
		fmt.Fprintf(&s.b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s" stroke-opacity="0.25"/>`+"\n",
			left, y(v), left+width, y(v), faint)
		s.text(left-8, y(v)+4, "end", "normal", ink, format(v))
	}
	for i, p := range places {
		s.text(x(i), top+height+20, "middle", "normal", ink, p)
	}
	heights := spread(curves, y)
	for n, c := range curves {
		var points []string
		for i, v := range c.Values {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(i), y(v)))
		}
		colour := palette[n%len(palette)]
		fmt.Fprintf(&s.b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5"/>`+"\n",
			strings.Join(points, " "), colour)
		s.text(left+width+8, heights[n], "start", "bold", colour, c.Label)
	}
	return s.end()
}

// spread returns the heights of the curves' names, moved apart where curves end together.
func spread(curves []Curve, y func(float64) float64) []float64 {
	const apart = 16
	heights := make([]float64, len(curves))
	for n, c := range curves {
		if len(c.Values) > 0 {
			heights[n] = y(c.Values[len(c.Values)-1]) + 4
		}
	}
	order := make([]int, len(curves))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(heights[a], heights[b]) })
	for i := 1; i < len(order); i++ {
		heights[order[i]] = max(heights[order[i]], heights[order[i-1]]+apart)
	}
	return heights
}

// niceStep divides up to a value into about five.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, m := range []float64{1, 2, 5} {
		if most/(power*m) <= 6 {
			return power * m
		}
	}
	return power * 10
}

// drawing is an SVG under way.
type drawing struct{ b strings.Builder }

func newSVG(width, height int, title string) *drawing {
	s := &drawing{}
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="13">`+"\n<title>%s</title>\n",
		width, height, width, height, html.EscapeString(title))
	return s
}

func (s *drawing) text(x, y float64, anchor, weight, colour, text string) {
	fmt.Fprintf(&s.b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-weight="%s" fill="%s">%s</text>`+"\n",
		x, y, anchor, weight, colour, html.EscapeString(text))
}

func (s *drawing) end() string {
	s.b.WriteString("</svg>\n")
	return s.b.String()
}
