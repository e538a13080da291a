package jsoncodec

import (
	"strconv"
	"strings"

	"github.com/causeway-iot/causeway/modules/causeway/codec"
)

// maxPointer bounds what a pointer in the options costs for each document.
const maxPointer = 512

// node is a place in documents that a pointer leads to, or through. A nil node
// is a place that nobody asked for.
type node struct {
	members  []edge
	elements []edge // the edges whose name is an array index
	slots    []int  // the pointers that end here
	below    []int  // the pointers that lead on from here
}

// edge leads from a node to the one below it.
type edge struct {
	name  string
	index int
	to    *node
}

// add adds a JSON pointer (RFC 6901) to the tree.
func (n *node) add(option, pointer string, slot int) error {
	if pointer == "" || pointer[0] != '/' || len(pointer) > maxPointer || strings.Count(pointer, "/") > maxDepth {
		return codec.Optionf(option, "got %q, want a JSON pointer such as /device/id", pointer)
	}
	for _, token := range strings.Split(pointer, "/")[1:] {
		name := strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		if strings.Count(token, "~") != strings.Count(token, "~0")+strings.Count(token, "~1") {
			return codec.Optionf(option, "got %q, in a JSON pointer ~ is written ~0 and / is written ~1", pointer)
		}
		n.below = append(n.below, slot)
		n = n.descend(name)
	}
	n.slots = append(n.slots, slot)
	return nil
}

// descend returns the node below n, which it makes when there is none.
func (n *node) descend(name string) *node {
	for _, e := range n.members {
		if e.name == name {
			return e.to
		}
	}
	e := edge{name: name, to: &node{}}
	n.members = append(n.members, e)
	if index, err := strconv.Atoi(name); err == nil && strconv.Itoa(index) == name {
		e.index = index
		n.elements = append(n.elements, e)
	}
	return e.to
}

func (n *node) member(name []byte) *node {
	for i := range n.members {
		if n.members[i].name == string(name) {
			return n.members[i].to
		}
	}
	return nil
}

func (n *node) element(index int) *node {
	if n == nil {
		return nil
	}
	for i := range n.elements {
		if n.elements[i].index == index {
			return n.elements[i].to
		}
	}
	return nil
}
