// Package dialogue plays dialogues with a codec as a listener would, and writes down
// what came of them. It is what the conformance suite (package codectest), the
// examples of plugins, the command line and the direct method decode have in common,
// so it knows nothing of package testing.
//
// [Parse] reads a case file, in the form that package codectest describes; [Play] plays
// it against a codec and returns what does not come true. A [Link] is one link with a
// codec, for who brings the bytes itself; [Lines] and [Entries] write an [codec.Outcome]
// for people and for programs.
package dialogue
