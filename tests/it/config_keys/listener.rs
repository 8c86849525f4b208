//! Probes of the keys of a listener.

use super::{process::Harness, time::happens};
use crate::support::{Client, Origin};

/// Two releases; `blue` has all the weight.
fn table(blue: &Origin, green: &Origin) -> String {
    format!(
        "[releases.blue]\nendpoints = [{:?}]\n[releases.green]\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"all\"\nsplit = {{ blue = 1, green = 0 }}\n",
        blue.url(),
        green.url()
    )
}

/// The response to a first request, or that the connection is closed.
fn first(mut client: Client, bytes: &str) -> String {
    client.send(bytes);
    let response = client.try_response();
    response.map_or("closed".to_owned(), |response| response.status.to_string())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

pub(super) fn preview(listener: &str) -> String {
    let (blue, green) = (Origin::replying("blue"), Origin::replying("green"));
    let harness = Harness::start("", &format!("{listener}\n{}", table(&blue, &green)));
    let mut client = harness.client();
    client.send(GET.replace("\r\n\r\n", "\r\nX-Switchback-Release: green\r\n\r\n"));
    client.response().text()
}

pub(super) fn proxy_protocol(listener: &str) -> String {
    let harness = Harness::start("trusted_proxies = [\"127.0.0.1\"]", listener);
    first(harness.client(), GET)
}

pub(super) fn proxy_protocol_from(listener: &str) -> String {
    let harness = Harness::start("", &format!("proxy_protocol = true\n{listener}"));
    let header = "PROXY TCP4 203.0.113.7 10.0.0.1 54321 443\r\n";
    first(harness.client(), &format!("{header}{GET}"))
}

/// True if a second connection is closed.
pub(super) fn max_connections(listener: &str) -> String {
    let harness = Harness::start("", listener);
    let mut one = harness.client();
    assert_eq!(one.get("/").status, 404);
    happens(harness.client().reader()).to_string()
}
