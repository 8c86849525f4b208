//! One call of the standard health service of gRPC, on a connection of its own.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::{
    error::{CheckError, Http2Error},
    grpc_message::{self, Serving},
    http2_client::Exchange,
    user_agent::USER_AGENT,
};
use crate::{
    http2::{BodyEvent, Head, StreamError, hpack::Encoder},
    message::KnownField,
    model::Scheme,
    net::Stream,
};

/// Response of the service as far as it has come.
#[derive(Default)]
struct Answer {
    /// Status of the HTTP response.
    http: Option<u16>,
    /// Status of the call, of the head or the trailers.
    grpc: Option<Vec<u8>>,
    message: Vec<u8>,
}

/// Calls the service and validates its response.
pub(super) async fn ask(
    stream: Stream,
    scheme: Scheme,
    authority: &str,
    service: &str,
) -> Result<(), CheckError> {
    let block = head(scheme, authority).ok_or(CheckError::Http2(Http2Error::Request))?;
    let mut exchange = Exchange::open(stream, &block, false).map_err(CheckError::Http2)?;
    let request = grpc_message::request(service);
    let mut buffer = vec![0; 32 * 1024];
    let mut unsent = &request[..];
    let mut send =
        |exchange: &mut Exchange, cx: &mut Context<'_>| exchange.poll_send(cx, &mut unsent);
    let sent = poll_fn(|cx| exchange.poll(cx, &mut buffer, &mut send));
    sent.await.map_err(CheckError::Http2)?;
    let mut answer = Answer::default();
    // What was sent leaves with the first poll.
    let mut receive = |exchange: &mut Exchange, cx: &mut Context<'_>| answer.poll(exchange, cx);
    let received = poll_fn(|cx| exchange.poll(cx, &mut buffer, &mut receive));
    received.await.map_err(CheckError::Http2)?;
    answer.check()
}

fn head(scheme: Scheme, authority: &str) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    let mut encoder = Encoder::new(&mut block);
    let is_valid = encoder.method(b"POST")
        && encoder.scheme(scheme.as_str().as_bytes())
        && encoder.path(grpc_message::PATH.as_bytes())
        && encoder.authority(authority.as_bytes())
        && encoder.field(KnownField::Te, b"te", b"trailers", false)
        && encoder.field(
            KnownField::ContentType,
            b"content-type",
            b"application/grpc",
            false,
        )
        && encoder.field(
            KnownField::UserAgent,
            b"user-agent",
            USER_AGENT.as_bytes(),
            false,
        );
    is_valid.then_some(block)
}

// === impl Answer ===

impl Answer {
    /// Receives the response up to its end.
    fn poll(
        &mut self,
        exchange: &mut Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), StreamError>> {
        while self.http.is_none() {
            let head = ready!(exchange.poll_head(cx))?;
            self.note(&head);
            self.http = Some(head.status()).filter(|status| *status >= 200);
        }
        loop {
            let mut piece = Vec::new();
            match ready!(exchange.poll_take(cx, &mut piece))? {
                BodyEvent::End(trailers) => {
                    if let Some(trailers) = &trailers {
                        self.note(trailers);
                    }
                    return Poll::Ready(Ok(()));
                }
                BodyEvent::Data { last } => {
                    let room = grpc_message::MOST.saturating_sub(self.message.len());
                    self.message.extend(piece.iter().take(room));
                    if last || piece.len() > room {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    fn note(&mut self, head: &Head) {
        let mut fields = head.fields();
        let status = fields.find(|field| field.known == KnownField::GrpcStatus);
        self.grpc = status
            .map(|field| field.value.to_vec())
            .or(self.grpc.take());
    }

    fn check(&self) -> Result<(), CheckError> {
        if let Some(status) = self.http.filter(|status| *status != 200) {
            return Err(CheckError::Status(status));
        }
        match self.grpc.as_deref() {
            Some(b"0") => {}
            Some(status) => {
                let status = String::from_utf8_lossy(status).into_owned();
                return Err(CheckError::Grpc(status));
            }
            None => return Err(CheckError::GrpcMalformed),
        }
        match grpc_message::response(&self.message) {
            Some(Serving::Yes) => Ok(()),
            Some(Serving::No(status)) => Err(CheckError::NotServing(status)),
            None => Err(CheckError::GrpcMalformed),
        }
    }
}
