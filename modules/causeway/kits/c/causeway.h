/* causeway.h: everything that a codec in C needs to become a module, in one header without a C library.
 *
 *   clang --target=wasm32 -O2 -nostdlib -mbulk-memory -Wl,--no-entry -Wl,-z,stack-size=16384 -o acme.wasm acme.c
 *
 * An instance of the module is one link, so state is kept in static variables. A function of the codec calls the
 * cw_ functions in order and returns cw_result(). What they write is described in docs/codecs/wasm-abi.md.
 * Include it once: it defines codec_abi and codec_alloc. */
#ifndef CAUSEWAY_H
#define CAUSEWAY_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef short i16;
typedef int i32;
typedef long long i64;

/* CW_OUTPUT is the longest outcome in bytes, with 4 bytes for each record. Define it before for more. */
#ifndef CW_OUTPUT
#define CW_OUTPUT 16384
#endif

#define CW_EXPORT(name) __attribute__((export_name(#name)))

/* The functions that a codec exports. The first is needed; without one of the others the gateway does without. */
CW_EXPORT(codec_receive) const u8 *codec_receive(u32 dialogue, i64 at, const u8 *frame, u32 length);
CW_EXPORT(codec_configure) const u8 *codec_configure(const u8 *options, u32 length);
CW_EXPORT(codec_begin) const u8 *codec_begin(u32 dialogue, const u8 *peer, u32 length);
CW_EXPORT(codec_split) const u8 *codec_split(u32 dialogue, const u8 *data, u32 length, u32 at_eof);
CW_EXPORT(codec_command) const u8 *codec_command(u32 dialogue, const u8 *command, u32 length);
CW_EXPORT(codec_tick) const u8 *codec_tick(u32 dialogue, i64 now);
CW_EXPORT(codec_resume) const u8 *codec_resume(u32 dialogue, const u8 *device, u32 length);

/* Tags of records. */
enum {
	CW_ERROR = 1, CW_DEVICE = 2, CW_SECRET = 3, CW_ACCEPT = 4, CW_REFUSE = 5, CW_REPLY = 6, CW_ACK = 7, CW_NAK = 8,
	CW_CLOSE = 9, CW_MESSAGE = 16, CW_MESSAGE_DEVICE = 17, CW_CONTENT_TYPE = 18, CW_ENCODING = 19, CW_TIME = 20,
	CW_PROPERTY = 21, CW_JSON = 22, CW_RESULT = 32, CW_PAYLOAD = 33, CW_REFUSAL = 34, CW_FRAME = 48, CW_SKIP = 49,
};

/* Kinds of errors. */
enum {
	CW_MALFORMED = 1,       /* this frame is bad, the link goes on */
	CW_PROTOCOL = 2,        /* the link is closed */
	CW_REFUSED = 3,         /* the device may not come in */
	CW_UNKNOWN_COMMAND = 4, /* there is no such command */
	CW_BAD_COMMAND = 5,     /* its payload does not fit */
	CW_BUSY = 6,            /* an earlier command has to be answered first */
};

/* A record is written in place: its head is filled in when it is closed. */
static struct {
	u32 length;
	u8 bytes[CW_OUTPUT];
} cw_out;
static u32 cw_record_at;

void *memcpy(void *to, const void *from, unsigned long n) {
	u8 *t = to;
	const u8 *f = from;
	while (n--) *t++ = *f++;
	return to;
}

void *memset(void *to, int c, unsigned long n) {
	u8 *t = to;
	while (n--) *t++ = (u8)c;
	return to;
}

/* An outcome that is too long ends the link: the module stops here. */
static void cw_byte(u8 b) {
	if (cw_out.length >= CW_OUTPUT) __builtin_trap();
	cw_out.bytes[cw_out.length++] = b;
}

static void cw_bytes(const void *bytes, u32 n) {
	if (n > CW_OUTPUT - cw_out.length) __builtin_trap();
	for (u32 i = 0; i < n; i++) cw_out.bytes[cw_out.length + i] = ((const u8 *)bytes)[i];
	cw_out.length += n;
}

static u32 cw_strlen(const char *s) {
	u32 n = 0;
	while (s[n]) n++;
	return n;
}

static void cw_text(const char *s) { cw_bytes(s, cw_strlen(s)); }

static void cw_u32le(u32 v) {
	for (i32 i = 0; i < 4; i++, v >>= 8) cw_byte((u8)v);
}

/* cw_open begins a record; what is written until cw_close is in it. */
static void cw_open(u8 tag) {
	cw_record_at = cw_out.length;
	cw_u32le(tag);
}

static void cw_close(void) {
	u32 n = cw_out.length - cw_record_at - 4;
	for (i32 i = 1; i < 4; i++, n >>= 8) cw_out.bytes[cw_record_at + i] = (u8)n;
}

/* cw_record writes a whole record. */
static void cw_record(u8 tag, const void *bytes, u32 n) {
	cw_open(tag);
	cw_bytes(bytes, n);
	cw_close();
}

