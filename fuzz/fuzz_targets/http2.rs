//! An HTTP/2 connection in either role, with any bytes from its peer and any calls of the code that serves its streams.

#![no_main]

use std::task::{Context, Waker};

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::http2::hpack::Encoder;
use switchback_fuzz::http2::{BudgetLimits, Code, Connection, Key, PREFACE, Role, Settings};

/// Limits that small inputs reach.
const OWN: Settings = Settings {
    streams: 4,
    pending_resets: 2,
    local_resets: 8,
    stream_window: 1_024,
    connection_window: 65_535,
    frame: 16_384,
    header_list: 2_048,
    informational: 100,
    trailers: 256,
    fields: 20,
    header_table: 4_096,
    send_buffer_max: 2_048,
};
const BUDGET: BudgetLimits = BudgetLimits {
    leave: 20,
    close: 40,
    window_ms: 1_000,
};
const FRAME_HEAD: usize = 9;
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// The application of the streams, and the socket.
struct User {
    connection: Connection,
    held: Vec<Key>,
    sent: Vec<u8>,
    heads: usize,
    dice: u32,
}

fuzz_target!(|data: &[u8]| {
    let [options, seed, peer @ ..] = data else {
        return;
    };
    let (role, start) = match options & 1 {
        0 => (Role::Server, [PREFACE, SETTINGS].concat()),
        _ => (Role::Client, SETTINGS.to_vec()),
    };
    let bytes = match options & 2 {
        0 => [&start, peer].concat(),
        _ => peer.to_vec(),
    };
    let mut user = User {
        connection: Connection::new(role, OWN, BUDGET),
        held: Vec::new(),
        sent: Vec::new(),
        heads: 0,
        dice: u32::from(*seed) + 1,
    };
    let step = usize::from(options >> 2) * 4 + 1;
    let mut have = Vec::new();
    for (turn, part) in bytes.chunks(step).enumerate() {
        have.extend_from_slice(part);
        match user.connection.receive(&have, turn as u64) {
            Ok(taken) => drop(have.drain(..taken)),
            Err(broken) => {
                assert_eq!(user.connection.broken(), Some(broken));
                break;
            }
        }
        let is_full = user.connection.is_full();
        assert!(is_full || have.len() < FRAME_HEAD + OWN.frame as usize);
        user.act(role);
        let most = 2 * OWN.send_buffer_max + 64 * (user.heads + step) + 4_096;
        assert!(user.connection.outgoing().len() <= most);
    }
    user.end();
});

impl User {
    fn roll(&mut self, sides: u32) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        self.dice % sides
    }

    fn act(&mut self, role: Role) {
        while let Some((key, head)) = self.connection.accept() {
            assert!(head.is_too_long() || !head.request().method.is_empty());
            self.held.push(key);
        }
        if role == Role::Client && self.roll(4) == 0 {
            self.ask();
        }
        if !self.held.is_empty() {
            let at = self.roll(u32::try_from(self.held.len()).expect("there are few")) as usize;
            self.serve(at);
        }
        if self.roll(3) == 0 {
            let all = self.connection.outgoing().len();
            let n = if self.roll(2) == 0 { all } else { all / 2 };
            self.sent
                .extend_from_slice(&self.connection.outgoing()[..n]);
            self.connection.sent(n);
        }
        if self.roll(64) == 0 {
            self.connection.graceful_shutdown();
        }
    }

    fn ask(&mut self) {
        let mut block = Vec::new();
        let mut encoder = Encoder::new(&mut block);
        assert!(encoder.method(b"GET") && encoder.scheme(b"http") && encoder.path(b"/"));
        let is_over = self.roll(2) == 0;
        self.heads += 1;
        if let Ok(key) = self.connection.open(&block, is_over) {
            self.held.push(key);
        }
    }

    fn serve(&mut self, at: usize) {
        let key = self.held[at];
        let cx = Context::from_waker(Waker::noop());
        match self.roll(8) {
            0 => {
                let _ = self.connection.poll_head(key, &cx);
            }
            1 | 2 => {
                let mut into = Vec::new();
                let _ = self.connection.poll_take(key, &cx, &mut into);
                assert!(into.len() <= 65_535);
                self.connection.release_capacity(key, into.len());
            }
            3 => {
                let mut block = Vec::new();
                Encoder::new(&mut block).status(200);
                let is_over = self.roll(4) == 0;
                self.heads += 1;
                let _ = self.connection.send_head(key, &block, is_over);
            }
            4 | 5 => {
                let mut data = &[0; 3_000][..self.roll(3_000) as usize];
                let is_last = self.roll(4) == 0;
                let _ = self.connection.poll_send(key, &cx, &mut data, is_last);
            }
            6 => {
                let length = u64::from(self.roll(64));
                if !self.connection.expect(key, length) {
                    self.connection.reset(key, Code::PROTOCOL_ERROR);
                }
            }
            _ => {
                self.held.swap_remove(at);
                self.connection.release(key, Code::CANCEL);
            }
        }
    }

    /// Releases everything; the output is complete frames, none longer than the peer's limit.
    fn end(mut self) {
        while let Some((key, _)) = self.connection.accept() {
            self.held.push(key);
        }
        for key in std::mem::take(&mut self.held) {
            self.connection.release(key, Code::CANCEL);
        }
        assert!(self.connection.is_idle());
        self.sent.extend_from_slice(self.connection.outgoing());
        let mut rest = self.sent.strip_prefix(PREFACE).unwrap_or(&self.sent);
        while let [a, b, c, _, ..] = rest {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            assert!(length <= 16_777_215 && rest.len() >= FRAME_HEAD + length);
            rest = &rest[FRAME_HEAD + length..];
        }
        assert!(rest.is_empty());
    }
}
