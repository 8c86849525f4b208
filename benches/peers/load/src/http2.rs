//! HTTP/2 load: some connections with some streams each, closed loop; plain requests or unary gRPC calls.

use std::rc::Rc;

use bytes::Bytes;
use http::Request;
use tokio::{net::TcpStream, sync::mpsc, time::Instant};

use crate::{
    args::Args,
    bulk,
    pace::pace,
    report::{Shared, Window},
};

pub async fn run(args: &Args, grpc: bool) {
    let seen = Shared::default();
    seen.borrow_mut().bulk = bulk::start(args, true).await;
    let window = Window::open(args, &seen);
    let rate: f64 = args.get("rate", 0.0);
    let mut turns = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..args.get("connections", 8) {
        let client = client(args).await;
        for _ in 0..args.get("streams", 16) {
            let (client, seen) = (client.clone(), Rc::clone(&seen));
            let (send, due) = mpsc::unbounded_channel();
            turns.push(send);
            let mut due = (rate > 0.0).then_some(due);
            tasks.push(tokio::task::spawn_local(async move {
                while !window.over(&seen) {
                    // With `turns`, a request is sent at its signal and timed from then.
                    let begin = match due.as_mut() {
                        None => Instant::now(),
                        Some(due) => match due.recv().await {
                            Some(due) => due,
                            None => return,
                        },
                    };
                    let answer = if grpc { call(&client).await } else { get(&client).await };
                    let mut seen = seen.borrow_mut();
                    match answer {
                        Ok(green) => seen.answer(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX), green),
                        Err(_) => seen.errors += 1,
                    }
                }
            }));
        }
    }
    if rate > 0.0 {
        pace(turns, rate, window.end).await;
    }
    for task in tasks {
        let _ = task.await;
    }
    seen.borrow_mut().print(window.begin.elapsed().as_secs_f64(), None);
}

/// A connection, driven by a task of its own.
pub async fn client(args: &Args) -> h2::client::SendRequest<Bytes> {
    let tcp = TcpStream::connect(args.text("address").expect("--address")).await.expect("a connection");
    tcp.set_nodelay(true).expect("an option");
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 24);
    let (client, connection) = builder.handshake(tcp).await.expect("a handshake");
    tokio::task::spawn_local(connection);
    client
}

async fn get(client: &h2::client::SendRequest<Bytes>) -> Result<bool, h2::Error> {
    let request = Request::get("http://bench.test/b/1024").header("user-agent", "peer-load").header("accept", "application/json");
    let mut client = client.clone().ready().await?;
    let (response, _) = client.send_request(request.body(()).expect("a request"), true)?;
    finish(response.await?, false).await
}

async fn call(client: &h2::client::SendRequest<Bytes>) -> Result<bool, h2::Error> {
    let request = Request::post("http://bench.test/bench.Echo/Say").header("content-type", "application/grpc").header("te", "trailers");
    let mut client = client.clone().ready().await?;
    let (response, mut body) = client.send_request(request.body(()).expect("a request"), false)?;
    let mut message = vec![0, 0, 0, 0, 64];
    message.extend_from_slice(&[7; 64]);
    body.send_data(message.into(), true)?;
    finish(response.await?, true).await
}

async fn finish(response: http::Response<h2::RecvStream>, grpc: bool) -> Result<bool, h2::Error> {
    if response.status() != 200 {
        return Err(h2::Reason::INTERNAL_ERROR.into());
    }
    let green = response.headers().get("x-release").is_some_and(|value| value == "green");
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    let trailers = body.trailers().await?;
    let fine = trailers.is_some_and(|trailers| trailers.get("grpc-status").is_some_and(|status| status == "0"));
    if grpc && !fine {
        return Err(h2::Reason::INTERNAL_ERROR.into());
    }
    Ok(green)
}
