//! Answers that are compressed on their way: which, with what heads, and how they end.

use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use flate2::read::GzDecoder;
use flate2::{Decompress, FlushDecompress};
use http::{HeaderMap, Response as Head};
use switchback::model::{Change, CompressSpec, RouteSpec};

use crate::support::h2::{H2Client, H2Origin, H2Response, block, read, request, send};
use crate::support::{
    Client, Origin, Response, TIMEOUT, TestProxy, read_head, read_request, reply,
};

const JSON: &str = "Content-Type: application/json\r\n";

/// A body that is long enough.
fn long() -> String {
    let records: Vec<String> = (0..500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    records.concat()
}

/// A proxy with one route that compresses, which has these further keys.
fn compressing(origin: &Origin, lines: &str) -> TestProxy {
    TestProxy::builder()
        .release("blue", &[origin])
        .route_with("all", &[("blue", 1)], &format!("compress = true\n{lines}"))
        .start()
}

fn ask(client: &mut Client, method: &str, fields: &str) {
    let request = format!("{method} / HTTP/1.1\r\nHost: agents.test\r\n{fields}\r\n");
    client.send(request);
}

fn get(client: &mut Client, fields: &str) -> Response {
    ask(client, "GET", fields);
    client.response()
}

const GZIP: &str = "Accept-Encoding: gzip, br\r\n";

fn unzipped(body: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

fn change_route(proxy: &TestProxy, change: impl Fn(&mut RouteSpec)) {
    let live = proxy.cell.load();
    let mut route: RouteSpec = (***live.state().spec.routes().get(0).unwrap()).clone();
    change(&mut route);
    let route = Box::new(route);
    let swapped = proxy.change(&Change::PutRoute { route });
    proxy.converged(swapped.table.revision());
}

async fn get_over_h2(
    client: &H2Client,
    method: &str,
    encoding: &str,
) -> Result<H2Response, h2::Error> {
    let (mut parts, ()) = request(method, "/").into_parts();
    parts
        .headers
        .insert("accept-encoding", encoding.parse().unwrap());
    let (answer, _) = client
        .open(http::Request::from_parts(parts, ()), true)
        .await;
    read(answer.await?).await
}

#[test]
fn who_takes_gzip_gets_it_and_the_head_says_so_over_either_protocol() {
    let fields =
        format!("{JSON}ETag: \"a\"\r\nAccept-Ranges: bytes\r\nVary: accept\r\nX-Own: 1\r\n");
    let origin = Origin::answering(move |_| reply(200, &fields, &long()));
    let proxy = compressing(&origin, "");
    let mut client = proxy.client();
    let answer = get(&mut client, GZIP);
    assert_eq!((answer.status, unzipped(&answer.body)), (200, long()));
    assert!(answer.body.len() < long().len() / 3 && answer.is_whole);
    for (name, value) in [
        ("content-encoding", Some("gzip")),
        ("content-type", Some("application/json")),
        ("transfer-encoding", Some("chunked")),
        ("content-length", None),
        ("accept-ranges", None),
        ("etag", Some("W/\"a\"")),
        ("x-own", Some("1")),
    ] {
        assert_eq!(answer.value(name), value, "{name}");
    }
    assert_eq!(answer.values("vary"), ["accept", "accept-encoding"]);
    assert_eq!(origin.last().value("accept-encoding"), Some("gzip, br"));
    // The others get what the endpoint sent, and caches are told.
    for others in [
        "",
        "Accept-Encoding: br\r\n",
        "Accept-Encoding: gzip;q=0, *\r\n",
    ] {
        let answer = get(&mut client, others);
        assert_eq!(answer.text(), long(), "{others}");
        assert_eq!(answer.value("content-encoding"), None);
        assert_eq!(answer.value("etag"), Some("\"a\""));
        assert_eq!(answer.value("accept-ranges"), Some("bytes"));
        assert_eq!(
            answer.value("content-length"),
            Some(&*long().len().to_string())
        );
        assert_eq!(answer.values("vary"), ["accept", "accept-encoding"]);
    }
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let answer = get_over_h2(&client, "GET", "gzip").await.unwrap();
        assert_eq!(unzipped(&answer.body), long());
        assert_eq!(answer.value("content-encoding"), Some("gzip"));
        assert_eq!(answer.value("content-length"), None);
        assert_eq!(answer.value("etag"), Some("W/\"a\""));
        let plain = client.get("/").await.unwrap();
        assert_eq!(String::from_utf8(plain.body).unwrap(), long());
    });
}

