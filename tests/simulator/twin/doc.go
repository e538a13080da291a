// Package twin holds the rules of device twins: which patches are valid, how a
// merge-patch changes a document, and which patch leads from one document to another.
// Documents are decoded JSON objects whose numbers are json.Number, so that integers
// of up to 52 bits survive unharmed.
package twin
