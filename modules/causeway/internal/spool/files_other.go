//go:build !linux

package spool

import "os"

// Causeway runs on Linux; elsewhere it only has to build: no space is reserved and
// nothing keeps a second process away.

func reserve(*os.File, int64) error { return nil }

func syncData(f *os.File) error { return f.Sync() }

func lock(*os.File) error { return nil }