#[test]
fn what_is_not_to_be_touched_passes_as_it_is() {
    let answers = Mutex::new(Vec::<Vec<u8>>::new());
    let answers: &'static _ = Box::leak(Box::new(answers));
    let origin = Origin::answering(|_| answers.lock().unwrap().pop().unwrap());
    let proxy = compressing(&origin, "");
    let mut client = proxy.client();
    for fields in [
        "Content-Type: image/png\r\n",
        "Content-Type: text/event-stream\r\n",
        "Content-Type: application/grpc\r\n",
        "",
        "Content-Type: text/plain\r\nContent-Encoding: br\r\n",
        "Content-Type: text/plain\r\nCache-Control: no-store, No-Transform\r\n",
        "Content-Type: text/plain\r\nContent-Digest: sha-256=:AA==:\r\n",
        "Content-Type: text/plain\r\nContent-MD5: AA==\r\n",
    ] {
        answers.lock().unwrap().push(reply(200, fields, &long()));
        let answer = get(&mut client, GZIP);
        assert_eq!(answer.text(), long(), "{fields}");
        assert!(answer.value("content-encoding") != Some("gzip"));
        assert_eq!(answer.value("vary"), None, "it is the same for everybody");
        assert!(answer.value("content-length").is_some());
    }
    for (fields, status, body) in [
        ("Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n", 200, long()),
        (
            "Accept-Encoding: gzip\r\nCache-Control: no-transform\r\n",
            200,
            long(),
        ),
        ("Accept-Encoding: gzip\r\n", 206, long()),
        ("Accept-Encoding: gzip\r\n", 200, "short".to_owned()),
    ] {
        answers.lock().unwrap().push(reply(status, JSON, &body));
        let answer = get(&mut client, fields);
        assert_eq!((answer.status, answer.text()), (status, body), "{fields}");
    }
    let mut old = proxy.client();
    answers.lock().unwrap().push(reply(200, JSON, &long()));
    old.send("GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(old.response().text(), long(), "HTTP/1.0 has no chunks");
}

#[test]
fn a_head_and_a_304_say_what_the_answer_would_and_have_no_body() {
    let origin = Origin::answering(|request| {
        let fields = format!("{JSON}ETag: \"a\"\r\n");
        let whole = reply(200, &fields, &long());
        if request.value("if-none-match").is_some() {
            return b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_vec();
        }
        let end = whole.len() - long().len();
        if request.line().starts_with("HEAD") {
            whole[..end].to_vec()
        } else {
            whole
        }
    });
    let proxy = compressing(&origin, "");
    let mut client = proxy.client();
    ask(&mut client, "HEAD", GZIP);
    let head = client.head_response();
    assert_eq!(head.value("etag"), Some("W/\"a\""));
    assert_eq!(head.value("vary"), Some("accept-encoding"));
    assert_eq!(
        (head.value("content-encoding"), head.value("content-length")),
        (None, None)
    );
    ask(&mut client, "HEAD", "");
    let head = client.head_response();
    let length = long().len().to_string();
    assert_eq!(
        head.value("content-length"),
        Some(&*length),
        "that of the answer to a GET"
    );
    assert_eq!(head.value("etag"), Some("\"a\""));
    let fields = format!("{GZIP}If-None-Match: W/\"a\"\r\n");
    let answer = get(&mut client, &fields);
    assert_eq!(
        (answer.status, answer.value("etag")),
        (304, Some("W/\"a\""))
    );
    let answer = get(&mut client, "If-None-Match: \"a\"\r\n");
    assert_eq!((answer.status, answer.value("etag")), (304, Some("\"a\"")));
    assert_eq!(get(&mut client, GZIP).status, 200, "the connection goes on");
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let head = get_over_h2(&client, "HEAD", "gzip").await.unwrap();
        assert_eq!((head.body.len(), head.value("content-length")), (0, None));
    });
}

const RECORDS: [&str; 3] = ["{\"n\":1}\n", "{\"n\":2}\n", "{\"n\":3}\n"];

/// The body of an answer that is compressed.
async fn open_over_h2(client: &H2Client) -> h2::RecvStream {
    let (mut parts, ()) = request("GET", "/").into_parts();
    let encoding = "gzip".parse().unwrap();
    parts.headers.insert("accept-encoding", encoding);
    let (answer, _) = client
        .open(http::Request::from_parts(parts, ()), true)
        .await;
    answer.await.unwrap().into_body()
}

/// An endpoint that sends a record whenever it is told to, and breaks off or ends when the sender is gone.
fn recorder(ends: bool) -> (Origin, Sender<&'static str>) {
    let (tell, told) = channel::<&'static str>();
    let told = Mutex::new(told);
    let origin = Origin::after_request(move |_, mut stream, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        while let Ok(record) = told.lock().unwrap().recv_timeout(TIMEOUT) {
            let chunk = format!("{:x}\r\n{record}\r\n", record.len());
            stream.write_all(chunk.as_bytes()).unwrap();
        }
        if ends {
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
    });
    (origin, tell)
}

