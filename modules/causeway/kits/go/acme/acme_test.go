package main

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

// The codec as it is, without a module around it.
func TestConformance(t *testing.T) { codectest.Run(t, New, "testdata") }
