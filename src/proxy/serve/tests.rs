//! Size of an idle connection's task.

use std::sync::Arc;

use super::*;
use crate::config::Config;
use crate::net::ConnectionLimits;
use crate::proxy::{ProxySettings, Shared};
use crate::table::LiveTable;
use crate::telemetry::AccessLog;

fn worker() -> Rc<Worker> {
    let settings = ProxySettings::new(&Config::default());
    Worker::new(
        Shared::new(settings, Arc::new(LiveTable::new(1)), 1, AccessLog::off()),
        0,
    )
}

#[tokio::test]
async fn an_idle_connection_is_small() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_client, accepted) =
        tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
    let (tcp, peer) = accepted.unwrap();
    let permit = ConnectionLimits::new(1, None).acquire().unwrap();
    let peer = PeerInfo {
        client: peer,
        is_trusted: false,
        is_secure: false,
        is_own: false,
    };
    let task = Connection::new(worker(), Stream::Tcp(tcp), peer, false, permit).run();
    let size = size_of_val(&task);
    assert!(size <= 512, "a connection's task is {size} bytes");
}
