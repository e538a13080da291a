package codecv1

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
)

func TestGeneratedCodeFitsTheProto(t *testing.T) {
	const path = "kits/rpc/codecv1/codec.proto"
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"../../.."}}),
	}
	files, err := compiler.Compile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	got := protodesc.ToFileDescriptorProto(File_kits_rpc_codecv1_codec_proto)
	if want := protodesc.ToFileDescriptorProto(files.FindFileByPath(path)); !proto.Equal(got, want) {
		t.Error("codec.proto was changed: run scripts/protos")
	}
}
