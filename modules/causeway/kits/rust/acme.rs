//! The protocol acme in Rust. A frame is a length of 16 bits, a type, a body, and the exclusive or of type and body; the
//! length counts what follows it.

#![no_std]

mod causeway;

use causeway::{Command, Error, Outcome, Split};

const LOGIN: u8 = 0x01;
const DATA: u8 = 0x02;
const HEARTBEAT: u8 = 0x03;
const INTERVAL: u8 = 0x04;
const ANSWER: u8 = 0x80;

const HEAD: usize = 2;
const MOST_DEVICE: usize = 20;
const DATA_HEAD: usize = 3;
const RECORD: usize = 9;
const MOST_CORRELATION: usize = 64;

struct Acme {
    known: bool, // the device has logged in
    waiting: [u8; MOST_CORRELATION], // correlation of the command that waits
    waiting_length: usize,
}

codec!(Acme);

fn xor(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |x, b| x ^ b)
}

fn u16be(b: &[u8]) -> u16 {
    u16::from_be_bytes([b[0], b[1]])
}

fn frame(out: &mut Outcome, tag: u8, kind: u8, body: &[u8]) {
    out.record(tag, |out| {
        out.put(&(body.len() as u16 + 2).to_be_bytes());
        out.put(&[kind]);
        out.put(body);
        out.put(&[kind ^ xor(body)]);
    });
}

impl causeway::Codec for Acme {
    const NEW: Acme = Acme { known: false, waiting: [0; MOST_CORRELATION], waiting_length: 0 };
    const SPLITS: bool = true;

    fn split(&mut self, data: &[u8], _: bool) -> Result<Split, Error> {
        if data.len() < HEAD {
            return Ok(Split::More);
        }
        let n = u16be(data) as usize;
        if data.len() < HEAD + n {
            return Ok(Split::More);
        }
        Ok(Split::Frame(0, HEAD + n, HEAD + n))
    }

    fn receive(&mut self, frame: &[u8], _: i64, out: &mut Outcome) -> Result<(), Error> {
        if frame.len() < HEAD + 2 || u16be(frame) as usize != frame.len() - HEAD {
            return Err(Error::Malformed("frame does not fit its length"));
        }
        if xor(&frame[HEAD..]) != 0 {
            return Err(Error::Malformed("checksum is wrong"));
        }
        let body = &frame[HEAD + 1..frame.len() - 1];
        match frame[HEAD] {
            LOGIN => self.login(body, out),
            DATA => self.data(body, out),
            HEARTBEAT if body.is_empty() => {
                self::frame(out, causeway::REPLY, HEARTBEAT | ANSWER, body);
                Ok(())
            }
            HEARTBEAT => Err(Error::Malformed("heartbeat with a body")),
            kind if kind == INTERVAL | ANSWER => self.answered(body, out),
            _ => Err(Error::Malformed("type is unknown")),
        }
    }

    fn command(&mut self, command: &Command, out: &mut Outcome) -> Result<(), Error> {
        if command.name != b"interval" {
            return Err(Error::UnknownCommand);
        }
        if self.waiting_length > 0 {
            return Err(Error::Busy);
        }
        let seconds = match causeway::json_member(command.payload, "seconds") {
            Some(seconds @ 1..=65535) => seconds as u16,
            _ => return Err(Error::BadCommand("want {\"seconds\": 1 to 65535}")),
        };
        self.waiting_length = command.correlation.len();
        self.waiting[..self.waiting_length].copy_from_slice(command.correlation);
        frame(out, causeway::REPLY, INTERVAL, &seconds.to_be_bytes());
        Ok(())
    }

    fn resume(&mut self, _: &[u8]) {
        self.known = true;
    }
}

impl Acme {
    fn login(&mut self, body: &[u8], out: &mut Outcome) -> Result<(), Error> {
        if body.is_empty() || body.len() > MOST_DEVICE {
            return Err(Error::Malformed("device id is not 1 to 20 bytes long"));
        }
        if !body.iter().all(u8::is_ascii_graphic) {
            return Err(Error::Malformed("device id is not ASCII"));
        }
        self.known = true;
        out.record(causeway::DEVICE, |out| out.put(body));
        frame(out, causeway::ACCEPT, LOGIN | ANSWER, &[1]);
        frame(out, causeway::REFUSE, LOGIN | ANSWER, &[0]);
        Ok(())
    }

    fn data(&mut self, body: &[u8], out: &mut Outcome) -> Result<(), Error> {
        if !self.known {
            return Err(Error::Protocol("data before login"));
        }
        if body.len() < DATA_HEAD || body.len() != DATA_HEAD + RECORD * body[2] as usize {
            return Err(Error::Malformed("data does not fit its records"));
        }
        for r in body[DATA_HEAD..].chunks_exact(RECORD) {
            let flag = |mask: u8| if r[8] & mask != 0 { "true" } else { "false" };
            out.record(causeway::JSON, |out| {
                out.text("{\"seq\":");
                out.number(u16be(body) as i64, 0);
                out.text(",\"temperature\":");
                out.number(u16be(&r[4..]) as i16 as i64, 1);
                out.text(",\"battery\":");
                out.number(u16be(&r[6..]) as i64, 3);
                out.text(",\"door\":");
                out.text(flag(1));
                out.text(",\"motion\":");
                out.text(flag(2));
                out.text("}");
            });
            out.time(u32::from_be_bytes([r[0], r[1], r[2], r[3]]) as i64);
            out.property("kind", if r[8] & 2 != 0 { "alarm" } else { "reading" });
        }
        frame(out, causeway::ACK, DATA | ANSWER, &body[..2]);
        Ok(())
    }

    fn answered(&mut self, body: &[u8], out: &mut Outcome) -> Result<(), Error> {
        if body.len() != 1 || self.waiting_length == 0 {
            return Err(Error::Malformed("answer to no command"));
        }
        out.record(causeway::RESULT, |out| out.put(&self.waiting[..self.waiting_length]));
        self.waiting_length = 0;
        if body[0] == 0 {
            out.record(causeway::PAYLOAD, |out| out.text("{\"ok\":true}"));
            return Ok(());
        }
        out.record(causeway::REFUSAL, |out| {
            out.text("device refused: ");
            out.number(body[0] as i64, 0);
        });
        Ok(())
    }
}

/// The example that the gateway plays when it loads the module.
#[link_section = "codec.example.day"]
#[used]
pub static DAY: [u8; include_bytes!("../go/acme/testdata/day.txtar").len()] = *include_bytes!("../go/acme/testdata/day.txtar");
