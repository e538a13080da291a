package spool

// Configure changes the bound and what happens at it, in force from the next
// Append. A bound below what is kept gives nothing up under Block; it refuses until
// enough is delivered. Zero bytes keep the bound as it is.
func (s *Spool) Configure(bytes int64, full Policy) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if bytes > 0 {
		s.opts.Bytes = max(bytes, leastBytes)
	}
	s.opts.Full = full
}
