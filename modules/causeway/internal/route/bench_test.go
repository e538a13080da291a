package route

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/internal/message"
)

func benchmark(b *testing.B, rules ...Rule) {
	b.Helper()
	table := compileRules(b, rules...)
	m := tracker()
	b.ReportAllocs()
	for b.Loop() {
		m.Output = "telemetry"
		table.Apply(m)
	}
}

func BenchmarkApplyWithoutRules(b *testing.B) { benchmark(b) }

func BenchmarkApplyOneWithoutCondition(b *testing.B) {
	benchmark(b, Rule{Name: "r", Output: "o", Properties: []message.Property{{Name: "kind", Value: "x"}}})
}

func BenchmarkApplyProperty(b *testing.B) {
	benchmark(b, Rule{Name: "r", When: "message.properties.kind == 'alarm'", Output: "o"})
}

func BenchmarkApplyFields(b *testing.B) {
	benchmark(b, Rule{Name: "r", When: "message.listener == 'meters' or message.codec == 'teltonika'", Output: "o"})
}

func BenchmarkApplyBody(b *testing.B) {
	benchmark(b, Rule{Name: "r", When: "message.body.speed > 50", Output: "o"})
}

// The budgets are what one evaluation costs today; expr boxes each text that it
// fetches.
func TestAllocationsStayWithinTheirBudget(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates for itself
	}
	always := Rule{Name: "r", Output: "o", Properties: []message.Property{{Name: "kind", Value: "x"}}}
	for name, c := range map[string]struct {
		rules  []Rule
		budget float64
	}{
		"no rules":     {nil, 0},
		"no condition": {[]Rule{always}, 0},
		"size":         {[]Rule{{Name: "r", When: "message.size > 5", Output: "o"}}, 1},
		"property":     {[]Rule{{Name: "r", When: "message.properties.kind == 'alarm'", Output: "o"}}, 1},
		"two fields": {[]Rule{{
			Name: "r", When: "message.listener == 'm' or message.codec == 'teltonika'", Output: "o",
		}}, 2},
	} {
		table := compileRules(t, c.rules...)
		m := tracker()
		if got := testing.AllocsPerRun(200, func() { table.Apply(m) }); got > c.budget {
			t.Errorf("%s: %v allocations, budget %v", name, got, c.budget)
		}
	}
}
