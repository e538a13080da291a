package teltonika_test

import (
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codec/codectest"
	"github.com/causeway-iot/causeway/modules/causeway/codecs/teltonika"
)

func TestTeltonikaConforms(t *testing.T) { codectest.Run(t, teltonika.New, "testdata") }

func TestTheReadmeIsTrue(t *testing.T) { codectest.Readme(t, teltonika.New, "README.md") }

func FuzzTeltonika(f *testing.F) { codectest.Fuzz(f, teltonika.New, "testdata") }
