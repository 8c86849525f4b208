//! An agent card whose URLs are replaced: nothing else in it differs afterwards, and no URL of an endpoint is left.

#![no_main]

use std::{net::SocketAddr, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use switchback_fuzz::model::{
    CardRewrite, EndpointUrl, PublicUrl, is_endpoint, rewrite_card,
};

static ENDPOINT: LazyLock<EndpointUrl> =
    LazyLock::new(|| "http://agent:9000".parse().expect("it is an endpoint"));
static PUBLIC: LazyLock<PublicUrl> =
    LazyLock::new(|| "https://agents.example".parse().expect("it is a URL"));

fn rewritten(card: &[u8]) -> CardRewrite {
    let address = SocketAddr::from(([10, 0, 0, 5], 9000));
    rewrite_card(card, &PUBLIC, |named| is_endpoint(named, &ENDPOINT, address))
}

/// Sets all strings in members of this name to null.
fn hide(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(members) => {
            for (name, value) in members {
                if name == "url" && value.is_string() {
                    *value = Value::Null;
                } else {
                    hide(value);
                }
            }
        }
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let CardRewrite::Rewritten(out) = rewritten(data) else {
        return;
    };
    assert_eq!(rewritten(&out), CardRewrite::Unchanged);
    // What is nested deeper than the library's limit is not compared.
    let (Ok(mut before), Ok(mut after)) = (
        serde_json::from_slice::<Value>(data),
        serde_json::from_slice::<Value>(&out),
    ) else {
        return;
    };
    hide(&mut before);
    hide(&mut after);
    assert_eq!(before, after);
});