/// The text that a decoder makes of further bytes.
fn more(decoder: &mut Decompress, bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(1_024);
    decoder
        .decompress_vec(bytes, &mut out, FlushDecompress::Sync)
        .unwrap();
    String::from_utf8(out).unwrap()
}

/// The next chunk of a body.
fn chunk(client: &mut Client) -> Vec<u8> {
    let size = usize::from_str_radix(client.read_line().trim_end(), 16).unwrap();
    let mut chunk = client.read_exact(size + 2);
    chunk.truncate(size);
    chunk
}

#[test]
fn a_record_can_be_read_before_the_next_one_is_there() {
    let (origin, tell) = recorder(true);
    let proxy = compressing(&origin, "");
    let mut client = proxy.client();
    ask(&mut client, "GET", GZIP);
    let head = client.response_head();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut decoder = Decompress::new_gzip(15);
    for record in RECORDS {
        tell.send(record).unwrap();
        read_record(&mut client, &mut decoder, record);
    }
    drop(tell);
    assert_eq!(more(&mut decoder, &chunk(&mut client)), "");
    assert_eq!(client.chunk(), "", "the end");
}

#[test]
fn a_record_over_http2_can_be_read_before_the_next_one_is_there() {
    let (origin, tell) = recorder(true);
    let proxy = compressing(&origin, "");
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut body = open_over_h2(&client).await;
        let mut decoder = Decompress::new_gzip(15);
        for record in RECORDS {
            tell.send(record).unwrap();
            let mut seen = String::new();
            while seen.len() < record.len() {
                seen += &more(&mut decoder, &body.data().await.unwrap().unwrap());
            }
            assert_eq!(seen, record);
        }
    });
}

/// Reads chunks until a record is there.
fn read_record(client: &mut Client, decoder: &mut Decompress, record: &str) {
    let mut seen = String::new();
    while seen.len() < record.len() {
        seen += &more(decoder, &chunk(client));
    }
    assert_eq!(seen, record);
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    let (origin, tell) = recorder(false);
    let proxy = compressing(&origin, "");
    let mut client = proxy.client();
    ask(&mut client, "GET", GZIP);
    client.response_head();
    tell.send(RECORDS[0]).unwrap();
    read_record(&mut client, &mut Decompress::new_gzip(15), RECORDS[0]);
    drop(tell);
    assert!(client.is_closed(), "without an end");
    let (origin, tell) = recorder(false);
    let proxy = compressing(&origin, "");
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let mut body = open_over_h2(&client).await;
        tell.send(RECORDS[0]).unwrap();
        assert!(body.data().await.unwrap().is_ok());
        drop(tell);
        let end = loop {
            match body.data().await {
                Some(Ok(_)) => {}
                end => break end,
            }
        };
        assert!(end.is_some_and(|end| end.is_err_and(|error| error.is_reset())));
    });
    // Of this one nothing may have left yet: then it is an error as a whole.
    let origin = Origin::after_request(|_, mut stream, _| {
        let length = "Content-Length: 100000\r\n\r\n";
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}{length}{}", long());
        stream.write_all(head.as_bytes()).unwrap();
    });
    let proxy = compressing(&origin, "");
    let answer = get(&mut proxy.client(), GZIP);
    assert!(!answer.is_whole || answer.status == 502);
}

#[test]
fn a_large_answer_is_the_same_behind_it() {
    // Half of it repeats, half of it does not.
    let mut seed = 1_u32;
    let mut noise = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + u8::try_from((seed >> 24) % 90).unwrap())
    };
    let part = |n| {
        if n % 2 == 0 {
            " again and again".repeat(512)
        } else {
            (0..8_192).map(|_| noise()).collect()
        }
    };
    let text: String = (0..400).map(part).collect();
    let text: &'static str = text.leak();
    let origin = Origin::answering(|_| reply(200, JSON, text));
    let proxy = compressing(&origin, "");
    let answer = get(&mut proxy.client(), GZIP);
    assert!(unzipped(&answer.body) == text && answer.is_whole);
    assert!(answer.body.len() < text.len() * 3 / 4);
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let answer = get_over_h2(&client, "GET", "*").await.unwrap();
        assert!(unzipped(&answer.body) == text);
    });
}

