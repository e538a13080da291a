package teltonika

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// The examples of the specification's page "Teltonika Data Sending Protocols"
// whose lengths and check sums hold. The page's UDP example of Codec 16 is cut
// short there, so it is left out.

func TestTheRecordsOfTheSpecificationDecode(t *testing.T) {
	for _, c := range []struct {
		name, transport, frame, ack string
		want                        []string
	}{
		{
			name: "codec 8, first example", transport: "tcp",
			frame: `000000000000003608010000016B40D8EA30010000000000000000000000000000000105021503010101425E0F01F10000
				601A014E0000000000000000010000C7CF`,
			ack: "00000001",
			want: []string{`{"timestamp":"2019-06-10T10:04:46.000Z","priority":"high","position":` + nowhere + `,
				"event":1,"io":{"avl_21":3,"avl_1":1,"avl_66":24079,"avl_241":24602,"avl_78":"0000000000000000"}}`},
		},
		{
			name: "codec 8, second example", transport: "tcp",
			frame: `000000000000002808010000016B40D9AD80010000000000000000000000000000000103021503010101425E1000000100
				00F22A`,
			ack: "00000001",
			want: []string{`{"timestamp":"2019-06-10T10:05:36.000Z","priority":"high","position":` + nowhere + `,
				"event":1,"io":{"avl_21":3,"avl_1":1,"avl_66":24080}}`},
		},
		{
			name: "codec 8, two records", transport: "tcp",
			frame: `000000000000004308020000016B40D57B480100000000000000000000000000000001010101000000000000016B40D5C1
				98010000000000000000000000000000000101010101000000020000252C`,
			ack: "00000002",
			want: []string{
				`{"timestamp":"2019-06-10T10:01:01.000Z","priority":"high","position":` + nowhere + `,
				"event":1,"io":{"avl_1":0}}`,
				`{"timestamp":"2019-06-10T10:01:19.000Z","priority":"high","position":` + nowhere + `,
				"event":1,"io":{"avl_1":1}}`,
			},
		},
		{
			name: "codec 8 extended", transport: "tcp",
			frame: `000000000000004A8E010000016B412CEE00010000000000000000000000000000000001000500010001010001001100
				1D00010010015E2C880002000B000000003544C87A000E000000001DD7E06A00000100002994`,
			ack: "00000001",
			want: []string{`{"timestamp":"2019-06-10T11:36:32.000Z","priority":"high","position":` + nowhere + `,
				"event":1,"io":{"avl_1":1,"avl_17":29,"avl_16":22949000,
				"avl_11":"000000003544c87a","avl_14":"000000001dd7e06a"}}`},
		},
		{
			name: "codec 16, two records", transport: "tcp",
			frame: `000000000000005F10020000016BDBC7833000000000000000000000000000000000000B05040200010000030002000B00
				270042563A00000000016BDBC7871800000000000000000000000000000000000B05040200010000030002000B00260042
				563A00000200005FB3`,
			ack: "00000002",
			want: []string{
				`{"timestamp":"2019-07-10T12:06:54.000Z","priority":"low","position":` + nowhere + `,
				"event":11,"generation":"onChange","io":{"avl_1":0,"avl_3":0,"avl_11":39,"avl_66":22074}}`,
				`{"timestamp":"2019-07-10T12:06:55.000Z","priority":"low","position":` + nowhere + `,
				"event":11,"generation":"onChange","io":{"avl_1":0,"avl_3":0,"avl_11":38,"avl_66":22074}}`,
			},
		},
		{
			name: "codec 8 over udp", transport: "udp",
			frame: `003DCAFE0105000F33353230393330383634303336353508010000016B4F815B3001000000000000000000000000000000
				0103021503010101425DBC000001`,
			ack: "0005cafe010501",
			want: []string{`{"timestamp":"2019-06-13T06:23:26.000Z","priority":"high","position":` + nowhere + `,
				"event":1,"io":{"avl_21":3,"avl_1":1,"avl_66":23996}}`},
		},
		{
			name: "codec 8 extended over udp", transport: "udp",
			frame: `005FCAFE0107000F3335323039333038363430333635358E010000016B4F831C6801000000000000000000000000000000
				00010005000100010100010011009D00010010015E2C880002000B000000003544C87A000E000000001DD7E06A000001`,
			ack: "0005cafe010701",
			want: []string{`{"timestamp":"2019-06-13T06:25:21.000Z","priority":"high","position":` + nowhere + `,
				"event":1,"io":{"avl_1":1,"avl_17":157,"avl_16":22949000,
				"avl_11":"000000003544c87a","avl_14":"000000001dd7e06a"}}`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := begin(t, `{"names":"id"}`, c.transport)
			if c.transport == "tcp" {
				receive(t, d, loginOf(imei))
			}
			out := receive(t, d, unhex(t, c.frame))
			if got := hex.EncodeToString(out.Ack); got != c.ack {
				t.Errorf("ack %s, want %s", got, c.ack)
			}
			if len(out.Messages) != len(c.want) {
				t.Fatalf("%d messages, want %d", len(out.Messages), len(c.want))
			}
			for i, want := range c.want {
				same(t, out.Messages[i].Body, want)
			}
		})
	}
}

