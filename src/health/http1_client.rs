//! One request over HTTP/1.1, on its own connection.

use std::io;

use super::{
    error::{CheckError, check_status},
    expect::BodyMatch,
    user_agent::USER_AGENT,
};
use crate::{
    http1::{BodyDecoder, FieldSlots, HeadScan, HeadWriter, ResponseHead},
    message::{Limits, RequestContextForResponse, RequestFraming, ResponseFraming},
    model::{HealthMethod, HealthSpec},
    net::Stream,
};

/// Checks over HTTP/1.1. Only the needed part of the body is read, since the connection is not reused.
pub(super) async fn ask(
    stream: &Stream,
    authority: &str,
    health: &HealthSpec,
) -> Result<(), CheckError> {
    let request = request(authority, health)?;
    stream
        .write_all(&request)
        .await
        .map_err(CheckError::Exchange)?;
    let limits = Limits::default();
    let asked = RequestContextForResponse {
        head: health.method == HealthMethod::Head,
        ..RequestContextForResponse::default()
    };
    let mut received = Vec::new();
    loop {
        receive(stream, &mut received).await?;
        while let Some(head) = HeadScan::default()
            .response(&received, &limits)
            .map_err(CheckError::Malformed)?
        {
            let mut slots = FieldSlots::new();
            let facts = ResponseHead::parse(&received[head.clone()], &limits, &mut slots)
                .and_then(|head| head.validate(asked, &limits))
                .map_err(CheckError::Malformed)?;
            let (status, framing) = (facts.status, facts.framing);
            received.drain(..head.end);
            if status >= 200 {
                check_status(status, health)?;
                return find_in_body(stream, received, framing, health).await;
            }
        }
    }
}

async fn find_in_body(
    stream: &Stream,
    mut received: Vec<u8>,
    framing: ResponseFraming,
    health: &HealthSpec,
) -> Result<(), CheckError> {
    let Some(text) = &health.body else {
        return Ok(());
    };
    let missing = || CheckError::Body(text.clone());
    let mut body = BodyMatch::new(text);
    let mut decoder = BodyDecoder::response(framing, &Limits::default());
    loop {
        let decoded = decoder.decode(&received).map_err(CheckError::BrokenBody)?;
        match body.push(&received[decoded.data]) {
            Some(true) => return Ok(()),
            Some(false) => return Err(missing()),
            None if decoded.end => return Err(missing()),
            None => {}
        }
        received.drain(..decoded.consumed);
        if decoded.consumed == 0 || received.is_empty() {
            match receive(stream, &mut received).await {
                Err(CheckError::Closed) if framing == ResponseFraming::UntilClose => {
                    return Err(missing());
                }
                result => result?,
            }
        }
    }
}

fn request(authority: &str, health: &HealthSpec) -> Result<Vec<u8>, CheckError> {
    let path = health.path.as_str();
    let (front, query) = path.split_once('?').map_or((path, None), |(front, query)| {
        (front, Some(query.as_bytes()))
    });
    let mut request = Vec::new();
    let method = health.method.as_str().as_bytes();
    let mut writer = HeadWriter::request(&mut request, method, front.as_bytes(), query);
    writer
        .add("host", authority)
        .add("user-agent", USER_AGENT)
        .add("accept", "*/*")
        .add("connection", "close");
    let framing = match health.method {
        // Without a length some servers wait for the body of a POST.
        HealthMethod::Post => RequestFraming::Length(0),
        HealthMethod::Get | HealthMethod::Head | HealthMethod::Options => RequestFraming::None,
    };
    writer
        .finish(framing)
        .map_err(|_| CheckError::Path(path.into()))?;
    Ok(request)
}

async fn receive(stream: &Stream, received: &mut Vec<u8>) -> Result<(), CheckError> {
    let mut chunk = [0; 4096];
    loop {
        stream.readable().await.map_err(CheckError::Exchange)?;
        match stream.try_read(&mut chunk) {
            Ok(0) => return Err(CheckError::Closed),
            Ok(length) => {
                received.extend_from_slice(&chunk[..length]);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(CheckError::Exchange(error)),
        }
    }
}
