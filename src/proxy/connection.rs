//! A client's HTTP/1.1 connection: serves its requests one after the other.
//!
//! An idle connection holds its socket, a deadline and a few numbers. The state of a request lives in one box that
//! exists only while the request does.

use std::cell::Cell;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::rc::Rc;

use tokio::time::Instant;

use crate::fleet::AckStalls;
use crate::http1::BodyDecoder;
use crate::message::{Rejection, Version};
use crate::net::{Buffer, BufferSize, ConnectionPermit, Deadline, Stream};

use super::client_watch::DisconnectWatch;
use super::h2 as http2;
use super::http1_body::{BodyReader, TimedStream};
use super::http1_client::{Http1Client, Http1Head, Http1Responder, validate, validate_start};
use super::io::{RequestMeta, RequestParts};
use super::lingering_close;
use super::outcome::RequestEnd;
use super::refused_head::RefusedHead;
use super::request::serve;
use super::settings::PeerInfo;
use super::stage::Request;
use super::tunnel::Tunnel;
use super::tunnel_end::TunnelEnd;
use super::worker::{ConnectionGuard, Worker};
use head_read::HeadRead;

mod head_read;
mod read_head;

/// A client connection.
pub(super) struct Connection {
    worker: Rc<Worker>,
    stream: Stream,
    peer: PeerInfo,
    preview: bool,
    deadline: Deadline,
    /// Time from which the client is asked to close the connection.
    oldest: Option<Instant>,
    received: Option<Buffer>,
    is_first: bool,
    /// Pauses of the client inside its requests.
    stalls: AckStalls,
    counted: (ConnectionPermit, ConnectionGuard),
}

/// The head of a request, as far as it is needed after its validation.
struct AcceptedAs {
    meta: RequestMeta,
    version: Version,
    keep_alive: bool,
}

/// Next step of the connection after a request.
enum NextRequest {
    Request,
    /// The buffer starts with no head that is whole and valid at the first scan.
    Unread,
    Refused(Rejection),
    Over,
    /// The request's box is freed by then: a WebSocket may live for days.
    Tunnel(Box<Tunnel>),
}

/// State of both sides after a request.
struct AfterRequest {
    keep_alive: bool,
    hides_a_cut: bool,
    is_read: bool,
}

impl AfterRequest {
    fn of(responder: &Http1Responder<'_>, client: &Http1Client<'_>) -> Self {
        Self {
            keep_alive: responder.keep_alive,
            hides_a_cut: responder.truncation_is_hidden(),
            is_read: client.is_read(),
        }
    }
}

impl Connection {
    pub(super) fn new(
        worker: Rc<Worker>,
        stream: Stream,
        peer: PeerInfo,
        preview: bool,
        permit: ConnectionPermit,
    ) -> Self {
        Self {
            deadline: worker.timers.deadline(),
            counted: (permit, worker.open_connection()),
            oldest: worker.oldest(),
            received: None,
            is_first: true,
            stalls: AckStalls::default(),
            worker,
            stream,
            peer,
            preview,
        }
    }

    /// Serves requests until the connection ends.
    pub(super) async fn run(mut self) {
        let mut parse_failed_before = false;
        loop {
            let range = match self.next_head(parse_failed_before).await {
                HeadRead::Closed => return,
                HeadRead::Http2 => return self.serve_http2().await,
                HeadRead::Refused(rejection) => return self.refuse(rejection).await,
                HeadRead::Head(range) => Some(range),
                HeadRead::Start => None,
            };
            // One box for each active request; an idle connection has none.
            match self.serve(range).await {
                NextRequest::Request => {}
                NextRequest::Unread => {
                    parse_failed_before = true;
                    continue;
                }
                NextRequest::Refused(rejection) => return self.refuse(rejection).await,
                NextRequest::Over => return,
                NextRequest::Tunnel(mut tunnel) => {
                    return tunnel.run(TunnelEnd::Socket(&self.stream)).await;
                }
            }
            parse_failed_before = false;
            self.is_first = false;
        }
    }

