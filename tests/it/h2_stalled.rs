//! HTTP/2 streams whose peer has stopped reading: they block no other stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;

use crate::support::TestProxy;
use crate::support::h2::{H2Client, H2Origin, block, read_body, request, send};

/// The default flow-control window of a connection.
const WINDOW: usize = 65_535;

/// An endpoint that accepts uploads to `/stalled` without reading them, and counts their bytes.
fn deaf_to_some() -> (H2Origin, Arc<AtomicUsize>) {
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    let origin = H2Origin::start(move |request, mut respond| {
        let came = Arc::clone(&counted);
        async move {
            let is_stalled = request.uri().path() == "/stalled";
            let mut body = request.into_body();
            if is_stalled {
                // Its window is never released.
                while let Some(Ok(data)) = body.data().await {
                    came.fetch_add(data.len(), Ordering::SeqCst);
                }
                return;
            }
            let (data, _) = read_body(&mut body).await.unwrap();
            let response = Response::builder().header("x-read", data.len());
            respond
                .send_response(response.body(()).unwrap(), true)
                .unwrap();
        }
    });
    (origin, came)
}

/// A client that has begun an upload to `/stalled`: no more than the window of the endpoint arrives there.
async fn stalled(proxy: &TestProxy, came: &AtomicUsize) -> H2Client {
    let client = H2Client::connect(proxy.address).await;
    let (answer, mut out) = client.open(request("POST", "/stalled"), false).await;
    tokio::task::spawn_local(async move {
        let _sent = send(&mut out, Bytes::from(vec![0; 400_000]), true).await;
        let _ended = answer.await;
    });
    while came.load(Ordering::SeqCst) < WINDOW {
        tokio::task::yield_now().await;
    }
    client
}

#[test]
fn an_upload_that_an_endpoint_does_not_read_stops_no_other_upload_to_it() {
    let (origin, came) = deaf_to_some();
    let proxy = TestProxy::builder()
        .release_with("blue", &origin.release())
        .route("all", "/", &[("blue", 1)])
        .start();
    block(async {
        let client = stalled(&proxy, &came).await;
        let others = H2Client::connect(proxy.address).await;
        for client in [&client, &others] {
            let answer = client.post("/", &vec![1; 100_000]).await.unwrap();
            assert_eq!(answer.value("x-read"), Some("100000"));
        }
    });
    assert_eq!(
        origin.connections(),
        2,
        "the window of the first is used up"
    );
}

#[test]
fn what_needs_no_window_passes_where_no_other_connection_may_be_opened() {
    let (origin, came) = deaf_to_some();
    let lines = origin.release() + "\nlimits = { connections_per_endpoint = 1 }";
    let proxy = TestProxy::builder()
        .release_with("blue", &lines)
        .route("all", "/", &[("blue", 1)])
        .start();
    block(async {
        let client = stalled(&proxy, &came).await;
        assert_eq!(client.get("/").await.unwrap().status(), 200);
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upload_that_stands_still_stops_no_other_of_its_client() {
    let (deaf, came) = deaf_to_some();
    let (good, _) = deaf_to_some();
    // One stream can have the whole window of the connection in flight.
    let proxy = TestProxy::builder()
        .settings("[limits.http2]\nconnection_window = \"64KiB\"")
        .release_with("deaf", &deaf.release())
        .release_with("good", &good.release())
        .route("deaf", "/stalled", &[("deaf", 1)])
        .route("all", "/", &[("good", 1)])
        .start();
    block(async {
        let client = stalled(&proxy, &came).await;
        for _ in 0..2 {
            let answer = client.post("/", &vec![1; 500_000]).await.unwrap();
            assert_eq!(answer.value("x-read"), Some("500000"));
        }
    });
}
