package portal_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/causeway-iot/causeway/tests/simulator/edge"
	"github.com/causeway-iot/causeway/tests/simulator/portal"
)

// BenchmarkPublishBesidePages shows what watching costs the hub: a transfer of 100 messages
// with no page, and with as many as there can be, each with a filter that takes nothing.
func BenchmarkPublishBesidePages(b *testing.B) {
	for _, pages := range []int{0, 1, 16} {
		b.Run(fmt.Sprint(pages), func(b *testing.B) {
			h, err := edge.New(edge.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			if err := h.SetRoutes([]edge.Route{{Name: "all", Text: "FROM /* INTO $upstream"}}, 0); err != nil {
				b.Fatal(err)
			}
			s := httptest.NewServer(portal.New(h, heads(true), portal.Options{}))
			defer s.Close()
			for range pages {
				answer, err := http.Get(s.URL + "/portal/feed?text=nowhere")
				if err != nil {
					b.Fatal(err)
				}
				defer answer.Body.Close()
				go func() { _, _ = io.Copy(io.Discard, answer.Body) }()
			}
			batch := many(100)
			for b.Loop() {
				if err := h.Publish(b.Context(), module("m"), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
