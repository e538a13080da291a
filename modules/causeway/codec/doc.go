// Package codec is the contract between Causeway and a device protocol.
//
// A codec is a pure step: the state of one link and one frame go in, an
// [Outcome] comes out. It never sees a socket, a clock, a goroutine or the hub,
// so it can be fuzzed, replayed from a capture, fed in other pieces, and moved
// into a script or another process unchanged.
//
// The smallest codec is a function:
//
//	upper := codec.Func(func(f codec.Frame, out *codec.Outcome) error {
//		m := out.Add()
//		m.Body = f.Bytes
//		m.ContentType = "text/plain"
//		return nil
//	})
//
// A codec that needs memory implements [Codec] and [Dialogue]: [Codec.Begin] is
// called once for each link (one TCP connection, or one UDP peer), and the
// dialogue that it returns receives the frames of that link in wire order.
//
// What more a dialogue can do is said by one-method add-ons, looked for once
// when the link begins: [Framer] cuts the byte stream itself, [Commander] turns a
// command into bytes, [Ticker] is called as time passes, [Resumer] decodes frames
// of an earlier link again, [Explainer] names the parts of a frame for people, [Closer]
// frees what a dialogue holds.
//
// # What the outcome promises
//
// Reply is written to the device at once. Ack is written only when every message
// of the same outcome is durable: accepted by the edge hub, or synced to disk.
// A protocol whose devices free their memory on the server's answer must put
// that answer into Ack, never into Reply.
//
// # Memory
//
// Frame.Bytes is borrowed: it is valid until Receive returns and until the
// gateway has taken the outcome's messages, which it does before it reads again.
// So a message may alias the frame, and a dialogue must copy what it keeps.
// Outcome is reused from call to call; a known message costs no allocation when
// bodies are appended to [Outcome.Scratch].
package codec
