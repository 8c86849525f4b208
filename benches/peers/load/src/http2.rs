//! HTTP/2 load: some connections with some streams each, closed loop; plain requests or unary gRPC calls.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::Request;
use tokio::{net::TcpStream, time::Instant};

use crate::{args::Args, report::Shared};

pub async fn run(args: &Args, grpc: bool) {
    let seen = Shared::default();
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(args.get("seconds", 3.0));
    let mut tasks = Vec::new();
    for _ in 0..args.get("connections", 8) {
        let tcp = TcpStream::connect(args.text("address").expect("--address")).await.expect("a connection");
        tcp.set_nodelay(true).expect("an option");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 24);
        let (client, connection) = builder.handshake::<_, Bytes>(tcp).await.expect("a handshake");
        tokio::task::spawn_local(connection);
        for _ in 0..args.get("streams", 16) {
            let (client, seen) = (client.clone(), Rc::clone(&seen));
            tasks.push(tokio::task::spawn_local(async move {
                while Instant::now() < end {
                    let begin = Instant::now();
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
    for task in tasks {
        let _ = task.await;
    }
    seen.borrow_mut().print(start.elapsed().as_secs_f64(), None);
}

async fn get(client: &h2::client::SendRequest<Bytes>) -> Result<bool, h2::Error> {
    let request = Request::get("http://bench.test/b/1024").header("user-agent", "peer-load").header("accept", "application/json");
    let mut client = client.clone().ready().await?;
    let (response, _) = client.send_request(request.body(()).expect("a request"), true)?;
    finish(response.await?).await
}

async fn call(client: &h2::client::SendRequest<Bytes>) -> Result<bool, h2::Error> {
    let request = Request::post("http://bench.test/bench.Echo/Say").header("content-type", "application/grpc").header("te", "trailers");
    let mut client = client.clone().ready().await?;
    let (response, mut body) = client.send_request(request.body(()).expect("a request"), false)?;
    let mut message = vec![0, 0, 0, 0, 64];
    message.extend_from_slice(&[7; 64]);
    body.send_data(message.into(), true)?;
    finish(response.await?).await
}

async fn finish(response: http::Response<h2::RecvStream>) -> Result<bool, h2::Error> {
    if response.status() != 200 {
        return Err(h2::Reason::INTERNAL_ERROR.into());
    }
    let green = response.headers().get("x-release").is_some_and(|value| value == "green");
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    body.trailers().await?;
    Ok(green)
}