#[test]
fn trailers_stay_but_for_digests_of_other_bytes() {
    let origin = H2Origin::start(|_, mut respond| async move {
        let mut head = Head::new(());
        head.headers_mut()
            .insert("content-type", "text/plain".parse().unwrap());
        let mut out = respond.send_response(head, false).unwrap();
        let _sent = send(&mut out, Bytes::from(long()), false).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("repr-digest", "sha-256=:AA==:".parse().unwrap());
        trailers.insert("x-cost", "7".parse().unwrap());
        let _sent = out.send_trailers(trailers);
    });
    let proxy = TestProxy::builder()
        .release_with("blue", &origin.release())
        .route_with("all", &[("blue", 1)], "compress = true")
        .start();
    block(async {
        let client = H2Client::connect(proxy.address).await;
        let answer = get_over_h2(&client, "GET", "gzip").await.unwrap();
        assert_eq!(unzipped(&answer.body), long());
        let trailers = answer.trailers.unwrap();
        assert_eq!(trailers.get("x-cost").unwrap(), "7");
        assert_eq!(trailers.get("repr-digest"), None);
        let plain = client.get("/").await.unwrap().trailers.unwrap();
        assert!(
            plain.get("repr-digest").is_some(),
            "it holds for what was not compressed"
        );
    });
}

#[test]
fn the_keys_decide_and_a_rollback_takes_them_back() {
    let origin = Origin::answering(|request| {
        let media = request.value("x-type").unwrap_or("text/html");
        reply(200, &format!("Content-Type: {media}\r\n"), &long())
    });
    let keys = "response_headers = { set = { vary = \"accept-encoding\" }, remove = [\"etag\"] }";
    let proxy = compressing(&origin, keys);
    let mut client = proxy.client();
    let mut is_coded = |fields: &str| {
        let answer = get(&mut client, &format!("{GZIP}{fields}"));
        answer.value("content-encoding").is_some()
    };
    assert!(is_coded(""));
    let rules = |types: &[&str], min_size: usize| CompressSpec {
        types: types.iter().map(|&text| text.to_owned()).collect(),
        min_size: min_size.to_string().parse().unwrap(),
        level: 9,
    };
    change_route(&proxy, |route| {
        route.compress = Some(rules(&["application/*+json"], 1));
    });
    assert!(!is_coded("") && is_coded("X-Type: application/problem+json\r\n"));
    change_route(&proxy, |route| {
        route.compress = Some(rules(&["text/html"], long().len() + 1));
    });
    assert!(!is_coded(""), "it is too short");
    change_route(&proxy, |route| {
        route.compress = Some(rules(&["text/html"], long().len()));
    });
    assert!(is_coded(""));
    change_route(&proxy, |route| route.compress = None);
    assert!(!is_coded(""));
    proxy.converged(proxy.rollback());
    assert!(is_coded(""));
    // What the route says of the bytes is of those that come from the endpoint.
    change_route(&proxy, |route| {
        route.response_headers = serde_json::from_str(r#"{"set":{"etag":"\"a\""}}"#).unwrap();
    });
    assert!(!is_coded(""));
}

#[test]
fn an_answer_is_compressed_beside_sessions_and_pages_of_other_origins() {
    let origin = Origin::answering(|_| reply(200, JSON, &long()));
    let lines = "affinity = [{ generated_cookie = \"s\" }]\nexpose_release = \"x-release\"\n\
                 cors = { origins = [\"https://a.test\"] }\nagent_protocol = \"mcp\"";
    let proxy = compressing(&origin, lines);
    let answer = get(
        &mut proxy.client(),
        &format!("{GZIP}Origin: https://a.test\r\n"),
    );
    assert_eq!(unzipped(&answer.body), long());
    assert_eq!(answer.value("x-release"), Some("blue"));
    assert_eq!(answer.values("vary"), ["origin", "accept-encoding"]);
    assert!(answer.value("set-cookie").is_some());
}

#[test]
fn there_are_only_so_many_compressors_and_nobody_waits_for_one() {
    const MOST: usize = 256;
    let (end, ended) = channel::<()>();
    let ended = Mutex::new(ended);
    let ended: &'static _ = Box::leak(Box::new(ended));
    let origin = Origin::scripted(|stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        while read_request(&mut reader).is_some() {
            let head = format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
            (&stream).write_all(head.as_bytes()).unwrap();
            // Until the sender is gone.
            let _ = ended.lock().unwrap().recv_timeout(TIMEOUT);
            let _ = (&stream).write_all(b"2\r\n{}\r\n0\r\n\r\n");
        }
    });
    let proxy = compressing(&origin, "");
    let mut clients: Vec<_> = (0..MOST + 20).map(|_| proxy.client()).collect();
    let mut compressed = 0;
    for client in &mut clients {
        ask(client, "GET", GZIP);
        let head = read_head(client.reader()).unwrap();
        assert!(head.contains("vary: accept-encoding"), "{head}");
        compressed += usize::from(head.contains("content-encoding: gzip"));
    }
    assert!((1..=MOST).contains(&compressed), "{compressed}");
    drop(end);
    drop(clients);
}
