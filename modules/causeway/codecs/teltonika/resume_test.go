package teltonika

import (
	"errors"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

func TestAPacketIsDecodedAgainWithoutItsLogin(t *testing.T) {
	packet := unhex(t, "000000000000003608010000016B40D8EA30010000000000000000000000000000000105021503010101425E0F01F10000601A014E0000000000000000010000C7CF")
	d := begin(t, "", "tcp")
	if err := d.(codec.Resumer).Resume(imei); err != nil {
		t.Fatal(err)
	}
	if out := receive(t, d, packet); len(out.Messages) != 1 || out.Identity.Device != "" {
		t.Errorf("%d messages, identity %q", len(out.Messages), out.Identity.Device)
	}
	for _, device := range []string{"", "trackers", "35630704244101335630704244101335630704244101"} {
		if err := begin(t, "", "tcp").(codec.Resumer).Resume(device); !errors.Is(err, codec.ErrRefused) {
			t.Errorf("device %q: %v", device, err)
		}
	}
}
