package meter

import "encoding/binary"

// Prices in fuel. One is about what a machine instruction costs.
const (
	priceEntry = 8    // of a call, with what is added here
	priceTurn  = 4    // of a loop's turn, likewise
	priceHost  = 500  // of a call of the host: it leaves the machine code
	priceGrow  = 5000 // of growing the memory: a page is zeroed
	perFuel    = 3    // memory.copy and the like: 2^3 bytes cost one
)

// Estimates of a frame on the stack, in bytes.
const (
	frameBase            = 64
	frameLocal           = 8
	frameInstructions    = 2 // values between instructions live on the stack as well
	maxLocals            = 50_000
	typeEmpty            = 0x40
	typeI64, typeI32     = 0x7e, 0x7f
	paddedSize           = 5 // of a price that is filled in later
	mutable              = 1
	kindFunc, kindGlobal = 0, 3
)

// body rewrites one function.
type body struct {
	m      *module
	r      *reader
	out    []byte
	locals uint32 // parameters included, the two that are added not
	calls  bool   // so the stack is counted
	frame  uint32
	scopes []scope
	// pieces are the prices of the straight pieces of the function, in their order. A
	// piece ends where a branch can lead to.
	pieces []int64
	piece  int
}

// scope is an open block. Loops, and the function itself, have a price: what is paid
// at each turn for the pieces in them that are too short to be paid on their own.
type scope struct {
	priced bool
	price  int64
	hole   int // where the price is filled in
}

// shortPiece is what is not worth its own payment. Each is executed at most once a
// turn, so that what is paid is never too little.
const shortPiece = 8

// function rewrites a function of the type.
func (m *module) function(r *reader, t funcType) []byte {
	b := &body{m: m, r: r, locals: t.params}
	groups := r.u32()
	from := r.at
	total := uint64(t.params)
	for i := uint32(0); i < groups && r.err == nil; i++ {
		total += uint64(r.u32())
		r.byte()
	}
	if total > maxLocals {
		r.fail("a function with %d locals, at most %d are allowed", total, maxLocals)
	}
	if r.err != nil {
		return nil
	}
	b.locals = uint32(total)
	b.out = appendU32(nil, groups+2)
	b.out = append(b.out, r.b[from:r.at]...)
	b.out = append(b.out, 1, typeI64, 1, typeI32)
	b.survey(*r)
	b.enter(t)
	for len(b.scopes) > 0 && r.err == nil {
		b.instruction(r.next())
	}
	if r.err == nil && r.more() {
		r.fail("code behind the end of a function")
	}
	return b.out
}

// survey looks ahead: whether the function calls, how long it is, and its pieces.
func (b *body) survey(ahead reader) {
	n := uint32(0)
	b.pieces = []int64{0}
	for ; ahead.more(); n++ {
		i := ahead.next()
		b.pieces[len(b.pieces)-1] += b.price(i)
		switch i.op {
		case opCall, opCallIndirect:
			b.calls = true
		}
		if endsPiece(i.op) {
			b.pieces = append(b.pieces, 0)
		}
	}
	b.frame = frameBase + frameLocal*b.locals + frameInstructions*n
}

func endsPiece(op byte) bool { return op == opLoop || op == opIf || op == opElse || op == opEnd }

// next is the price of the piece that begins.
func (b *body) next() int64 {
	price := b.pieces[b.piece]
	b.piece++
	return price
}

// begin pays for the piece that begins, here or with the turn.
func (b *body) begin() {
	price := b.next()
	if price < shortPiece {
		b.pricedScope().price += price
		return
	}
	b.fill(scope{price: price, hole: b.charge()})
}

func (b *body) fuelLocal() uint32   { return b.locals }
func (b *body) lengthLocal() uint32 { return b.locals + 1 }

// enter opens the function: its price, its frame, and the block that everything
// that returns leaves.
func (b *body) enter(t funcType) {
	b.scopes = append(b.scopes, scope{priced: true, price: priceEntry + b.next(), hole: b.charge()})
	if !b.calls {
		return
	}
	b.moveStack(opI32Sub)
	b.op(opGlobalGet, b.m.stackGlobal())
	b.out = append(b.out, opI32Const, 0, opI32LtS, opIf, typeEmpty, opUnreachable, opEnd)
	b.out = append(b.out, opBlock)
	b.out = append(b.out, b.m.blockType(t)...)
}

// leave closes it.
func (b *body) leave() {
	b.out = append(b.out, opEnd)
	if b.calls {
		b.moveStack(opI32Add)
		b.out = append(b.out, opEnd)
	}
}

