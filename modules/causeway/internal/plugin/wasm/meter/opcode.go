package meter

// The opcodes that the meter treats specially.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectT      = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opLoad         = 0x28
	opStoreLast    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32LtS       = 0x48
	opI64LtS       = 0x53
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI64Sub       = 0x7d
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opNumericLast  = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscElemDrop   = 13
	miscTableSize  = 16
)

// instruction is one of a function's body. index is its first immediate, where that
// is an index.
type instruction struct {
	op    byte
	misc  uint32 // after opMisc
	index uint32
	text  []byte // as it was written
}

// next reads an instruction of WebAssembly 2.0.
func (r *reader) next() instruction {
	from := r.at
	i := instruction{op: r.byte()}
	switch op := i.op; {
	case op >= opBlock && op <= opIf:
		r.skipSigned(5)
	case op == opBr, op == opBrIf, op == opCall, op >= opLocalGet && op <= opTableSet, op == opRefFunc:
		i.index = r.u32()
	case op == opBrTable:
		for n := r.u32(); n > 0 && r.err == nil; n-- {
			r.u32()
		}
		r.u32()
	case op == opCallIndirect:
		i.index = r.u32()
		r.u32()
	case op == opSelectT:
		r.bytes(r.u32())
	case op >= opLoad && op <= opStoreLast:
		r.u32()
		r.u32()
	case op == opMemorySize, op == opMemoryGrow, op == opRefNull:
		r.byte()
	case op == opI32Const:
		r.skipSigned(5)
	case op == opI64Const:
		r.skipSigned(10)
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opMisc:
		r.nextMisc(&i)
	case op == opVector:
		r.nextVector()
	case op <= 0x01, op == opElse, op == opEnd, op == opReturn, op == 0x1a, op == 0x1b,
		op > opI64Const && op <= opNumericLast, op == opRefIsNull:
	default:
		r.fail("instruction 0x%02x is not of WebAssembly 2.0", op)
	}
	if r.err == nil {
		i.text = r.b[from:r.at]
	}
	return i
}

func (r *reader) nextMisc(i *instruction) {
	switch i.misc = r.u32(); i.misc {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
	case miscMemoryInit:
		r.u32()
		r.byte()
	case miscDataDrop, miscElemDrop, miscTableSize:
		r.u32()
	case miscMemoryCopy:
		r.bytes(2)
	case miscMemoryFill:
		r.byte()
	case 12, 14, 15, 17:
		// table.grow has no bound that the host could set, and the others take time by
		// a length; no compiler of C, Rust or Go needs them.
		r.fail("instructions that change a table are not allowed (0xfc %d)", i.misc)
	default:
		r.fail("instruction 0xfc %d is not of WebAssembly 2.0", i.misc)
	}
}

func (r *reader) nextVector() {
	const shuffleOrConst = 16
	switch op := r.u32(); {
	case op <= 11, op == 92, op == 93:
		r.u32()
		r.u32()
	case op == 12, op == 13:
		r.bytes(shuffleOrConst)
	case op >= 21 && op <= 34:
		r.byte()
	case op >= 84 && op <= 91:
		r.u32()
		r.u32()
		r.byte()
	case op > 255:
		r.fail("instruction 0xfd %d is not of WebAssembly 2.0", op)
	}
}
