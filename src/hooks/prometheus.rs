//! Queries of a Prometheus, by its HTTP API.

use std::{fmt, fs, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};

use super::error::{CallError, HookError};
use crate::{
    config,
    model::{HookUrl, HumanDuration, Scheme},
    net::{ClientTls, ClientTlsSettings, Post, post},
};

/// Largest answer that is read: one value is short.
const LARGEST: usize = 64 * 1024;
/// Largest number of queries that are asked at the same time.
const MOST: usize = 16;

/// A Prometheus, ready to be asked.
pub struct Prometheus {
    url: HookUrl,
    /// Set for `https`.
    tls: Option<Arc<ClientTls>>,
    token: Option<String>,
    timeout: Duration,
    interval: HumanDuration,
    room: Semaphore,
}

/// Answer to an instant query.
#[derive(Deserialize)]
struct Response {
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "resultType", content = "result")]
enum Data {
    Scalar((f64, String)),
    Vector(Vec<Series>),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    value: (f64, String),
}

impl Prometheus {
    /// Reads the token and the certificates of the settings; `None` if there is no Prometheus.
    ///
    /// # Errors
    /// If one of them cannot be read or used.
    pub fn load(settings: &config::Prometheus) -> Result<Option<Self>, HookError> {
        let Some(url) = &settings.url else {
            return Ok(None);
        };
        let tls = match url.origin().scheme() {
            Scheme::Http => None,
            Scheme::Https => {
                let tls = ClientTls::load(&ClientTlsSettings {
                    ca: settings.ca.clone(),
                    ..ClientTlsSettings::default()
                });
                Some(Arc::new(tls.map_err(HookError::Tls)?))
            }
        };
        let token = settings.token.as_ref().map(token);
        Ok(Some(Self {
            url: url.under("/api/v1/query"),
            tls,
            token: token.transpose()?,
            timeout: settings.timeout.0,
            interval: settings.interval,
            room: Semaphore::new(MOST),
        }))
    }

    /// Interval at which values are asked for.
    pub const fn interval(&self) -> HumanDuration {
        self.interval
    }

    /// The value of a query now.
    ///
    /// # Errors
    /// If there is none: the server does not answer, or its answer is not one value.
    pub async fn value(&self, query: &str) -> Result<f64, CallError> {
        let seconds = self.timeout.as_secs_f64();
        let body = format!("query={}&timeout={seconds}s", form_encoded(query));
        let bearer = |token| ("authorization", format!("Bearer {token}"));
        let request = Post {
            url: &self.url,
            tls: self.tls.as_ref(),
            content_type: "application/x-www-form-urlencoded",
            accept: "application/json",
            fields: self.token.as_ref().map(bearer).into_iter().collect(),
            body: body.into(),
        };
        let _turn = self.room.acquire().await;
        let answer = timeout(self.timeout, post(request, LARGEST)).await;
        let answer = answer.map_err(|_| CallError::Timeout(self.timeout))??;
        value(&answer).map_err(CallError::Answer)
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The one value of an answer.
fn value(answer: &[u8]) -> Result<f64, String> {
    let response: Response = serde_json::from_slice(answer)
        .map_err(|error| format!("the answer is not that of a Prometheus: {error}"))?;
    let text = match response.data {
        Some(Data::Scalar((_, text))) => text,
        Some(Data::Vector(mut series)) if series.len() == 1 => series.remove(0).value.1,
        Some(Data::Vector(series)) if series.is_empty() => {
            return Err("no series, so there is no value".to_owned());
        }
        Some(Data::Vector(series)) => {
            return Err(format!(
                "{} series, not one; put `sum(…)` or `max(…)` around the query",
                series.len()
            ));
        }
        Some(Data::Matrix(_) | Data::String(_)) => return Err("no number".to_owned()),
        None => return Err(response.error.unwrap_or_else(|| "no data".to_owned())),
    };
    let number = text.parse().ok().filter(|value: &f64| value.is_finite());
    number.ok_or_else(|| format!("`{text}` is no number that can be compared"))
}

fn token(spec: &config::SecretSpec) -> Result<String, HookError> {
    let text = match (&spec.file, &spec.env) {
        (Some(path), _) => fs::read_to_string(path).map_err(|source| HookError::SecretFile {
            path: path.clone(),
            source,
        })?,
        (None, variable) => {
            let variable = variable.clone().unwrap_or_default();
            std::env::var(&variable).map_err(|_| HookError::SecretMissing(variable))?
        }
    };
    Ok(text.trim().to_owned())
}

/// A text as a value of a form.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(half.into(), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_read_and_anything_else_is_an_error() {
        let of = |data: &str| value(format!(r#"{{"status":"success","data":{data}}}"#).as_bytes());
        let vector =
            |series: &str| of(&format!(r#"{{"resultType":"vector","result":[{series}]}}"#));
        let one = r#"{"metric":{"a":"b"},"value":[1435781451.781,"0.5"]}"#;
        assert_eq!(vector(one), Ok(0.5));
        assert_eq!(of(r#"{"resultType":"scalar","result":[1,"3"]}"#), Ok(3.0));
        for (answer, part) in [
            (vector(""), "no series"),
            (vector(&format!("{one},{one}")), "2 series, not one"),
            (vector(&one.replace("0.5", "NaN")), "`NaN` is no number"),
            (of(r#"{"resultType":"matrix","result":[]}"#), "no number"),
            (value(b"<html>"), "not that of a Prometheus"),
            (
                value(br#"{"status":"error","error":"parse error"}"#),
                "parse error",
            ),
        ] {
            let error = answer.unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_query_is_written_as_a_form() {
        assert_eq!(
            form_encoded(r#"rate(e{a="ü"}[1m]) + 1"#),
            "rate%28e%7Ba%3D%22%C3%BC%22%7D%5B1m%5D%29%20%2B%201"
        );
    }
}
