//! Answer to a request of the control plane, whose body is read piece by piece or as a whole.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Response,
    body::Incoming,
    header::{self, HeaderMap},
};

use super::http_connection::{HttpConnection, HttpError};

/// Answer with a body that is still to be read; the connection ends with it.
pub struct HttpAnswer {
    response: Response<Incoming>,
    // Held: it drives the connection.
    _connection: HttpConnection,
}

impl HttpAnswer {
    pub(super) const fn new(response: Response<Incoming>, connection: HttpConnection) -> Self {
        Self {
            response,
            _connection: connection,
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The fields of the head.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Time after which the server wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.response.headers(), SystemTime::now())
    }

    /// The next piece of the body; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// If the body is cut off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(|error| HttpError::of_step("body", &error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body, up to `most` bytes.
    ///
    /// # Errors
    /// If it is cut off or larger.
    pub async fn whole(mut self, most: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > most {
                return Err(HttpError::Large(most));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HttpAnswer");
        shown
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = fields.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let asked = |text: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&fields, now).map(|pause| pause.as_secs())
        };
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Thu, 01 Jan 1970 00:18:20 GMT"), Some(100));
        assert_eq!(asked("Thu, 01 Jan 1970 00:00:20 GMT"), Some(0));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
