//! Everything that a codec in Rust needs to become a module: core only, no crates.
//!
//! ```sh
//! rustc --target wasm32-unknown-unknown --crate-type cdylib -C opt-level=2 -C panic=abort -o acme.wasm acme.rs
//! ```
//!
//! An instance of the module is one link: `codec!(Acme)` keeps one value of the type as its state. What an `Outcome`
//! writes is described in docs/codecs/wasm-abi.md.

#![allow(dead_code)]

/// What went wrong, and how the gateway takes it.
pub enum Error {
    /// This frame is bad, the link goes on.
    Malformed(&'static str),
    /// The link is closed.
    Protocol(&'static str),
    /// The device may not come in.
    Refused(&'static str),
    /// There is no such command.
    UnknownCommand,
    /// The payload does not fit the command.
    BadCommand(&'static str),
    /// An earlier command has to be answered first.
    Busy,
    /// The codec has no commands, or no timers.
    Unsupported,
}

/// What `split` found.
pub enum Split {
    /// The frame has not arrived as a whole.
    More,
    /// Bytes to leave out, the length of the frame, and bytes to consume.
    Frame(usize, usize, usize),
    /// Bytes to consume that are no frame.
    Skip(usize),
}

/// A command, as the gateway hands it in.
pub struct Command<'a> {
    pub correlation: &'a [u8],
    pub name: &'a [u8],
    pub payload: &'a [u8],
}

/// A codec: the state of one link.
pub trait Codec {
    /// The state of a link that begins.
    const NEW: Self;
    /// Decodes one frame. `at` is its time of arrival, in nanoseconds.
    fn receive(&mut self, frame: &[u8], at: i64, out: &mut Outcome) -> Result<(), Error>;
    /// Cuts the stream.
    fn split(&mut self, _data: &[u8], _at_eof: bool) -> Result<Split, Error> {
        Err(Error::Unsupported)
    }
    /// Whether `split` is used; without it the listener's framing is.
    const SPLITS: bool = false;
    /// Writes a command for the device into the reply.
    fn command(&mut self, _command: &Command, _out: &mut Outcome) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
    /// Is called about once a second.
    fn tick(&mut self, _now: i64, _out: &mut Outcome) -> Result<(), Error> {
        Ok(())
    }
    /// Says which device the frames are of, when they are decoded again outside of their link.
    fn resume(&mut self, _device: &[u8]) {}
}

/// The longest outcome in bytes. One that is longer ends the link.
pub const OUTPUT: usize = 16384;

const ERROR: u8 = 1;
const TIME: u8 = 20;
const PROPERTY: u8 = 21;

/// The tags of records that are written as they are.
pub const DEVICE: u8 = 2;
pub const SECRET: u8 = 3;
pub const ACCEPT: u8 = 4;
pub const REFUSE: u8 = 5;
pub const REPLY: u8 = 6;
pub const ACK: u8 = 7;
pub const NAK: u8 = 8;
pub const CLOSE: u8 = 9;
pub const MESSAGE: u8 = 16;
pub const MESSAGE_DEVICE: u8 = 17;
pub const CONTENT_TYPE: u8 = 18;
pub const ENCODING: u8 = 19;
pub const JSON: u8 = 22;
pub const RESULT: u8 = 32;
pub const PAYLOAD: u8 = 33;
pub const REFUSAL: u8 = 34;

/// What a frame, a command or a tick leads to: records, as they go to the gateway.
#[repr(C)]
pub struct Outcome {
    length: u32,
    bytes: [u8; OUTPUT],
}

impl Outcome {
    pub const EMPTY: Outcome = Outcome { length: 0, bytes: [0; OUTPUT] };

    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Writes a record; what `body` writes is in it.
    pub fn record(&mut self, tag: u8, body: impl FnOnce(&mut Outcome)) {
        let head = self.length as usize;
        self.put(&[tag, 0, 0, 0]);
        body(self);
        let n = self.length as usize - head - 4;
        self.bytes[head + 1..head + 4].copy_from_slice(&(n as u32).to_le_bytes()[..3]);
    }

    /// Writes bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        let at = self.length as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len() as u32;
    }

    /// Writes text.
    pub fn text(&mut self, text: &str) {
        self.put(text.as_bytes());
    }

    /// Writes value / 10^decimals as JSON does: no zeros at the end.
    pub fn number(&mut self, value: i64, mut decimals: usize) {
        let mut digits = [b'0'; 20];
        let mut rest = value.unsigned_abs();
        while decimals > 0 && rest % 10 == 0 {
            rest /= 10;
            decimals -= 1;
        }
        let mut n = 0;
        while rest > 0 || n <= decimals {
            digits[n] = b'0' + (rest % 10) as u8;
            rest /= 10;
            n += 1;
        }
        if value < 0 {
            self.put(b"-");
        }
        while n > 0 {
            n -= 1;
            self.put(&digits[n..n + 1]);
            if n == decimals && n > 0 {
                self.put(b".");
            }
        }
    }

    /// Sets a property of the last message.
    pub fn property(&mut self, name: &str, value: &str) {
        self.record(PROPERTY, |out| {
            out.put(&[name.len() as u8]);
            out.text(name);
            out.text(value);
        });
    }

    /// Sets the time of the last message, in Unix seconds.
    pub fn time(&mut self, seconds: i64) {
        self.record(TIME, |out| out.put(&(seconds * 1_000_000_000).to_le_bytes()));
    }

    fn error(&mut self, error: Error) {
        let (kind, text) = match error {
            Error::Malformed(text) => (1, text),
            Error::Protocol(text) => (2, text),
            Error::Refused(text) => (3, text),
            Error::UnknownCommand => (4, ""),
            Error::BadCommand(text) => (5, text),
            Error::Busy => (6, ""),
            Error::Unsupported => (7, ""),
        };
        self.record(ERROR, |out| {
            out.put(&[kind]);
            out.text(text);
        });
    }

    /// Closes the outcome; for the functions that `codec!` exports.
    pub fn finish(&mut self, result: Result<(), Error>) -> *const u8 {
        if let Err(error) = result {
            self.error(error);
        }
        if self.length == 0 {
            return core::ptr::null();
        }
        self as *const Outcome as *const u8
    }

    /// Writes what `split` found; for the functions that `codec!` exports.
    pub fn cut(&mut self, split: Split) {
        match split {
            Split::More => {}
            Split::Skip(n) => self.record(49, |out| out.put(&(n as u32).to_le_bytes())),
            Split::Frame(skip, length, consume) => self.record(48, |out| {
                for v in [skip, length, consume] {
                    out.put(&(v as u32).to_le_bytes());
                }
            }),
        }
    }
}

/// The bytes of a record that the gateway handed in.
pub fn find(records: &[u8], tag: u8) -> &[u8] {
    let mut rest = records;
    while rest.len() >= 4 {
        let n = u32::from_le_bytes([rest[1], rest[2], rest[3], 0]) as usize;
        if rest[0] == tag {
            return &rest[4..4 + n];
        }
        rest = &rest[4 + n..];
    }
    &[]
}

/// Reads `{"name": integer}`, an object with that member alone.
pub fn json_member(json: &[u8], name: &str) -> Option<u32> {
    let text = core::str::from_utf8(json).ok()?.trim();
    let text = text.strip_prefix('{')?.strip_suffix('}')?.trim();
    let text = text.strip_prefix('"')?.strip_prefix(name)?.strip_prefix('"')?;
    let text = text.trim_start().strip_prefix(':')?.trim_start();
    if !text.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Memory for what the gateway hands in. It asks again only for more, and then the old one is not used any more.
pub fn alloc(size: usize) -> *mut u8 {
    extern "C" {
        static __heap_base: u8;
    }
    static mut TOP: usize = 0;
    const PAGE: usize = 65536;
    // One thread runs, and nothing else takes memory.
    unsafe {
        if TOP == 0 {
            TOP = (&__heap_base as *const u8 as usize + 7) & !7;
        }
        let at = TOP;
        let pages = (at + size + PAGE - 1) / PAGE;
        let have = core::arch::wasm32::memory_size(0);
        if pages > have && core::arch::wasm32::memory_grow(0, pages - have) == usize::MAX {
            return core::ptr::null_mut();
        }
        TOP = at + size;
        at as *mut u8
    }
}

/// Makes the module of a codec.
#[macro_export]
macro_rules! codec {
    ($codec:ty) => {
        use $crate::causeway::Codec as _;

        static mut STATE: $codec = <$codec as $crate::causeway::Codec>::NEW;
        static mut OUT: $crate::causeway::Outcome = $crate::causeway::Outcome::EMPTY;

        /// Calls the codec with an empty outcome. One call runs at a time.
        fn step(
            call: impl FnOnce(&mut $codec, &mut $crate::causeway::Outcome) -> Result<(), $crate::causeway::Error>,
        ) -> *const u8 {
            unsafe {
                OUT.clear();
                let result = call(&mut STATE, &mut OUT);
                OUT.finish(result)
            }
        }

        /// What the gateway handed in.
        fn input<'a>(at: *const u8, length: usize) -> &'a [u8] {
            unsafe { core::slice::from_raw_parts(at, length) }
        }

        #[no_mangle]
        pub extern "C" fn codec_abi() -> u32 {
            const NO_SPLIT: u32 = 1 << 17;
            if <$codec as $crate::causeway::Codec>::SPLITS { 1 } else { 1 | NO_SPLIT }
        }

        #[no_mangle]
        pub extern "C" fn codec_alloc(size: usize) -> *mut u8 {
            $crate::causeway::alloc(size)
        }

        #[no_mangle]
        pub extern "C" fn codec_receive(_: u32, at: i64, frame: *const u8, length: usize) -> *const u8 {
            step(|codec, out| codec.receive(input(frame, length), at, out))
        }

        #[no_mangle]
        pub extern "C" fn codec_split(_: u32, data: *const u8, length: usize, at_eof: u32) -> *const u8 {
            step(|codec, out| {
                let split = codec.split(input(data, length), at_eof != 0)?;
                out.cut(split);
                Ok(())
            })
        }

        #[no_mangle]
        pub extern "C" fn codec_command(_: u32, command: *const u8, length: usize) -> *const u8 {
            let records = input(command, length);
            let command = $crate::causeway::Command {
                correlation: $crate::causeway::find(records, 1),
                name: $crate::causeway::find(records, 2),
                payload: $crate::causeway::find(records, 3),
            };
            step(|codec, out| codec.command(&command, out))
        }

        #[no_mangle]
        pub extern "C" fn codec_tick(_: u32, now: i64) -> *const u8 {
            step(|codec, out| codec.tick(now, out))
        }

        #[no_mangle]
        pub extern "C" fn codec_resume(_: u32, device: *const u8, length: usize) -> *const u8 {
            step(|codec, _| {
                codec.resume(input(device, length));
                Ok(())
            })
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo) -> ! {
            core::arch::wasm32::unreachable()
        }
    };
}
