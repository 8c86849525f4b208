//! Sessions of every kind, as their clients have them.

use serde_json::Value;
use switchback::seal::{KeyRing, Label, Pin};

use super::model::Versioned;
use crate::support::random::Random;
use crate::support::{Client, Response};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#;
const SEND_MESSAGE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}"#;
/// A frame of one byte, as clients send it.
const FRAME: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'?'];

/// The kind of a session; its route has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Header,
    Cookie,
    Mcp,
    A2a,
}

/// A session: an id, and the release that the proxy has pinned it to.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) kind: Kind,
    /// The id that the client knows.
    pub(super) id: String,
    /// The id that the agent has handed out.
    pub(super) inner: String,
    pub(super) pin: Versioned,
    /// The pin that the id itself holds.
    pub(super) sealed: Versioned,
    /// True if the proxy remembers what is in no seal: a learned id, or the start of a session.
    pub(super) is_remembered: bool,
}

/// A WebSocket.
pub(super) struct Tunnel {
    client: Client,
    pub(super) agent: String,
    pub(super) release: Versioned,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Header, Self::Cookie, Self::Mcp, Self::A2a];

    pub(super) fn route(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
        }
    }

    /// The lines of its route.
    pub(super) fn lines(self) -> &'static str {
        match self {
            Self::Header => "pins = [{ header = \"x-session\" }]\n",
            Self::Cookie => "pins = [{ cookie = \"agent_sid\" }]\n",
            Self::Mcp => "agent_protocol = \"mcp\"\n",
            Self::A2a => "agent_protocol = \"a2a\"\n",
        }
    }

    fn label(self) -> Option<Label> {
        match self {
            Self::Header => Some(Label::pin_header("x-session")),
            Self::Cookie => Some(Label::pin_cookie("agent_sid")),
            Self::Mcp => Some(Label::pin_header("mcp-session-id")),
            Self::A2a => None,
        }
    }

    /// Sends the request that begins a session.
    pub(super) fn begin(self, client: &mut Client) -> Response {
        match self {
            Self::Header | Self::Cookie => get(client, &format!("/{}/", self.route()), ""),
            Self::Mcp => post(client, "/mcp/", "", INITIALIZE),
            Self::A2a => post(client, "/a2a/", "", SEND_MESSAGE),
        }
    }

    /// Sends a request with an id.
    pub(super) fn ask(self, client: &mut Client, id: &str) -> Response {
        match self {
            Self::Header => get(client, "/header/", &format!("X-Session: {id}\r\n")),
            Self::Cookie => get(client, "/cookie/", &format!("Cookie: agent_sid={id}\r\n")),
            Self::Mcp => post(client, "/mcp/", &format!("Mcp-Session-Id: {id}\r\n"), CALL),
            Self::A2a => get(client, &format!("/a2a/tasks/{id}"), ""),
        }
    }

    /// The id in a response: as the client sees it.
    pub(super) fn id_in(self, response: &Response) -> Option<String> {
        match self {
            Self::Header => response.value("x-session").map(ToOwned::to_owned),
            Self::Cookie => {
                let cookie = response.value("set-cookie")?;
                cookie.strip_prefix("agent_sid=").map(ToOwned::to_owned)
            }
            Self::Mcp => response.value("mcp-session-id").map(ToOwned::to_owned),
            Self::A2a => {
                let message: Value = serde_json::from_slice(&response.body).ok()?;
                message["result"]["task"]["id"]
                    .as_str()
                    .map(ToOwned::to_owned)
            }
        }
    }
}

impl Session {
    /// The rest of the beginning: a client of MCP says that it is ready.
    pub(super) fn is_ready(&self, client: &mut Client) -> bool {
        if self.kind != Kind::Mcp {
            return true;
        }
        let fields = format!(
            "Mcp-Session-Id: {}\r\nMcp-Protocol-Version: 2025-06-18\r\n",
            self.id
        );
        post(client, "/mcp/", &fields, INITIALIZED).status == 202
    }

    /// The restart of the proxy: what is in no seal is forgotten.
    pub(super) fn forget(&mut self) {
        self.is_remembered = false;
        self.pin = self.sealed.clone();
    }

    /// The id, altered; nothing if this kind has no seals.
    pub(super) fn forged(&self, random: &mut Random) -> Option<String> {
        let label = self.kind.label()?;
        let mut text = self.id.clone().into_bytes();
        // Behind `sb1.`
        let place = |random: &mut Random, length: usize| {
            4 + usize::try_from(random.below(length as u64 - 4)).unwrap()
        };
        match random.below(5) {
            0 => text.truncate(place(random, self.id.len())),
            1 => text.push(b'A'),
            2 => return sealed_by_another(&label, &self.inner),
            _ => {
                let place = place(random, self.id.len());
                text[place] = flipped(text[place], random);
            }
        }
        String::from_utf8(text).ok()
    }
}

/// Another character of the alphabet of seals, one bit of its value apart.
fn flipped(character: u8, random: &mut Random) -> u8 {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = ALPHABET.iter().position(|one| *one == character).unwrap();
    ALPHABET[value ^ (1 << random.below(6))]
}

/// A seal that somebody makes who knows everything but the key.
fn sealed_by_another(label: &Label, id: &str) -> Option<String> {
    let ring = KeyRing::new(&["a-key-that-is-not-the-key-of-this-proxy"]).unwrap()?;
    let pin = Pin {
        issued: u32::MAX,
        release: 0,
        endpoint: "127.0.0.1:1".parse().unwrap(),
        id: id.as_bytes(),
    };
    Some(pin.seal(&ring, label)?.as_str().to_owned())
}

impl Tunnel {
    /// Opens a WebSocket; the release is for the caller to say. Nothing if the proxy could not.
    pub(super) fn open(mut client: Client) -> Option<Self> {
        client.send(
            "GET /socket/ HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        );
        if client.response().status != 101 {
            return None;
        }
        let mut tunnel = Self {
            client,
            agent: String::new(),
            release: Versioned::default(),
        };
        tunnel.agent = tunnel.exchange();
        Some(tunnel)
    }

    /// The agent that answers a message.
    pub(super) fn exchange(&mut self) -> String {
        self.client.send(FRAME);
        let head = self.client.read_exact(2);
        assert_eq!(head[0], 0x81, "a text, and no end");
        String::from_utf8(self.client.read_exact(head[1].into())).unwrap()
    }

    /// It was cut: the close frame says that the service restarts.
    pub(super) fn assert_cut(mut self) {
        assert_eq!(self.client.read_exact(4), [0x88, 2, 3, 0xf4]);
        assert!(self.client.is_closed());
    }

    /// It has ended with its agent or its proxy.
    pub(super) fn assert_ended(mut self) {
        assert!(self.client.is_closed(), "without another message");
    }
}

fn get(client: &mut Client, path: &str, fields: &str) -> Response {
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"
    ));
    client.response()
}

fn post(client: &mut Client, path: &str, fields: &str, body: &str) -> Response {
    let length = body.len();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    ));
    client.response()
}
