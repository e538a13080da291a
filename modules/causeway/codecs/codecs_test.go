package codecs_test

import (
	"os"
	"slices"
	"testing"

	"github.com/causeway-iot/causeway/modules/causeway/codecs"
)

func TestEveryFolderIsABuiltInCodec(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	r, err := codecs.All()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Names(), folders) {
		t.Errorf("registered are %v, the folders are %v", r.Names(), folders)
	}
}

func TestBuiltInCodecsTakeDefaultsAndRefuseUnknownOptions(t *testing.T) {
	r, err := codecs.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range r.Names() {
		if _, err := r.New(name, nil); err != nil {
			t.Errorf("%s without options: %v", name, err)
		}
		if _, err := r.New(name, []byte(`{"no such option": 1}`)); err == nil {
			t.Errorf("%s took an unknown option", name)
		}
	}
}
