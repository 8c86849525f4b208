//! Sealed texts: session ids, preview tokens and stamps of answers that only a holder of the keys can have made.
//!
//! A text is `sb1.` and then, in base64url without padding, the id of the key (4 bytes), a nonce (12), and the content
//! under AES-256-GCM with its tag (16). All of it is visible ASCII that is legal in a header field and in a cookie. What
//! the text is for is associated data ([`Label`]): a text made for one field opens in no other.
//!
//! Everything here is pure: no clock, no random numbers, no files, and no allocation for opening or sealing.

mod keys;
mod label;
mod pin;
mod preview;
mod shared_keys;
mod stamp;

pub use self::{
    keys::{Content, KeyRing, LONGEST_CONTENT, OpenError, Sealed, WeakSecret, is_sealed},
    label::Label,
    pin::{LONGEST_ID, Pin},
    preview::Preview,
    shared_keys::SharedKeys,
    stamp::Stamp,
};
