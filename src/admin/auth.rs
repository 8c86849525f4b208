//! Authentication and authorization of the admin API: bearer tokens, their roles and names.
//!
//! Without tokens every client that reaches the address has full access, so the address must be loopback. A token is
//! kept as its hash and compared in constant time with every configured token, so that response times reveal neither
//! how much of a guess was right nor which token it was near to. A browser sends a cookie instead, which it got for a
//! token.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use super::{
    auth_failures::{AuthFailure, AuthFailures, Rejected},
    browser_guard::{comes_from_a_page, cross_site},
    browser_sessions::{BrowserSession, BrowserSessions},
    caller::Caller,
    connections::Connection,
    error::ApiError,
};
use crate::config::{TokenRole, TokenSpec};

/// Shortest token: anything shorter can be guessed.
const SHORTEST: usize = 16;

/// Error of an unsafe access configuration.
#[derive(Debug, Error)]
pub enum AccessError {
    /// A public address without an operator token.
    #[error(
        "the admin API would listen on {0}, which is not loopback, without an operator token: configure one, or listen on 127.0.0.1"
    )]
    Exposed(SocketAddr),
    /// A token's file cannot be read.
    #[error("the token file `{}` cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A token's variable is not set.
    #[error("the environment variable `{0}` of a token is not set")]
    Missing(String),
    /// Neither a file nor a variable, or both.
    #[error("the token `{0}` needs either a file or an environment variable")]
    Source(String),
    /// A token that can be guessed or cannot be sent.
    #[error("the token `{0}` is not 16 or more visible ASCII characters")]
    Weak(String),
}

struct Token {
    hash: [u8; 32],
    caller: Caller,
}

/// The accepted tokens; if there is none, authentication is off.
pub struct Access {
    tokens: Vec<Token>,
}

/// Authentication of requests, by a token or by the cookie of a browser's session.
pub(super) struct Authenticator {
    access: Access,
    sessions: BrowserSessions,
    failures: AuthFailures,
}

impl Access {
    /// Reads the tokens, and rejects a public address without one.
    ///
    /// # Errors
    /// When a token cannot be read or is too weak, or when the address is public without an operator token.
    pub fn load(specs: &[TokenSpec], address: SocketAddr) -> Result<Self, AccessError> {
        let tokens = specs
            .iter()
            .map(Token::read)
            .collect::<Result<Vec<_>, _>>()?;
        let operator = tokens
            .iter()
            .any(|token| token.caller.role == TokenRole::Operator);
        if !address.ip().to_canonical().is_loopback() && !operator {
            return Err(AccessError::Exposed(address));
        }
        Ok(Self { tokens })
    }

    /// True if a token is required.
    pub fn asks(&self) -> bool {
        !self.tokens.is_empty()
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, AuthFailure> {
        if !self.asks() {
            return Ok(Caller::local());
        }
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            let is_sent = headers.contains_key(header::AUTHORIZATION);
            return Err(if is_sent {
                AuthFailure::Malformed
            } else {
                AuthFailure::Missing
            });
        };
        let presented = bearer(field.as_bytes()).ok_or(AuthFailure::Malformed)?;
        self.find(presented).cloned().ok_or(AuthFailure::Unknown)
    }

    /// Compares with every token, even after a match.
    fn find(&self, presented: &[u8]) -> Option<&Caller> {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let mut found = u64::MAX;
        for (place, token) in (0_u64..).zip(&self.tokens) {
            let same: Choice = hash.ct_eq(&token.hash);
            found.conditional_assign(&place, same);
        }
        let place = usize::try_from(found).ok()?;
        self.tokens.get(place).map(|token| &token.caller)
    }
}

impl Authenticator {
    pub(super) fn new(access: Access, sessions: BrowserSessions) -> Self {
        Self {
            access,
            sessions,
            failures: AuthFailures::default(),
        }
    }

    /// True if a token is required.
    pub(super) fn asks(&self) -> bool {
        self.access.asks()
    }

    /// The caller of a request. A token comes before a cookie.
    pub(super) fn caller(&self, headers: &HeaderMap, now: Instant) -> Result<Caller, AuthFailure> {
        let failure = match self.access.caller(headers) {
            Err(failure @ AuthFailure::Missing) => failure,
            done => return done,
        };
        let session = self.session(headers, now);
        session.map(|session| session.caller).ok_or(failure)
    }

    /// The session by which a request without a token is authenticated.
    pub(super) fn session(&self, headers: &HeaderMap, now: Instant) -> Option<BrowserSession> {
        let is_by_token = !self.asks() || headers.contains_key(header::AUTHORIZATION);
        (!is_by_token).then(|| self.sessions.find(headers, now))?
    }

    /// The caller with a token.
    pub(super) fn known(&self, token: &str) -> Result<Caller, AuthFailure> {
        let found = self.access.find(token.trim().as_bytes());
        found.cloned().ok_or(AuthFailure::Unknown)
    }

    /// Begins a session; `None` without random numbers.
    pub(super) fn begin(
        &self,
        caller: Caller,
        headers: &HeaderMap,
        now: Instant,
    ) -> Option<HeaderValue> {
        self.sessions.begin(caller, headers, now)
    }

    /// Ends the session of a request.
    pub(super) fn end(&self, headers: &HeaderMap) -> HeaderValue {
        self.sessions.end(headers)
    }

