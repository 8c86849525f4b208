//! A balancer on Pingora, as its guide shows one: 90 % blue, 10 % green, `X-Forwarded-For` added, nothing logged.
//!
//! `peer-pingora PORT TLS_PORT CERT KEY BLUE GREEN H2_PORT H2_BLUE H2_GREEN`; HTTP/2 is spoken down on `H2_PORT`.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use pingora_core::{
    apps::HttpServerOptions,
    listeners::tls::TlsSettings,
    prelude::*,
    server::configuration::{Opt, ServerConf},
    upstreams::peer::PeerOptions,
};
use pingora_http::RequestHeader;
use pingora_proxy::{http_proxy_service, ProxyHttp, Session};

struct Balancer {
    blue: u16,
    green: u16,
    drawn: AtomicU64,
    h2_upstream: bool,
}

#[async_trait]
impl ProxyHttp for Balancer {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        // A cheap random number; the bench checks the shares.
        let draw = self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let port = if draw % 100 < 10 { self.green } else { self.blue };
        let mut peer = HttpPeer::new(("127.0.0.1", port), false, String::new());
        if self.h2_upstream {
            let mut options = PeerOptions::new();
            options.set_http_version(2, 2);
            peer.options = options;
        }
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(&self, session: &mut Session, request: &mut RequestHeader, _: &mut ()) -> Result<()> {
        if let Some(address) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("x-forwarded-for", address.ip().to_string())?;
        }
        Ok(())
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let port = |place: usize| words[place].parse::<u16>().expect("a port");
    let conf = ServerConf { threads: 1, work_stealing: false, upstream_keepalive_pool_size: 512, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(Opt::default(), conf);
    server.bootstrap();
    let balancer = |blue, green, h2_upstream| Balancer { blue, green, drawn: AtomicU64::new(0), h2_upstream };
    let mut plain = http_proxy_service(&server.configuration, balancer(port(5), port(6), false));
    plain.add_tcp(&format!("127.0.0.1:{}", port(1)));
    let tls = TlsSettings::intermediate(&words[3], &words[4]).expect("a certificate");
    plain.add_tls_with_settings(&format!("127.0.0.1:{}", port(2)), None, tls);
    server.add_service(plain);
    for (listen, blue, green, up) in [(7, 5, 6, false), (10, 8, 9, true)] {
        let mut service = http_proxy_service(&server.configuration, balancer(port(blue), port(green), up));
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        service.app_logic_mut().expect("an app").server_options = Some(options);
        service.add_tcp(&format!("127.0.0.1:{}", port(listen)));
        server.add_service(service);
    }
    server.run_forever();
}
