//! Origin and load generator of the side-by-side bench: one thread, real sockets, one JSON object on standard output.
//!
//! `peer-load origin --blue PORT --green PORT --h2-blue PORT --h2-green PORT --tls PORT …` serves until its standard
//! input ends.
//! `peer-load keepalive|close|h2|grpc|sse|ws|sse-h2|idle …` makes load against `--address` and reports what it saw;
//! `keepalive` and `h2` do so beside `--bulk` endless bodies.

mod args;
mod bulk;
mod clock;
mod http1;
mod http2;
mod origin;
mod pace;
mod report;
mod streams;
mod tls;

use args::Args;

fn main() {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    let args = Args::new(words);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        match verb.as_str() {
            "origin" => origin::run(&args).await,
            "keepalive" | "close" => http1::run(&args, verb == "close").await,
            "h2" | "grpc" => http2::run(&args, verb == "grpc").await,
            "sse" | "ws" => streams::run(&args, verb == "ws").await,
            "sse-h2" => streams::run_http2(&args).await,
            "idle" => http1::idle(&args).await,
            _ => panic!("unknown verb `{verb}`"),
        }
    });
}
