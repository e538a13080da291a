package authenticate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/causeway-iot/causeway/modules/causeway/internal/authenticate"
)

func ExampleChain() {
	var list []authenticate.Named
	for _, link := range []struct{ name, kind, settings string }{
		{"ours", "addresses", `{"next": ["10.20.0.0/16"], "otherwise": "deny"}`},
		{"few", "secret", `{"devices": {"meter-7": {"text": "a secret of some length"}}}`},
		{"numbers", "pattern", `{"match": "[0-9]{15}"}`},
	} {
		a, err := authenticate.New(link.kind, json.RawMessage(link.settings), authenticate.Deps{})
		if err != nil {
			fmt.Println(err)
			return
		}
		list = append(list, authenticate.Named{Name: link.name, Authenticator: a})
	}
	chain := authenticate.NewChain(list, authenticate.ChainOptions{})
	for _, claim := range []authenticate.Request{
		{Device: "meter-7", Secret: "a secret of some length", Remote: netip.MustParseAddr("10.20.0.7")},
		{Device: "meter-7", Secret: "a guess", Remote: netip.MustParseAddr("10.20.0.7")},
		{Device: "356307042441013", Remote: netip.MustParseAddr("10.20.0.8")},
		{Device: "356307042441013", Remote: netip.MustParseAddr("192.0.2.8")},
		{Device: "toaster", Remote: netip.MustParseAddr("10.20.0.9")},
	} {
		v := chain.Authenticate(context.Background(), claim)
		fmt.Printf("%s: %s by %q: %s\n", claim.Device, v.Decision, v.By, v.Reason)
	}
	// Output:
	// meter-7: allow by "few": by secret
	// meter-7: deny by "few": wrong secret
	// 356307042441013: allow by "numbers": the id matches the pattern
	// 356307042441013: deny by "ours": by the address 192.0.2.8
	// toaster: next by "": unknown device
}
