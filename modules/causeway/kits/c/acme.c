/* The protocol acme in C. A frame is a length of 16 bits, a type, a body, and the exclusive or of type and body; the
 * length counts what follows it. */
#include "causeway.h"

enum { LOGIN = 0x01, DATA = 0x02, HEARTBEAT = 0x03, INTERVAL = 0x04, ANSWER = 0x80 };
enum { HEAD = 2, MOST_DEVICE = 20, DATA_HEAD = 3, RECORD = 9, MOST_CORRELATION = 64 };

/* One instance is one link. */
static i32 known;                 /* the device has logged in */
static u8 waiting[MOST_CORRELATION]; /* correlation of the command that waits */
static u32 waiting_length;

static u8 xor (const u8 *b, u32 n) {
	u8 x = 0;
	for (u32 i = 0; i < n; i++) x ^= b[i];
	return x;
}

static void frame(u8 tag, u8 type, const u8 *body, u32 n) {
	cw_open(tag);
	cw_byte((u8)((n + 2) >> 8));
	cw_byte((u8)(n + 2));
	cw_byte(type);
	cw_bytes(body, n);
	cw_byte(type ^ xor(body, n));
	cw_close();
}

const u8 *codec_split(u32 dialogue, const u8 *data, u32 length, u32 at_eof) {
	cw_start();
	if (length < HEAD) return 0;
	u32 n = cw_u16be(data);
	return length < HEAD + n ? 0 : cw_frame(0, HEAD + n, HEAD + n);
}

static const u8 *login(const u8 *body, u32 n) {
	if (n < 1 || n > MOST_DEVICE) return cw_error(CW_MALFORMED, "device id is not 1 to 20 bytes long");
	for (u32 i = 0; i < n; i++)
		if (body[i] <= ' ' || body[i] > '~') return cw_error(CW_MALFORMED, "device id is not ASCII");
	known = 1;
	cw_record(CW_DEVICE, body, n);
	frame(CW_ACCEPT, LOGIN | ANSWER, (const u8[]){1}, 1);
	frame(CW_REFUSE, LOGIN | ANSWER, (const u8[]){0}, 1);
	return cw_result();
}

static const u8 *data(const u8 *body, u32 n) {
	if (!known) return cw_error(CW_PROTOCOL, "data before login");
	if (n < DATA_HEAD || n != DATA_HEAD + RECORD * (u32)body[2]) return cw_error(CW_MALFORMED, "data does not fit its records");
	for (const u8 *r = body + DATA_HEAD; r < body + n; r += RECORD) {
		cw_open(CW_JSON);
		cw_text("{\"seq\":");
		cw_number(cw_u16be(body), 0);
		cw_text(",\"temperature\":");
		cw_number((i16)cw_u16be(r + 4), 1);
		cw_text(",\"battery\":");
		cw_number(cw_u16be(r + 6), 3);
		cw_text(r[8] & 1 ? ",\"door\":true" : ",\"door\":false");
		cw_text(r[8] & 2 ? ",\"motion\":true}" : ",\"motion\":false}");
		cw_close();
		cw_time(cw_u32be(r));
		cw_property("kind", r[8] & 2 ? "alarm" : "reading");
	}
	frame(CW_ACK, DATA | ANSWER, body, 2);
	return cw_result();
}

static const u8 *answered(const u8 *body, u32 n) {
	if (n != 1 || waiting_length == 0) return cw_error(CW_MALFORMED, "answer to no command");
	cw_record(CW_RESULT, waiting, waiting_length);
	waiting_length = 0;
	if (body[0] == 0) {
		cw_record(CW_PAYLOAD, "{\"ok\":true}", 11);
		return cw_result();
	}
	cw_open(CW_REFUSAL);
	cw_text("device refused: ");
	cw_number(body[0], 0);
	cw_close();
	return cw_result();
}

const u8 *codec_receive(u32 dialogue, i64 at, const u8 *f, u32 n) {
	cw_start();
	if (n < HEAD + 2 || cw_u16be(f) != n - HEAD) return cw_error(CW_MALFORMED, "frame does not fit its length");
	if (xor(f + HEAD, n - HEAD) != 0) return cw_error(CW_MALFORMED, "checksum is wrong");
	const u8 *body = f + HEAD + 1;
	u32 length = n - HEAD - 2;
	switch (f[HEAD]) {
	case LOGIN:
		return login(body, length);
	case DATA:
		return data(body, length);
	case HEARTBEAT:
		if (length != 0) return cw_error(CW_MALFORMED, "heartbeat with a body");
		frame(CW_REPLY, HEARTBEAT | ANSWER, body, 0);
		return cw_result();
	case INTERVAL | ANSWER:
		return answered(body, length);
	default:
		return cw_error(CW_MALFORMED, "type is unknown");
	}
}

const u8 *codec_command(u32 dialogue, const u8 *command, u32 length) {
	cw_start();
	u32 name_length, payload_length, id_length, seconds;
	const u8 *id = cw_find(command, length, 1, &id_length);
	const u8 *name = cw_find(command, length, 2, &name_length);
	const u8 *payload = cw_find(command, length, 3, &payload_length);
	if (!cw_equal(name, name_length, "interval")) return cw_error(CW_UNKNOWN_COMMAND, "");
	if (waiting_length > 0) return cw_error(CW_BUSY, "");
	if (!cw_json_member(payload, payload_length, "seconds", &seconds) || seconds < 1 || seconds > 65535 ||
	    id_length > MOST_CORRELATION)
		return cw_error(CW_BAD_COMMAND, "want {\"seconds\": 1 to 65535}");
	for (waiting_length = 0; waiting_length < id_length; waiting_length++) waiting[waiting_length] = id[waiting_length];
	frame(CW_REPLY, INTERVAL, (const u8[]){(u8)(seconds >> 8), (u8)seconds}, 2);
	return cw_result();
}

const u8 *codec_resume(u32 dialogue, const u8 *device, u32 length) {
	known = 1;
	return 0;
}

/* The examples that the gateway plays when it loads the module. */
#ifdef EXAMPLE
__asm__(".section .custom_section.codec.example.day,\"\",@\n.incbin \"" EXAMPLE "\"\n");
#endif
