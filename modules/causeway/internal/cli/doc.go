// Package cli is what the program does at a prompt, beside serving: it decodes, frames
// and explains bytes, guesses what they are, makes, tests and measures codecs, and keeps
// the gateway's list of devices.
//
// Answers are lines of JSON on standard output; what went wrong is one line on standard
// error. The exit code is [ExitOK], [ExitFailed] or [ExitUsage], so that scripts can
// trust it. Codecs are those that are built in, and what a [Loader] reads.
package cli
