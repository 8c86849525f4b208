//! Sessions of browsers: a token is exchanged for a cookie, so that no script of a page ever holds the token.
//!
//! The cookie is out of reach of scripts (`HttpOnly`) and is not sent by other sites (`SameSite=Strict`). Sessions are
//! in memory only, and a restart ends them. The id is kept as its hash, like a token.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::caller::Caller;

/// Sessions at a time; a further one ends the oldest of the caller that has the most.
const MOST: usize = 256;

/// Lifetime of a session.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Bytes of an id.
const ID: usize = 32;

/// A session and its end.
#[derive(Debug, Clone)]
pub(super) struct BrowserSession {
    pub(super) caller: Caller,
    pub(super) ends: Instant,
    hash: [u8; 32],
}

/// The sessions, the oldest first.
#[derive(Debug)]
pub(super) struct BrowserSessions {
    cookie: String,
    is_tls: bool,
    open: Mutex<Vec<BrowserSession>>,
}

impl BrowserSessions {
    /// No session yet. A cookie belongs to all ports of a host, so the listener's port is part of its name.
    pub(super) fn new(port: u16, is_tls: bool) -> Self {
        Self {
            cookie: format!("switchback-session-{port}"),
            is_tls,
            open: Mutex::default(),
        }
    }

    /// Begins a session. The result is the field `Set-Cookie`, or `None` without random numbers.
    pub(super) fn begin(
        &self,
        caller: Caller,
        headers: &HeaderMap,
        now: Instant,
    ) -> Option<HeaderValue> {
        let mut id = [0; ID];
        SystemRandom::new().fill(&mut id).ok()?;
        let id = URL_SAFE_NO_PAD.encode(id);
        let session = BrowserSession {
            caller,
            ends: now + LIFETIME,
            hash: Sha256::digest(id.as_bytes()).into(),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| session.ends > now);
        open.push(session);
        if open.len() > MOST {
            remove_surplus(&mut open);
        }
        drop(open);
        Some(self.field(&id, LIFETIME, headers))
    }

    /// The session of a request.
    pub(super) fn find(&self, headers: &HeaderMap, now: Instant) -> Option<BrowserSession> {
        let hash = self.hash(headers)?;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open
            .iter()
            .find(|session| bool::from(session.hash.ct_eq(&hash)));
        found.filter(|session| session.ends > now).cloned()
    }

    /// Ends the session of a request. The result is the field that removes the cookie.
    pub(super) fn end(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(hash) = self.hash(headers) {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|session| !bool::from(session.hash.ct_eq(&hash)));
        }
        self.field("", Duration::ZERO, headers)
    }

    fn hash(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        let fields = headers.get_all(header::COOKIE).iter();
        let texts = fields.filter_map(|field| field.to_str().ok());
        let mut pairs = texts
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let (_, id) = pairs.find(|(name, _)| *name == self.cookie)?;
        Some(Sha256::digest(id.as_bytes()).into())
    }

    /// `Set-Cookie`. The page is at `https` as well where TLS ends before this listener.
    fn field(&self, id: &str, lifetime: Duration, headers: &HeaderMap) -> HeaderValue {
        let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        let is_secure = self.is_tls || origin.is_some_and(|origin| origin.starts_with(b"https:"));
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!(
            "{}={id}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
            self.cookie,
            lifetime.as_secs()
        );
        HeaderValue::from_str(&text).expect("a name, digits and base64 are a header value")
    }
}

/// Removes the oldest session of the caller that has the most of them, so that one caller ends none of another.
fn remove_surplus(open: &mut Vec<BrowserSession>) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for session in open.iter() {
        *counts.entry(&session.caller.name).or_default() += 1;
    }
    let of = |session: &BrowserSession| counts.get(&*session.caller.name).copied();
    let most = open.iter().filter_map(of).max();
    let oldest = open.iter().position(|session| of(session) == most);
    if let Some(oldest) = oldest {
        open.remove(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(field: &HeaderValue) -> HeaderMap {
        let pair = field.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, format!("a=b; {pair}").parse().unwrap())])
    }

    #[test]
    fn a_session_is_found_by_its_cookie_until_its_end() {
        let (sessions, now) = (BrowserSessions::new(9900, false), Instant::now());
        let field = sessions.begin(Caller::local(), &HeaderMap::new(), now);
        let field = field.unwrap();
        let text = field.to_str().unwrap();
        assert!(text.starts_with("switchback-session-9900="), "{text}");
        assert!(text.ends_with("HttpOnly; SameSite=Strict"), "{text}");
        let headers = cookie(&field);
        let shortly_before = LIFETIME.checked_sub(Duration::from_secs(1)).unwrap();
        let found = sessions.find(&headers, now + shortly_before);
        assert_eq!(&*found.unwrap().caller.name, "local");
        assert!(sessions.find(&headers, now + LIFETIME).is_none());
        assert!(sessions.find(&HeaderMap::new(), now).is_none());
        let other = HeaderValue::from_static("switchback-session-9900=AAAA");
        assert!(sessions.find(&cookie(&other), now).is_none());
    }

    #[test]
    fn a_session_ends_at_once_and_its_cookie_goes() {
        let (sessions, now) = (BrowserSessions::new(1, false), Instant::now());
        let begin = || sessions.begin(Caller::local(), &HeaderMap::new(), now);
        let (one, two) = (begin().unwrap(), begin().unwrap());
        let gone = sessions.end(&cookie(&one));
        assert!(gone.to_str().unwrap().contains("Max-Age=0"));
        assert!(sessions.find(&cookie(&one), now).is_none());
        assert!(sessions.find(&cookie(&two), now).is_some());
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_ends_first() {
        let (sessions, now) = (BrowserSessions::new(1, false), Instant::now());
        let fields: Vec<_> = (0..=MOST)
            .map(|_| sessions.begin(Caller::local(), &HeaderMap::new(), now))
            .collect();
        let is_open = |field: &Option<HeaderValue>| {
            let headers = cookie(field.as_ref().unwrap());
            sessions.find(&headers, now).is_some()
        };
        assert!(!is_open(&fields[0]));
        assert!(fields[1..].iter().all(is_open));
    }

    #[test]
    fn one_caller_ends_no_session_of_another() {
        let (sessions, now) = (BrowserSessions::new(1, false), Instant::now());
        let begin = |name: &str| {
            let caller = Caller {
                name: name.into(),
                ..Caller::local()
            };
            let field = sessions.begin(caller, &HeaderMap::new(), now);
            cookie(&field.unwrap())
        };
        let operator = begin("alice");
        let screens: Vec<_> = (0..2 * MOST).map(|_| begin("wall")).collect();
        let later = begin("bob");
        for headers in [&operator, &later, &screens[2 * MOST - 1]] {
            assert!(sessions.find(headers, now).is_some());
        }
        assert!(sessions.find(&screens[MOST], now).is_none());
    }

    #[test]
    fn a_cookie_of_a_page_with_tls_is_never_sent_without() {
        let is_secure = |sessions: &BrowserSessions, origin: &'static str| {
            let origin = (header::ORIGIN, HeaderValue::from_static(origin));
            let headers = HeaderMap::from_iter([origin]);
            let field = sessions.begin(Caller::local(), &headers, Instant::now());
            field.unwrap().to_str().unwrap().ends_with("; Secure")
        };
        let (plain, tls) = (
            BrowserSessions::new(1, false),
            BrowserSessions::new(1, true),
        );
        assert!(is_secure(&tls, "https://localhost:1"));
        assert!(is_secure(&plain, "https://switch.internal"));
        assert!(!is_secure(&plain, "http://localhost:1"));
    }
}
