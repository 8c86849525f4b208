//! Sealed ids: nothing that a client makes up opens, and what opens seals to the same text.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use switchback_fuzz::seal::{Content, KeyRing, Label, Pin, Preview};

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let secrets = ["an-old-secret-of-a-fuzzed-proxy-1", "a-new-secret-of-a-fuzzed-proxy-2"];
    KeyRing::new(&secrets).expect("they are long").expect("there are two")
});

fuzz_target!(|data: &[u8]| {
    let label = Label::pin_header("mcp-session-id");
    let text = [b"sb1.", data].concat();
    let mut content = Content::default();
    for text in [data, &text] {
        assert!(Pin::open(&RING, &label, text, &mut content).is_err());
        assert!(Preview::open(&RING, &label, text, &mut content).is_err());
    }
    let pin = Pin { issued: 7, release: 8, endpoint: ([127, 0, 0, 1], 9).into(), id: data };
    if let Some(sealed) = pin.seal(&RING, &label) {
        assert_eq!(Pin::open(&RING, &label, &sealed, &mut content), Ok(pin));
        assert_eq!(*pin.seal(&RING, &label).expect("it was sealed before"), *sealed);
    }
});