/* cw_property sets a property of the last message. */
static void cw_property(const char *name, const char *value) {
	cw_open(CW_PROPERTY);
	cw_byte((u8)cw_strlen(name));
	cw_text(name);
	cw_text(value);
	cw_close();
}

/* cw_time sets the time of the last message, in Unix seconds. */
static void cw_time(i64 seconds) {
	u64 v = (u64)(seconds * 1000000000LL);
	cw_open(CW_TIME);
	for (i32 i = 0; i < 8; i++, v >>= 8) cw_byte((u8)v);
	cw_close();
}

/* cw_number writes v / 10^decimals as JSON does: no zeros at the end. */
static void cw_number(i64 v, i32 decimals) {
	u8 digits[20];
	i32 n = 0;
	u64 u = v < 0 ? -(u64)v : (u64)v;
	while (decimals > 0 && u % 10 == 0) u /= 10, decimals--;
	do digits[n++] = (u8)('0' + u % 10);
	while ((u /= 10) > 0);
	while (n <= decimals) digits[n++] = '0';
	if (v < 0) cw_byte('-');
	while (n-- > 0) {
		cw_byte(digits[n]);
		if (n == decimals && n > 0) cw_byte('.');
	}
}

/* cw_result is what a function of the codec returns at its end. */
static const u8 *cw_result(void) { return cw_out.length == 0 ? 0 : (const u8 *)&cw_out; }

/* cw_error ends a function with an error; nothing written before counts but the answer to the device. */
static const u8 *cw_error(u8 kind, const char *text) {
	cw_open(CW_ERROR);
	cw_byte(kind);
	cw_text(text);
	cw_close();
	return cw_result();
}

/* cw_start is called first by each function of the codec. */
static void cw_start(void) { cw_out.length = 0; }

/* cw_frame says where the next frame is: bytes to leave out before it, its length, bytes to consume. */
static const u8 *cw_frame(u32 skip, u32 length, u32 consume) {
	cw_open(CW_FRAME);
	cw_u32le(skip);
	cw_u32le(length);
	cw_u32le(consume);
	cw_close();
	return cw_result();
}

/* cw_find returns the bytes of a record that the gateway handed in (1 correlation, 2 name, 3 payload of a command). */
static const u8 *cw_find(const u8 *records, u32 length, u8 tag, u32 *n) {
	for (u32 at = 0; at + 4 <= length;) {
		u32 size = records[at + 1] | records[at + 2] << 8 | records[at + 3] << 16;
		if (records[at] == tag && size <= length - at - 4) {
			*n = size;
			return records + at + 4;
		}
		at += 4 + size;
	}
	*n = 0;
	return 0;
}

static i32 cw_equal(const u8 *bytes, u32 n, const char *text) {
	if (n != cw_strlen(text)) return 0;
	for (u32 i = 0; i < n; i++)
		if (bytes[i] != (u8)text[i]) return 0;
	return 1;
}

/* cw_json_member reads {"name": integer}, an object with that member alone. It returns 0 where it is anything else. */
static i32 cw_json_member(const u8 *json, u32 n, const char *name, u32 *value) {
	u32 at = 0, digits = 0, length = cw_strlen(name);
	u64 v = 0;
#define CW_SPACE() while (at < n && (json[at] == ' ' || json[at] == '\t' || json[at] == '\n' || json[at] == '\r')) at++
#define CW_WANT(c) CW_SPACE(); if (at >= n || json[at++] != (c)) return 0
	CW_WANT('{');
	CW_WANT('"');
	if (at + length > n || !cw_equal(json + at, length, name)) return 0;
	at += length;
	if (at >= n || json[at++] != '"') return 0;
	CW_WANT(':');
	CW_SPACE();
	for (; at < n && json[at] >= '0' && json[at] <= '9' && digits < 10; digits++) v = v * 10 + (json[at++] - '0');
	if (digits == 0 || v > 0xffffffffu) return 0;
	CW_WANT('}');
	CW_SPACE();
	*value = (u32)v;
	return at == n;
#undef CW_SPACE
#undef CW_WANT
}

static u16 cw_u16be(const u8 *b) { return (u16)(b[0] << 8 | b[1]); }
static u32 cw_u32be(const u8 *b) { return (u32)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]; }

/* The interface: version 1, one instance for each link. */
CW_EXPORT(codec_abi) u32 codec_abi(void) { return 1; }

/* Memory for what the gateway hands in. It asks again only for more, and then the old one is not used any more. */
extern u8 __heap_base;
CW_EXPORT(codec_alloc) u8 *codec_alloc(u32 size) {
	static u32 top;
	if (top == 0) top = ((u32)&__heap_base + 7) & ~7u;
	u32 at = top, pages = (at + size + 65535) / 65536, have = (u32)__builtin_wasm_memory_size(0);
	if (at + size < at) return 0;
	if (pages > have && __builtin_wasm_memory_grow(0, pages - have) == (unsigned long)-1) return 0;
	top = at + size;
	return (u8 *)at;
}

#endif
