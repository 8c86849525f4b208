//! WebSocket handshake keys over HTTP/1.1 (RFC 6455, section 4.2.2): proof that an endpoint has
//! understood the handshake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

/// Value of `Sec-WebSocket-Accept`.
pub type Accept = [u8; 28];

/// Value of `Sec-WebSocket-Key`.
pub type Key = [u8; 24];

const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Accept value for a key.
pub fn accept(key: &[u8]) -> Accept {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(MAGIC);
    let mut text = [0; 28];
    encode(hash.finish().as_ref(), &mut text);
    text
}

/// Key from sixteen random bytes.
pub fn key(random: u128) -> Key {
    let mut text = [0; 24];
    encode(&random.to_be_bytes(), &mut text);
    text
}

fn encode(bytes: &[u8], text: &mut [u8]) {
    let length = text.len();
    let written = STANDARD.encode_slice(bytes, text);
    debug_assert_eq!(written.ok(), Some(length));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_answers_are_those_of_the_specification() {
        let given = b"dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(&accept(given), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(&key(u128::from_be_bytes(*b"the sample nonce")), given);
    }
}
