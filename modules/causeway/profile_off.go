//go:build !profile

package main

// profiling does nothing: what is shipped has no way to be profiled from outside.
func profiling() (stop func()) { return func() {} }
