package spooltest

import "slices"

// CrashAfter takes the power after so many more operations: from then on everything
// gives ErrPower until Crash.
func (d *Disk) CrashAfter(operations int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = operations
}

// Crash loses the power and comes back: what was not synced is there in whole, in
// part (in sectors of 512 bytes, in any order) or not at all, and so are names, these
// in order. Pick returns a number from 0 to n-1. Open files are lost.
func (d *Disk) Crash(pick func(n int) int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.locked = -1, false
	d.life++
	for _, c := range d.changes[:pick(len(d.changes)+1)] {
		apply(d.synced, c)
	}
	d.changes = nil
	d.files = map[string]*inode{}
	for name, file := range d.synced {
		file.crash(pick)
		d.files[name] = file
	}
}

// Kill ends the process without the machine: nothing is lost but open files.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.locked = -1, false
	d.life++
}

func apply(names map[string]*inode, c change) {
	if c.inode == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.inode
	}
}

// crash makes what is safe of a file what it holds.
func (f *inode) crash(pick func(n int) int) {
	const none, all, some = 0, 1, 2
	for _, w := range f.pending {
		switch pick(3) {
		case none:
		case all:
			f.safe = w.apply(f.safe)
		case some:
			if w.bytes != nil || w.size > int64(len(f.safe)) { // a cut is whole or not at all
				w = w.tear(pick)
			}
			f.safe = w.apply(f.safe)
		}
	}
	f.data, f.pending = slices.Clone(f.safe), nil
}

func (w write) apply(b []byte) []byte {
	if w.bytes == nil {
		return resize(b, w.size)
	}
	b = resize(b, max(int64(len(b)), w.off+int64(len(w.bytes))))
	copy(b[w.off:], w.bytes)
	return b
}

// tear leaves zeros where sectors did not come to the disk: the spool writes where
// zeros are.
func (w write) tear(pick func(n int) int) write {
	const sector = 512
	torn := write{off: w.off, bytes: slices.Clone(w.bytes), size: w.size}
	if w.bytes == nil {
		torn.size = int64(pick(int(w.size) + 1))
		return torn
	}
	if pick(2) == 0 { // a prefix
		torn.bytes = torn.bytes[:pick(len(torn.bytes)+1)]
		if torn.bytes == nil {
			torn.bytes = []byte{}
		}
		return torn
	}
	for at := 0; at < len(torn.bytes); {
		end := min(len(torn.bytes), at+sector-int((w.off+int64(at))%sector))
		if pick(2) == 0 {
			clear(torn.bytes[at:end])
		}
		at = end
	}
	return torn
}

func resize(b []byte, size int64) []byte {
	if int64(len(b)) >= size {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}
