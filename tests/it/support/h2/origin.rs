//! An endpoint of HTTP/2 by the `h2` library.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{Request, Response};
use tokio::{net::TcpListener, sync::watch, task::LocalSet};

use super::client::send;

/// An endpoint that speaks HTTP/2 with prior knowledge. It ends when it is dropped.
pub(crate) struct H2Origin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    leave: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl H2Origin {
    /// Runs `answer` for each request, in a task of its own.
    pub(crate) fn start<F>(
        answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::start_with(h2::server::Builder::new(), answer)
    }

    /// The same with settings of its own.
    pub(crate) fn start_with<F>(
        builder: h2::server::Builder,
        answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let (stop, mut stopped) = watch::channel(false);
        let (leave, leaving) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(socket).unwrap();
                let answer = Rc::new(answer);
                let accepting = async {
                    loop {
                        let (tcp, _) = listener.accept().await.unwrap();
                        tcp.set_nodelay(true).unwrap();
                        counted.fetch_add(1, Ordering::SeqCst);
                        tokio::task::spawn_local(serve(
                            builder.clone(),
                            tcp,
                            Rc::clone(&answer),
                            leaving.clone(),
                        ));
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
            });
        });
        Self {
            address,
            connections,
            stop,
            leave,
            thread: Some(thread),
        }
    }

    /// Responds to every request with 200, its fields and its body; see [`echo`].
    pub(crate) fn echo() -> Self {
        Self::start(|request, respond| async move { echo(request, respond).await })
    }

    /// The lines of a release with this endpoint.
    pub(crate) fn release(&self) -> String {
        format!(
            "endpoints = [\"http://{}\"]\nprotocol = \"h2\"",
            self.address
        )
    }

    /// Sends GOAWAY on all open connections.
    pub(crate) fn graceful_shutdown(&self) {
        self.leave.send_replace(true);
    }

    /// Number of accepted connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<F>(
    builder: h2::server::Builder,
    tcp: tokio::net::TcpStream,
    answer: Rc<impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F>,
    mut leaving: watch::Receiver<bool>,
) where
    F: Future<Output = ()> + 'static,
{
    let Ok(mut connection) = builder.handshake::<_, Bytes>(tcp).await else {
        return;
    };
    leaving.mark_unchanged();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::task::spawn_local(answer(request, respond));
                }
                _ => return,
            },
            _ = leaving.changed() => connection.graceful_shutdown(),
        }
    }
}

/// Returns the body and its trailers, with the request's fields in fields of the response.
pub(crate) async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut response = Response::builder()
        .header("x-method", request.method().as_str())
        .header("x-target", request.uri().to_string());
    for (name, value) in request.headers() {
        response = response.header(format!("x-got-{name}"), value);
    }
    let mut out = respond
        .send_response(response.body(()).unwrap(), false)
        .unwrap();
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let Ok(data) = data else { return };
        let _ = body.flow_control().release_capacity(data.len());
        if send(&mut out, data, false).await.is_err() {
            return;
        }
    }
    match body.trailers().await {
        Ok(Some(trailers)) => out.send_trailers(trailers).unwrap(),
        _ => out.send_data(Bytes::new(), true).unwrap(),
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "an origin panicked"
            );
        }
    }
}