    /// Serves the request whose head is in this range of the buffer; without one, the buffer starts with it if it is
    /// whole and valid at the first scan.
    ///
    /// Not an `async fn`: the future lives in the box alone, not a second time in the connection's task.
    fn serve(
        &mut self,
        range: Option<Range<usize>>,
    ) -> Pin<Box<dyn Future<Output = NextRequest> + '_>> {
        Box::pin(self.exchange(range))
    }

    fn refuse(&mut self, rejection: Rejection) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        let head = self.received.as_ref().map_or(&[][..], Buffer::data);
        let limits = &self.worker.shared.settings.message;
        Box::pin(lingering_close::reply_and_close(
            &self.worker,
            &self.stream,
            self.peer,
            RefusedHead::http1(head, rejection, limits),
        ))
    }

    /// Continues as HTTP/2, starting with the bytes read so far.
    pub(super) fn serve_http2(self) -> Pin<Box<dyn Future<Output = ()>>> {
        let counted = self.counted;
        let serving = http2::serve(
            self.worker,
            self.stream,
            self.received,
            (self.peer, self.preview),
            self.oldest,
        );
        Box::pin(async {
            serving.await;
            drop(counted);
        })
    }

    /// Validates a head, selects an endpoint and encodes the head, all in one synchronous section. Returns the range of
    /// the head as well; `None` if there is none at the start of the buffer.
    ///
    /// The request is written where it stays: it is too large to be moved often.
    fn open(
        &self,
        range: Option<Range<usize>>,
        place: &mut Option<Request>,
    ) -> Option<Result<(AcceptedAs, Range<usize>), Rejection>> {
        let buffer = self.received.as_ref()?;
        let limits = &self.worker.shared.settings.message;
        let begin = |parts: &RequestParts<'_>| self.begin(parts, place);
        let Some(range) = range else {
            let validated = validate_start(buffer.data(), limits, begin)?;
            return Some(validated.map(|(accepted, end)| (accepted, 0..end)));
        };
        let validated = validate(&buffer.data()[range.clone()], limits, begin);
        Some(validated.map(|accepted| (accepted, range)))
    }

    fn begin(&self, parts: &RequestParts<'_>, place: &mut Option<Request>) -> AcceptedAs {
        Request::start_in(place, &self.worker, (self.peer, self.preview), parts);
        AcceptedAs {
            meta: parts.meta(),
            version: parts.facts.version,
            keep_alive: parts.facts.keep_alive,
        }
    }

    /// Serves one request. It is opened in the box where it is served: what a future captures is moved into its box.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would keep its arguments twice"
    )]
    fn exchange(&mut self, range: Option<Range<usize>>) -> impl Future<Output = NextRequest> {
        async move {
            let mut place = None;
            let (accepted, range) = match self.open(range, &mut place) {
                Some(Ok(opened)) => opened,
                Some(Err(rejection)) => return NextRequest::Refused(rejection),
                None => return NextRequest::Unread,
            };
            let Some(request) = &mut place else {
                return NextRequest::Over;
            };
            let worker = Rc::clone(&self.worker);
            let settings = &worker.shared.settings;
            let meta = &accepted.meta;
            let (buffer, body) = self.split(range.end, request.stage.is_http1());
            let (finished, rest, after) = {
                let mut head = Some(Http1Head::new(buffer, range, &settings.message));
                let channel = |limit| TimedStream::new(&self.stream, &worker.timers, limit);
                let decoder = BodyDecoder::request(meta.framing, &settings.message);
                let patient = channel(settings.timeouts.body.0);
                let memory = (&worker.buffers, &self.stalls);
                let reader = BodyReader::new(patient, decoder, memory, body).behind_head();
                let is_watched = Cell::new(false);
                let mut client = Http1Client {
                    reader,
                    worker: &worker,
                    is_watched: &is_watched,
                };
                let silence = channel(settings.timeouts.silence.0);
                let keep_alive = accepted.keep_alive && !self.is_old();
                let mut responder =
                    Http1Responder::new(silence, &worker, accepted.version, keep_alive);
                let finished = {
                    let serving =
                        pin!(serve(request, meta, &mut head, &mut client, &mut responder));
                    self.until_disconnected(serving, &is_watched).await
                };
                if matches!(finished, RequestEnd::Whole)
                    && responder.keep_alive
                    && !client.is_read()
                {
                    Box::pin(client.drain()).await;
                }
                let after = AfterRequest::of(&responder, &client);
                drop(responder);
                (finished, client.reader.into_rest(), after)
            };
            if let RequestEnd::Upgraded(upgraded) = finished {
                return place.map_or(NextRequest::Over, |request| {
                    NextRequest::Tunnel(Box::new(Tunnel {
                        context: request.context,
                        upgraded,
                        received: rest,
                        is_websocket: accepted.meta.asked.websocket,
                    }))
                });
            }
            self.finish(finished, rest, after).await
        }
    }

    /// Runs a request to its end, or until the client disconnects while its body is not read.
    async fn until_disconnected(
        &self,
        mut serving: Pin<&mut impl Future<Output = RequestEnd>>,
        is_watched: &Cell<bool>,
    ) -> RequestEnd {
        let mut watch = DisconnectWatch::default();
        poll_fn(|cx| {
            self.worker.is_yielding.set(false);
            let polled = serving.as_mut().poll(cx);
            if polled.is_ready() || is_watched.get() || self.worker.is_yielding.get() {
                return polled;
            }
            let left = watch.poll_left(cx, &self.stream, &self.worker.timers);
            left.map(|()| RequestEnd::Cut)
        })
        .await
    }

    /// Splits the buffer into the head and the bytes received after it.
    fn split(&mut self, end: usize, is_encoded: bool) -> (Buffer, Option<Buffer>) {
        let buffers = &self.worker.buffers;
        let mut head = self.received.take().expect("a head was found in it");
        let rest = Some(&head.data()[end..]).filter(|rest| !rest.is_empty());
        let body = rest.map(|rest| {
            let mut body = buffers.take(BufferSize::Small);
            let fits = body.append(rest);
            debug_assert!(fits, "the largest size holds what another buffer held");
            body
        });
        if is_encoded {
            head.truncate(end);
        } else {
            // The head is read again later, which may take a while: thousands may wait for a connection at once.
            head = buffers.copy_exact(&head.data()[..end]);
        }
        (head, body)
    }

    /// True if the client is to be asked to close the connection.
    fn is_old(&self) -> bool {
        self.oldest.is_some_and(|oldest| oldest <= Instant::now())
    }

    /// Decides between the next request and the end of the connection.
    async fn finish(
        &mut self,
        finished: RequestEnd,
        rest: Option<Buffer>,
        state: AfterRequest,
    ) -> NextRequest {
        match finished {
            RequestEnd::Whole if state.keep_alive && state.is_read => {
                self.received = rest;
                return NextRequest::Request;
            }
            RequestEnd::Whole => Box::pin(lingering_close::close(&self.worker, &self.stream)).await,
            RequestEnd::Cut if state.hides_a_cut => self.stream.reset_on_close(),
            RequestEnd::Cut | RequestEnd::Upgraded(_) => {}
        }
        NextRequest::Over
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::net::ConnectionLimits;
    use crate::proxy::{ProxySettings, Shared};
    use crate::table::LiveTable;
    use crate::telemetry::AccessLog;

    #[tokio::test]
    async fn an_active_request_is_one_small_box() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) =
            tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        let (tcp, client) = accepted.unwrap();
        let permit = ConnectionLimits::new(1, None).acquire().unwrap();
        let settings = ProxySettings::new(&Config::default());
        let shared = Shared::new(settings, Arc::new(LiveTable::new(1)), 1, AccessLog::off());
        let worker = Worker::new(shared, 0);
        let peer = PeerInfo {
            client,
            is_trusted: false,
            is_secure: false,
            is_own: false,
        };
        let mut connection = Connection::new(worker, Stream::Tcp(tcp), peer, false, permit);
        let size = size_of_val(&connection.exchange(None));
        // The allocator has a class of 2,560 bytes and one of 3,072.
        assert!(size <= 2_976, "a request takes {size} bytes");
    }
}
