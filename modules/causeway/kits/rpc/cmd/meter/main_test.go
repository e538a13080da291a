package main

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
)

func TestDialogues(t *testing.T) { codectest.Run(t, New, "testdata") }
