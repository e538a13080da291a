//go:build !linux

package device

import "syscall"

// bindLate has no counterpart here.
func bindLate(string, string, syscall.RawConn) error { return nil }