func (b *body) op(op byte, index uint32) { b.out = appendU32(append(b.out, op), index) }

func (b *body) moveStack(op byte) {
	b.op(opGlobalGet, b.m.stackGlobal())
	b.out = appendS64(append(b.out, opI32Const), int64(b.frame))
	b.out = append(b.out, op)
	b.op(opGlobalSet, b.m.stackGlobal())
}

// charge writes the code that takes a price from the fuel, and returns where the
// price goes.
func (b *body) charge() (hole int) {
	b.op(opGlobalGet, b.m.fuelGlobal())
	b.out = append(b.out, opI64Const)
	hole = len(b.out)
	b.out = append(b.out, make([]byte, paddedSize)...)
	b.pay()
	return hole
}

// pay subtracts what is on the stack and stops the module when nothing is left.
func (b *body) pay() {
	b.out = append(b.out, opI64Sub)
	b.op(opLocalTee, b.fuelLocal())
	b.op(opGlobalSet, b.m.fuelGlobal())
	b.op(opLocalGet, b.fuelLocal())
	b.out = append(b.out, opI64Const, 0, opI64LtS, opIf, typeEmpty, opUnreachable, opEnd)
}

// chargeLength takes a price by the length on the top of the stack, and leaves it there.
func (b *body) chargeLength() {
	b.op(opLocalTee, b.lengthLocal())
	b.op(opGlobalGet, b.m.fuelGlobal())
	b.op(opLocalGet, b.lengthLocal())
	b.out = append(b.out, opI64ExtendU, opI64Const, perFuel, opI64ShrU)
	b.pay()
}

// fill writes a price as a padded signed LEB128.
func (b *body) fill(s scope) {
	v := s.price // below 2^34: a module is at most 2^25 bytes long
	for i := range paddedSize {
		c := byte(v & 0x7f)
		if v >>= 7; i < paddedSize-1 {
			c |= 0x80
		}
		b.out[s.hole+i] = c
	}
}

func (b *body) pricedScope() *scope {
	for i := len(b.scopes) - 1; ; i-- {
		if b.scopes[i].priced {
			return &b.scopes[i]
		}
	}
}

func (b *body) instruction(i instruction) {
	b.check(i)
	switch i.op {
	case opBlock:
		b.scopes = append(b.scopes, scope{})
	case opIf:
		b.out = append(b.out, i.text...)
		b.scopes = append(b.scopes, scope{})
		b.begin()
		return
	case opElse:
		b.out = append(b.out, i.text...)
		b.begin()
		return
	case opLoop:
		b.out = append(b.out, i.text...)
		b.scopes = append(b.scopes, scope{priced: true, price: priceTurn + b.next(), hole: b.charge()})
		return
	case opEnd:
		last := b.scopes[len(b.scopes)-1]
		if last.priced {
			b.fill(last)
		}
		if b.scopes = b.scopes[:len(b.scopes)-1]; len(b.scopes) == 0 {
			b.leave()
			return
		}
		b.out = append(b.out, i.text...)
		b.begin()
		return
	case opReturn:
		if b.calls {
			b.op(opBr, uint32(len(b.scopes)-1))
			return
		}
	case opMisc:
		switch i.misc {
		case miscMemoryInit, miscMemoryCopy, miscMemoryFill:
			b.chargeLength()
		}
	}
	b.out = append(b.out, i.text...)
}

// check refuses what would reach the meter's own globals and locals.
func (b *body) check(i instruction) {
	switch i.op {
	case opGlobalGet, opGlobalSet:
		if i.index >= b.m.globals {
			b.r.fail("global %d is used, there are %d", i.index, b.m.globals)
		}
	case opLocalGet, opLocalSet, opLocalTee:
		if i.index >= b.locals {
			b.r.fail("local %d is used, there are %d", i.index, b.locals)
		}
	}
}

// price is what an instruction costs, lengths excepted.
func (b *body) price(i instruction) int64 {
	switch i.op {
	case opCall:
		if i.index < uint32(len(b.m.imports)) {
			return priceHost
		}
	case opCallIndirect:
		if len(b.m.imports) > 0 {
			return priceHost / 10 // an imported function may stand in the table
		}
	case opMemoryGrow:
		return priceGrow
	}
	return 1
}

// initial is a mutable global of a type with its first value.
func initial(b []byte, valType, constant byte, v int64) []byte {
	return append(appendS64(append(b, valType, mutable, constant), v), opEnd)
}

// header is how a module begins: its magic number, and version 1.
func header() []byte { return binary.LittleEndian.AppendUint32([]byte("\x00asm"), 1) }
