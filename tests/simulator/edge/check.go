package edge

var _ Head = (*Hub)(nil)
