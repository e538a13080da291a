package law

import "fmt"

// Law is one rule.
type Law struct {
	// Name is the rule's name, that of its fixture, and of its subtest.
	Name string
	// Why is what would go wrong without it.
	Why string
	// Check returns what breaks the rule, in the order of the files.
	Check func(*Tree) []Fault
}

// Fault is one place where a rule is broken.
type Fault struct {
	// Path is relative to the root of the tree, with slashes.
	Path string
	// Line is 0 where the whole file is meant.
	Line int
	// Text says what is wrong and, where it is not plain, what is right.
	Text string
}

// String returns path:line: text.
func (f Fault) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text)
}

// All returns every rule.
func All() []Law {
	return []Law{
		{"import-direction", "rooms that know each other cannot be changed alone", importDirection},
		{"library-owner", "a library used everywhere can never be replaced", libraryOwner},
		{"package-comment", "a reader meets a package by its comment", packageComment},
		{"file-length", "a file that does not fit a head hides a second concept", fileLength},
		{"no-init", "what happens before main cannot be ordered, tested or refused", noInit},
		{"no-panic", "one device's bad frame must not end the gateway", noPanic},
		{"honest-tests", "a skipped test proves nothing, and a test that sleeps is slow or flaky", honestTests},
		{"loopback", "a test that listens on all addresses, or on a port of its own, fails beside another", loopback},
		{"leak-check", "a goroutine that outlives its owner is found by the test, or by the customer", leakCheck},
		{"verified-tls", "a connection that is not verified is not a connection to the hub", verifiedTLS},
		{"no-leftovers", "paths of one machine, keys and unfinished work do not belong to the product", noLeftovers},
		{"links", "a link that leads nowhere costs a newcomer's trust", links},
		{"make-targets", "a command in a document must exist", makeTargets},
		{"one-go-version", "what is built in the image is what was tested", oneGoVersion},
		{"codecs", "a codec that is not listed or not described does not exist for its users", codecFolders},
		{"metrics", "an operator reads the page, a dashboard reads the name", metricNames},
		{"methods", "an operator types the name that the page gives", methodNames},
		{"images", "an image runs as a number, checks itself, and opens the ports that it documents", images},
		{"deployments", "a manifest that the tools or the edge agent refuse is found here, not on site", deployments},
	}
}
