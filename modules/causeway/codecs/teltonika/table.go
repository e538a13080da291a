package teltonika

// avlTable returns the known AVL properties.
func avlTable() []property {
	return []property{{239, "ignition", 1, kindUnsigned, "", ""}}
}