    /// Counts and logs a failure.
    pub(super) fn note(&self, rejected: &Rejected<'_>, failure: AuthFailure) {
        self.failures.note(rejected, failure);
    }

    /// True if a change is authenticated by a cookie alone, and nothing says that our own page sent it. The guard has
    /// refused what says that another page did.
    fn is_unmarked(&self, request: &Request) -> bool {
        let headers = request.headers();
        self.asks()
            && changes(request.method())
            && !headers.contains_key(header::AUTHORIZATION)
            && !comes_from_a_page(headers)
    }
}

impl Token {
    fn read(spec: &TokenSpec) -> Result<Self, AccessError> {
        let name = spec.name();
        let secret = match (&spec.file, &spec.env) {
            (Some(path), None) => {
                std::fs::read_to_string(path).map_err(|source| AccessError::File {
                    path: path.clone(),
                    source,
                })?
            }
            (None, Some(variable)) => {
                std::env::var(variable).map_err(|_| AccessError::Missing(variable.clone()))?
            }
            _ => return Err(AccessError::Source(name)),
        };
        let secret = secret.trim();
        if secret.len() < SHORTEST || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(AccessError::Weak(name));
        }
        Ok(Self {
            hash: Sha256::digest(secret.as_bytes()).into(),
            caller: Caller {
                name: name.into(),
                role: spec.role,
            },
        })
    }
}

fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then(|| token.trim_ascii())
}

pub(super) fn unauthorized(failure: AuthFailure) -> ApiError {
    let detail = match failure {
        AuthFailure::Forbidden => "the token is read-only",
        AuthFailure::Malformed => "`authorization` is not a single bearer token",
        AuthFailure::Missing => "a bearer token is required",
        AuthFailure::Unknown => "the token is unknown",
    };
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "authentication required",
    )
    .detail(detail)
    .hint("send `authorization: Bearer TOKEN`")
    .field(header::WWW_AUTHENTICATE, "Bearer realm=\"switchback\"")
}

/// Authenticates a request, checks its permission and records the caller.
pub(super) async fn authenticate(
    State(authenticator): State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    let found = authenticator.caller(request.headers(), Instant::now());
    let caller = match found {
        Ok(caller) => caller,
        Err(failure) => {
            authenticator.note(&Rejected::of(&request), failure);
            return unauthorized(failure).into_response();
        }
    };
    if authenticator.is_unmarked(&request) {
        return cross_site("a change with a cookie needs `Origin`").into_response();
    }
    if authenticator.asks()
        && let Some(connection) = request.extensions().get::<Arc<Connection>>()
    {
        connection.mark_known();
    }
    if caller.role != TokenRole::Operator && changes(request.method()) {
        authenticator.note(&Rejected::of(&request), AuthFailure::Forbidden);
        return ApiError::new(StatusCode::FORBIDDEN, "forbidden", "read-only token")
            .detail(format!(
                "the token `{}` may not change anything",
                caller.name
            ))
            .into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// True if a method is one that changes something.
pub(super) fn changes(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);
    const PUBLIC: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9900);

    fn spec(role: TokenRole, secret: &str, dir: &tempfile::TempDir) -> TokenSpec {
        let path = dir.path().join(format!("{role:?}"));
        io::Write::write_all(
            &mut std::fs::File::create(&path).unwrap(),
            secret.as_bytes(),
        )
        .unwrap();
        serde_json::from_value(serde_json::json!({ "role": role, "file": path })).unwrap()
    }

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn a_public_address_needs_an_operator() {
        let dir = tempfile::tempdir().unwrap();
        let reader = spec(TokenRole::ReadOnly, "0123456789abcdef", &dir);
        let operator = spec(TokenRole::Operator, "fedcba9876543210", &dir);
        assert!(Access::load(&[], LOOPBACK).is_ok());
        assert!(matches!(
            Access::load(&[], PUBLIC),
            Err(AccessError::Exposed(_))
        ));
        assert!(Access::load(std::slice::from_ref(&reader), PUBLIC).is_err());
        assert!(Access::load(&[reader, operator], PUBLIC).is_ok());
    }

    #[test]
    fn a_token_is_known_by_its_whole_text() {
        let dir = tempfile::tempdir().unwrap();
        let operator = spec(TokenRole::Operator, "fedcba9876543210\n", &dir);
        let reader = spec(TokenRole::ReadOnly, "0123456789abcdef", &dir);
        let access = Access::load(&[operator, reader], LOOPBACK).unwrap();
        let role = |value: &str| access.caller(&headers(value)).map(|caller| caller.role);
        assert_eq!(
            role("Bearer fedcba9876543210").unwrap(),
            TokenRole::Operator
        );
        assert_eq!(
            role("bearer 0123456789abcdef").unwrap(),
            TokenRole::ReadOnly
        );
        for wrong in [
            "Bearer fedcba987654321",
            "Bearer fedcba98765432100",
            "Bearer ",
            "Basic fedcba9876543210",
        ] {
            assert_eq!(
                unauthorized(role(wrong).unwrap_err()).status(),
                StatusCode::UNAUTHORIZED,
                "{wrong}"
            );
        }
        assert!(access.caller(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_short_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let weak = spec(TokenRole::Operator, "secret", &dir);
        assert!(matches!(
            Access::load(&[weak], LOOPBACK),
            Err(AccessError::Weak(_))
        ));
    }
}
