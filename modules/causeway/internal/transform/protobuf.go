package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

const (
	// protoName is the name of the schema's file in errors.
	protoName = "schema.proto"
	// compileTime bounds the compiling of a schema, which is cheap.
	compileTime = 5 * time.Second
)

// newProtobuf makes JSON of messages of a type of the schema, the text of one .proto
// file. Only the standard imports (google/protobuf/...) are there.
func newProtobuf(schema []byte, name string) (func(dst, data []byte) ([]byte, error), error) {
	ctx, cancel := context.WithTimeout(context.Background(), compileTime)
	defer cancel()
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(map[string]string{protoName: string(schema)}),
		}),
		MaxParallelism: 1,
	}
	files, err := compiler.Compile(ctx, protoName)
	if err != nil {
		return nil, codec.Optionf("/schema", "%v", err)
	}
	found := files[0].FindDescriptorByName(protoreflect.FullName(strings.TrimPrefix(name, ".")))
	descriptor, ok := found.(protoreflect.MessageDescriptor)
	if !ok {
		known := messageNames(files[0].Messages())
		return nil, codec.Optionf("/message", "got %q, the schema has the messages %s", name, known)
	}
	kind := dynamicpb.NewMessageType(descriptor)
	unmarshal := proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}
	return func(dst, data []byte) ([]byte, error) {
		m := kind.New().Interface()
		if err := unmarshal.Unmarshal(data, m); err != nil {
			return dst, err
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			return dst, err
		}
		var out bytes.Buffer // protojson writes spaces that differ from build to build
		if err := json.Compact(&out, text); err != nil {
			return dst, err
		}
		return append(dst, out.Bytes()...), nil
	}, nil
}

func messageNames(list protoreflect.MessageDescriptors) string {
	const shown = 10
	var names []string
	for i := range min(list.Len(), shown) {
		names = append(names, string(list.Get(i).FullName()))
	}
	return fmt.Sprint(names)
}
