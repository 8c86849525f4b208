//! Cards of A2A agents: the URLs in them at which clients are to reach the agent.
//!
//! A card that names the address of an endpoint leads clients past the proxy. Here its URLs are replaced in place: every
//! other byte stays as it is, numbers of any size, the order of members and unknown ones included. Up to version 0.3 of
//! the protocol the URLs are `url` and `additionalInterfaces[].url`, from 1.0 on `supportedInterfaces[].url`; a card
//! that was requested over JSON-RPC is the `result` of the response.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{EndpointUrl, PublicUrl};

/// Most interfaces of a card that is rewritten.
const MOST_INTERFACES: usize = 256;

/// Handling of agent cards that name an endpoint of their route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentCards {
    /// They pass as they are.
    Keep,
    /// They name the proxy instead.
    #[default]
    Rewrite,
}

/// Result of rewriting a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardRewrite {
    /// The card with other URLs.
    Rewritten(Vec<u8>),
    /// It names an endpoint, and is signed: another URL would break the signature.
    Signed,
    /// It names no endpoint.
    Unchanged,
    /// It is no agent card: no JSON object, or one with repeated or mistyped members.
    Invalid,
}

impl AgentCards {
    /// True for the default.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Replaces the start of all URLs of a card whose host and port are those of an endpoint.
pub fn rewrite_card(
    card: &[u8],
    public: &PublicUrl,
    is_endpoint: impl Fn(&EndpointUrl) -> bool,
) -> CardRewrite {
    let Some((urls, is_signed)) = std::str::from_utf8(card).ok().and_then(read) else {
        return CardRewrite::Invalid;
    };
    let replaced = urls.into_iter().filter_map(|raw| {
        let url = replaced(raw, public, &is_endpoint)?;
        Some((place(card, raw), url))
    });
    let mut edits: Vec<(Range<usize>, String)> = replaced.collect();
    if edits.is_empty() {
        return CardRewrite::Unchanged;
    }
    if is_signed {
        return CardRewrite::Signed;
    }
    edits.sort_unstable_by_key(|(place, _)| place.start);
    let mut out = Vec::with_capacity(card.len() + 64 * edits.len());
    let mut done = 0;
    for (place, url) in edits {
        out.extend_from_slice(&card[done..place.start]);
        out.extend_from_slice(url.as_bytes());
        done = place.end;
    }
    out.extend_from_slice(&card[done..]);
    CardRewrite::Rewritten(out)
}

/// True if `named`, in a card, leads to this endpoint: by its host or its address. A loopback or unspecified address is
/// the agent's own view of itself, since it leads no client anywhere else than to its own machine.
pub fn is_endpoint(named: &EndpointUrl, endpoint: &EndpointUrl, address: SocketAddr) -> bool {
    if named.port() != address.port() && named.port() != endpoint.port() {
        return false;
    }
    let ip = named.ip().map(|ip| ip.to_canonical());
    named.host() == endpoint.host()
        || named.host() == "localhost"
        || ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified() || is_same(ip, address))
}

fn is_same(ip: IpAddr, address: SocketAddr) -> bool {
    ip == address.ip().to_canonical()
}

/// Members of a card, or of a JSON-RPC response with one, as they are in the text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Card<'c> {
    #[serde(borrow)]
    jsonrpc: Option<&'c RawValue>,
    #[serde(borrow)]
    result: Option<&'c RawValue>,
    #[serde(borrow)]
    url: Option<&'c RawValue>,
    #[serde(borrow)]
    additional_interfaces: Option<&'c RawValue>,
    #[serde(borrow)]
    supported_interfaces: Option<&'c RawValue>,
    #[serde(borrow)]
    signatures: Option<&'c RawValue>,
}

#[derive(Deserialize)]
struct Interface<'c> {
    #[serde(borrow)]
    url: Option<&'c RawValue>,
}