// nowhere is a position without a fix.
const nowhere = `{"longitude":0,"latitude":0,"altitude":0,"angle":0,"satellites":0,"speed":0}`

// same compares two JSON documents, white space and order of members aside.
func same(tb testing.TB, got []byte, want string) {
	tb.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		tb.Errorf("body %s: %v", got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		tb.Fatalf("test data: %v", err)
	}
	gb, _ := json.Marshal(g)
	wb, _ := json.Marshal(w)
	if string(gb) != string(wb) {
		tb.Errorf("\ngot  %s\nwant %s", gb, wb)
	}
}

func TestTheTextsOfTheSpecificationDecode(t *testing.T) {
	for _, c := range []struct{ name, frame, device, kind, want string }{
		{
			name: "codec 12, answer to getio",
			frame: `00000000000000370C01060000002F4449313A31204449323A30204449333A302041494E313A302041494E323A31363932
				3420444F313A3020444F323A3101000066E3`,
			kind: "text",
			want: `{"text":"DI1:1 DI2:0 DI3:0 AIN1:0 AIN2:16924 DO1:0 DO2:1"}`,
		},
		{
			name: "codec 12, answer to getinfo",
			frame: `00000000000000900C010600000088494E493A323031392F372F323220373A3232205254433A323031392F372F32322037
				3A3533205253543A32204552523A312053523A302042523A302043463A302046473A3020464C3A302054553A302F302055
				543A3020534D533A30204E4F4750533A303A3330204750533A31205341543A302052533A332052463A36352053463A3120
				4D443A30010000C78F`,
			kind: "text",
			want: `{"text":"INI:2019/7/22 7:22 RTC:2019/7/22 7:53 RST:2 ERR:1 SR:0 BR:0 CF:0 FG:0 FL:0 TU:0/0 UT:0 ` +
				`SMS:0 NOGPS:0:30 GPS:1 SAT:0 RS:3 RF:65 SF:1 MD:0"}`,
		},
		{
			name: "codec 14, answer to getver of another device",
			frame: `00000000000000AB0E0106000000A303520930814522515665723A30332E31382E31345F3034204750533A41584E5F352E
				31305F333333332048773A464D42313230204D6F643A313520494D45493A33353230393330383134353232353120496E69
				743A323031382D31312D323220373A313320557074696D653A3137323334204D41433A3630424444303031363236312053
				50433A312830292041584C3A30204F42443A3020424C3A312E362042543A340100007AAE`,
			device: "352093081452251", kind: "text",
			want: `{"text":"Ver:03.18.14_04 GPS:AXN_5.10_3333 Hw:FMB120 Mod:15 IMEI:352093081452251 ` +
				`Init:2018-11-22 7:13 Uptime:17234 MAC:60BDD0016261 SPC:1(0) AXL:0 OBD:0 BL:1.6 BT:4"}`,
		},
		{
			name:   "codec 15",
			frame:  `000000000000001b0f010b00000013654b65a4012345678912345648656c6c6f210a01000093d6`,
			device: "123456789123456", kind: "text",
			want: `{"timestamp":"2023-11-08T10:40:36.000Z","text":"Hello!\n"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := receive(t, loggedIn(t, ""), unhex(t, c.frame))
			if len(out.Messages) != 1 || out.Ack != nil {
				t.Fatalf("outcome %+v", out)
			}
			m := out.Messages[0]
			same(t, m.Body, c.want)
			if m.Device != c.device || property1(m, "kind") != c.kind {
				t.Errorf("device %q kind %q", m.Device, property1(m, "kind"))
			}
		})
	}
}

// property1 returns the value of one property of a message.
func property1(m codec.Message, name string) string {
	for _, p := range m.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func TestCommandsAreThoseOfTheSpecification(t *testing.T) {
	for _, c := range []struct{ name, options, imei, command, frame string }{
		{"codec 12 getinfo", "", imei, "getinfo", "000000000000000F0C010500000007676574696E666F0100004312"},
		{"codec 12 getio", "", imei, "getio", "000000000000000D0C010500000005676574696F01000000CB"},
		{
			"codec 14 getver", `{"commandCodec":14}`, "352093081452251", "getver",
			"00000000000000160E01050000000E0352093081452251676574766572010000D2C1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := begin(t, c.options, "tcp").(*stream)
			receive(t, d, loginOf(c.imei))
			out := &codec.Outcome{}
			if err := d.Command(codec.Command{Correlation: "c1", Name: c.command}, out); err != nil {
				t.Fatal(err)
			}
			if want := unhex(t, c.frame); string(out.Reply) != string(want) {
				t.Errorf("got  %x\nwant %x", out.Reply, want)
			}
		})
	}
}
