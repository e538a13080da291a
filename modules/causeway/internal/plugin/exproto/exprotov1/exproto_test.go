package exprotov1

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
)

func TestGeneratedCodeFitsTheProto(t *testing.T) {
	const path = "internal/plugin/exproto/exprotov1/exproto.proto"
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"../../../.."}}),
	}
	files, err := compiler.Compile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	got := protodesc.ToFileDescriptorProto(File_internal_plugin_exproto_exprotov1_exproto_proto)
	if want := protodesc.ToFileDescriptorProto(files.FindFileByPath(path)); !proto.Equal(got, want) {
		t.Error("exproto.proto was changed: run scripts/protos")
	}
}