/// The values of all URLs, and true if the card is signed.
fn read(text: &str) -> Option<(Vec<&RawValue>, bool)> {
    let mut card: Card<'_> = object(text)?;
    if card.jsonrpc.is_some() {
        card = object(card.result?.get())?;
    }
    let mut urls: Vec<_> = card.url.into_iter().collect();
    for list in [card.additional_interfaces, card.supported_interfaces] {
        let Some(list) = list else { continue };
        for item in serde_json::from_str::<Vec<&RawValue>>(list.get()).ok()? {
            urls.extend(object::<Interface<'_>>(item.get())?.url);
        }
    }
    let is_signed = |signatures: &RawValue| !is_empty_list(signatures.get());
    (urls.len() <= MOST_INTERFACES).then(|| (urls, card.signatures.is_some_and(is_signed)))
}

fn is_empty_list(json: &str) -> bool {
    serde_json::from_str::<Vec<&RawValue>>(json).is_ok_and(|items| items.is_empty())
}

/// An object: serde takes an array for a struct as well.
fn object<'c, T: Deserialize<'c>>(json: &'c str) -> Option<T> {
    let is_object = json.trim_ascii_start().starts_with('{');
    is_object.then(|| serde_json::from_str(json).ok()).flatten()
}

/// The place of a value in the text that it was read from.
fn place(text: &[u8], value: &RawValue) -> Range<usize> {
    let value = value.get();
    let start = value.as_ptr().addr() - text.as_ptr().addr();
    start..start + value.len()
}

/// The JSON text of the URL for a value that names an endpoint.
fn replaced(
    value: &RawValue,
    public: &PublicUrl,
    is_endpoint: &impl Fn(&EndpointUrl) -> bool,
) -> Option<String> {
    let url: String = serde_json::from_str(value.get()).ok()?;
    let url = if let Some(after) = url.find("://").map(|at| at + 3) {
        let length = url[after..].find(['/', '?', '#', '\\']);
        let end = length.map_or(url.len(), |length| after + length);
        let (origin, rest) = url.split_at(end);
        let origin = origin.to_ascii_lowercase().parse().ok()?;
        is_endpoint(&origin).then(|| format!("{public}{rest}"))?
    } else {
        // gRPC interfaces are often named without a scheme, and always with a port.
        let origin = format!("http://{url}").parse().ok()?;
        let is_bare = public.path().is_empty() && has_port(&url);
        (is_bare && is_endpoint(&origin)).then(|| with_port(public.origin()))?
    };
    serde_json::to_string(&url).ok()
}

/// True for `host:port` and nothing else.
fn has_port(text: &str) -> bool {
    let port = text.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn with_port(origin: &EndpointUrl) -> String {
    let (host, port) = (origin.host(), origin.port());
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Endpoints at 10.0.0.5:9000 and `agent.internal:80`, which is 10.0.0.6.
    fn is_own(named: &EndpointUrl) -> bool {
        let of = |url: &str, address: &str| {
            is_endpoint(named, &url.parse().unwrap(), address.parse().unwrap())
        };
        of("http://10.0.0.5:9000", "10.0.0.5:9000") || of("http://agent.internal", "10.0.0.6:80")
    }

    fn rewritten_by(card: &str, public: &str) -> String {
        match rewrite_card(card.as_bytes(), &public.parse().unwrap(), is_own) {
            CardRewrite::Rewritten(card) => String::from_utf8(card).unwrap(),
            other => format!("{other:?}"),
        }
    }

    fn rewritten(card: &str) -> String {
        rewritten_by(card, "https://agents.example")
    }

    #[test]
    fn urls_of_both_generations_are_replaced_and_no_other_byte() {
        let earlier = "\u{20}{ \"big\": 123456789012345678901234567890.10,\n\"url\" : \"http://10.0.0.5:9000/rpc?x#y\", \
                       \"additionalInterfaces\":[{\"transport\":\"GRPC\",\"url\":\"10.0.0.5:9000\"},{\"url\":\"https://other.example/\"}],\
                       \"provider\":{\"url\":\"http://10.0.0.5:9000\"},\"preferredTransport\":\"JSONRPC\", \"é\\u00e9\":null}\r\n";
        let expected = earlier
            .replace("http://10.0.0.5:9000/rpc", "https://agents.example/rpc")
            .replace("\"10.0.0.5:9000\"", "\"agents.example:443\"");
        assert_eq!(rewritten(earlier), expected);
        let current = r#"{"signatures":[],"supportedInterfaces":[{"url":"http://localhost:9000","protocolBinding":"JSONRPC"},{"protocolBinding":"X"}],"url":null}"#;
        let expected = current.replace("http://localhost:9000", "https://agents.example");
        assert_eq!(rewritten(current), expected);
        let call = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{current}}}"#);
        let expected = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{expected}}}"#);
        assert_eq!(rewritten(&call), expected);
    }

    #[test]
    fn an_endpoint_is_recognised_however_it_is_named() {
        for own in [
            "http://10.0.0.5:9000",
            "HTTP://10.0.0.5:9000",
            "https://10.0.0.5:9000",
            "http://[::ffff:10.0.0.5]:9000",
            "http://0.0.0.0:9000",
            "http://[::]:9000",
            "http://[::1]:9000",
            "http://127.0.0.1:9000",
            "http://LocalHost:9000",
            "http://Agent.Internal",
            "http://agent.internal:80",
            "http://10.0.0.6",
            "http:\\/\\/10.0.0.6",
        ] {
            let card = format!(r#"{{"url":"{own}/a"}}"#);
            let expected = r#"{"url":"https://agents.example/a"}"#;
            assert_eq!(rewritten(&card), expected, "{own}");
        }
        for other in [
            "http://10.0.0.5:9001",
            "http://10.0.0.7:9000",
            "http://10.0.0.5",
            "https://agent.internal",
            "http://agent.internal.example",
            "http://10.0.0.5:9000@evil.example",
            "http://u@10.0.0.5:9000",
            "http://10.0.0.5:9000x",
            "ftp://10.0.0.5:9000",
            "//10.0.0.5:9000",
            "agent.internal",
            "agent.internal/",
            "/a",
            "",
        ] {
            let card = format!(r#"{{"url":"{other}"}}"#);
            assert_eq!(rewritten(&card), "Unchanged", "{other}");
        }
    }

    #[test]
    fn a_path_of_the_public_url_comes_before_that_of_the_card() {
        let of = |url: &str| rewritten_by(&format!(r#"{{"url":"{url}"}}"#), "http://p:81/chat/");
        assert_eq!(of("http://10.0.0.5:9000"), r#"{"url":"http://p:81/chat"}"#);
        assert_eq!(
            of("http://10.0.0.5:9000/"),
            r#"{"url":"http://p:81/chat/"}"#
        );
        assert_eq!(
            of("http://10.0.0.5:9000?a=1"),
            r#"{"url":"http://p:81/chat?a=1"}"#
        );
        assert_eq!(
            of("10.0.0.5:9000"),
            "Unchanged",
            "a bare address has no path"
        );
    }

    #[test]
    fn a_signed_card_that_names_an_endpoint_is_left_alone_and_one_that_does_not_needs_no_word() {
        let card =
            r#"{"url":"http://10.0.0.5:9000","signatures":[{"protected":"e","signature":"s"}]}"#;
        assert_eq!(rewritten(card), "Signed");
        let public = card.replace("http://10.0.0.5:9000", "https://agents.example");
        assert_eq!(rewritten(&public), "Unchanged");
    }

    #[test]
    fn what_is_no_card_is_no_card() {
        for card in [
            "",
            "null",
            "[]",
            r#"["http://10.0.0.5:9000"]"#,
            r#"{"url":"http://10.0.0.5:9000""#,
            r#"{"url":"http://10.0.0.5:9000"} x"#,
            r#"{"url":"http://10.0.0.5:9000","url":"http://10.0.0.5:9000"}"#,
            r#"{"supportedInterfaces":{"url":"http://10.0.0.5:9000"}}"#,
            r#"{"supportedInterfaces":[["http://10.0.0.5:9000"]]}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32007}}"#,
        ] {
            assert_eq!(rewritten(card), "Invalid", "{card}");
        }
        let many = format!(
            r#"{{"supportedInterfaces":[{}]}}"#,
            vec![r#"{"url":"http://10.0.0.5:9000"}"#; MOST_INTERFACES + 1].join(",")
        );
        assert_eq!(rewritten(&many), "Invalid");
        let not_utf8 = b"{\"url\":\"http://10.0.0.5:9000/\xff\"}";
        let public = "https://agents.example".parse().unwrap();
        assert_eq!(
            rewrite_card(not_utf8, &public, is_own),
            CardRewrite::Invalid
        );
    }

    fn json() -> impl Strategy<Value = String> {
        let url = prop_oneof![
            Just("http://10.0.0.5:9000/a".to_owned()),
            Just("https://other.example".to_owned()),
            "[a-z:/.0-9\\\\\"é]{0,12}",
        ];
        let text = url.prop_map(|url| serde_json::to_string(&url).unwrap());
        let leaf = prop_oneof![
            text,
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?",
            Just("null".to_owned()),
        ];
        let key = prop_oneof![
            Just("url".to_owned()),
            Just("additionalInterfaces".to_owned()),
            Just("supportedInterfaces".to_owned()),
            "[a-zé]{1,3}",
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4);
            let object = prop::collection::btree_map(key.clone(), inner, 0..5);
            prop_oneof![
                list.prop_map(|items| format!("[{}]", items.join(" ,"))),
                object.prop_map(|members| {
                    let member = |(key, value)| format!("\"{key}\" : {value}");
                    let members: Vec<_> = members.into_iter().map(member).collect();
                    format!("{{ {} }}", members.join(",\n"))
                }),
            ]
        })
    }

    /// Sets every URL of a card to null.
    fn without_urls(text: &str) -> serde_json::Value {
        let mut card: serde_json::Value = serde_json::from_str(text).unwrap();
        let hide = |object: &mut serde_json::Value| {
            if let Some(url) = object.get_mut("url").filter(|url| url.is_string()) {
                *url = serde_json::Value::Null;
            }
        };
        hide(&mut card);
        for list in ["additionalInterfaces", "supportedInterfaces"] {
            let items = card.get_mut(list).and_then(|list| list.as_array_mut());
            items.into_iter().flatten().for_each(hide);
        }
        card
    }

    proptest! {
        #[test]
        fn nothing_but_the_urls_of_a_card_ever_changes(card in json()) {
            let public = "https://agents.example".parse().unwrap();
            let CardRewrite::Rewritten(out) = rewrite_card(card.as_bytes(), &public, is_own) else {
                return Ok(());
            };
            let out = String::from_utf8(out).unwrap();
            prop_assert_eq!(without_urls(&out), without_urls(&card));
            // Going back byte for byte shows that the text around them is the same as well.
            let back = |card: &str| card.replace("https://agents.example/a", "http://10.0.0.5:9000/a");
            prop_assert_eq!(back(&out), back(&card));
            let again = rewrite_card(out.as_bytes(), &public, is_own);
            prop_assert_eq!(again, CardRewrite::Unchanged);
        }

        #[test]
        fn no_bytes_make_it_panic(card in prop::collection::vec(any::<u8>(), 0..64)) {
            let public = "https://agents.example".parse().unwrap();
            rewrite_card(&card, &public, is_own);
        }
    }
}
