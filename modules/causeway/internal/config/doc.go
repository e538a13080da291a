// Package config holds the two documents that configure the gateway: the
// environment, which says only how to reach the hub and the disk, and the module
// twin's desired properties, which say everything else. It fills in defaults,
// validates, and keeps the last good document on disk.
//
// The schema in schema.json is the one source of keys, defaults and limits of the
// twin document: validation, defaults and the tables for the documentation are
// read from it. What only another room can judge (codec options, framing, route
// conditions) passes through as raw JSON; whoever judges it reports a [Fault] with
// a pointer made by [Pointer].
package config
