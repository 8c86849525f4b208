//! The credentials that requests of a route need, and the check of those that they bring.

use std::{net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use subtle::{Choice, ConstantTimeEq as _};

use super::hash;
use crate::{
    fleet::{Fleet, RateBuckets, RateLimitOf},
    model::{AffinitySource, GuardSpec, Rate, RateLimitSpec, RouteName, SecretDigest},
};

/// Longest credentials that are looked at.
const LONGEST: usize = 1_024;
/// Failures of one client that are checked at once; then it is one each two seconds.
const BURST: u32 = 20;
/// Clients whose failures are counted.
const CLIENTS: u32 = 4_096;

/// The guard of a route.
#[derive(Debug)]
pub struct AccessGuard {
    users: Box<[(Box<[u8]>, SecretDigest)]>,
    tokens: Box<[SecretDigest]>,
    forwards: bool,
    /// Values of `WWW-Authenticate`.
    challenges: Box<[Box<[u8]>]>,
    failures: Arc<RateBuckets>,
}

/// Reason why a request does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessError {
    /// It has no credentials, or wrong ones.
    Unauthorized,
    /// Too many failures: the credentials are not looked at for this time.
    Wait(Duration),
}

/// Credentials as a request brings them.
enum Credentials<'c> {
    Basic { user: &'c [u8], password: &'c [u8] },
    Bearer(&'c [u8]),
}

impl AccessGuard {
    pub(super) fn new(route: &RouteName, spec: &GuardSpec, fleet: &Fleet) -> Self {
        let user = |(name, digest): (&String, &SecretDigest)| (name.as_bytes().into(), *digest);
        let basic =
            (!spec.basic.is_empty()).then(|| format!("Basic realm=\"{route}\", charset=\"UTF-8\""));
        let bearer = (!spec.bearer.is_empty()).then(|| format!("Bearer realm=\"{route}\""));
        let challenges = basic.into_iter().chain(bearer);
        Self {
            users: spec.basic.iter().map(user).collect(),
            tokens: spec.bearer.values().copied().collect(),
            forwards: spec.forward,
            challenges: challenges.map(|text| text.into_bytes().into()).collect(),
            failures: fleet.rate_buckets(route, RateLimitOf::Failures, &failures()),
        }
    }

    /// True if endpoints get the field `authorization`.
    pub fn forwards(&self) -> bool {
        self.forwards
    }

    /// Values of `WWW-Authenticate` in a refusal.
    pub fn challenges(&self) -> impl Iterator<Item = &[u8]> {
        self.challenges.iter().map(AsRef::as_ref)
    }

    /// Checks the value of `Authorization`. Guesses of passwords are limited by client and user: a further one is refused
    /// unseen, so that it could not be right. A token cannot be guessed, and a right one always passes.
    ///
    /// # Errors
    /// Without credentials, with wrong ones, and after too many wrong ones.
    pub fn check(
        &self,
        authorization: Option<&[u8]>,
        client: IpAddr,
        now: Duration,
    ) -> Result<(), AccessError> {
        let value = authorization.ok_or(AccessError::Unauthorized)?;
        let mut buffer = [0; LONGEST];
        let credentials = Credentials::parse(value, &mut buffer);
        let user = match &credentials {
            Some(Credentials::Basic { user, .. }) => *user,
            _ => b"",
        };
        let key = key_of(client, user);
        if !user.is_empty()
            && let Some(wait) = self.failures.wait(key, now)
        {
            return Err(AccessError::Wait(wait));
        }
        if credentials.is_some_and(|credentials| self.knows(&credentials)) {
            return Ok(());
        }
        match self.failures.take(key, now) {
            Ok(()) => Err(AccessError::Unauthorized),
            Err(wait) => Err(AccessError::Wait(wait)),
        }
    }

    /// True if the credentials are among its own. All of those are compared, each in constant time.
    fn knows(&self, credentials: &Credentials<'_>) -> bool {
        let found = match credentials {
            Credentials::Basic { user, password } => {
                let digest = SecretDigest::of(password);
                let users = self.users.iter();
                users.fold(Choice::from(0), |found, (name, own)| {
                    found | name.ct_eq(user) & own.0.ct_eq(&digest.0)
                })
            }
            Credentials::Bearer(token) => {
                let digest = SecretDigest::of(token);
                let tokens = self.tokens.iter();
                tokens.fold(Choice::from(0), |found, own| found | own.0.ct_eq(&digest.0))
            }
        };
        found.into()
    }
}

impl<'c> Credentials<'c> {
    /// The credentials in the value of a field; what is encoded is decoded into `buffer`.
    fn parse(value: &'c [u8], buffer: &'c mut [u8; LONGEST]) -> Option<Self> {
        let space = value.iter().position(|byte| *byte == b' ')?;
        let (scheme, text) = (&value[..space], value[space..].trim_ascii());
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Some(Self::Bearer(text));
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let length = STANDARD.decode_slice(text, buffer).ok()?;
        let decoded = &buffer[..length];
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self::Basic {
            user: &decoded[..colon],
            password: &decoded[colon + 1..],
        })
    }
}

/// The limit of failures.
fn failures() -> RateLimitSpec {
    RateLimitSpec {
        rate: Rate::per_minute(30),
        burst: Some(BURST),
        key: vec![AffinitySource::ClientAddress],
        max_keys: CLIENTS,
    }
}

/// Key of the failures of a client for a user.
fn key_of(client: IpAddr, user: &[u8]) -> u64 {
    let client = match client {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    hash::key_of(&[&client.octets()[..], user].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
    const UNAUTHORIZED: Result<(), AccessError> = Err(AccessError::Unauthorized);

    fn guard() -> AccessGuard {
        let digest = |secret: &str| SecretDigest::of(secret.as_bytes()).to_string();
        let spec = serde_json::json!({
            "basic": { "ada": digest("open: sesame"), "bob": digest("other") },
            "bearer": { "ci": digest("token") },
        });
        let spec = serde_json::from_value(spec).unwrap();
        AccessGuard::new(&"chat".parse().unwrap(), &spec, &Fleet::new(1))
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    fn checked(guard: &AccessGuard, value: &str, client: IpAddr) -> Result<(), AccessError> {
        guard.check(Some(value.as_bytes()), client, Duration::from_secs(9))
    }

    #[test]
    fn only_what_is_in_the_table_passes() {
        let guard = guard();
        for right in [
            &basic("ada:open: sesame"),
            &basic("bob:other"),
            "bearer  token",
        ] {
            assert_eq!(checked(&guard, right, CLIENT), Ok(()), "{right}");
        }
        assert_eq!(guard.check(None, CLIENT, Duration::ZERO), UNAUTHORIZED);
        let long = format!("Bearer {}", "x".repeat(LONGEST + 1));
        for wrong in [
            &basic("ada:other"),
            &basic("bob:open: sesame"),
            &basic("ada"),
            &basic(""),
            &basic(":"),
            "Basic token",
            "Basic",
            "Basic *",
            "Bearer open: sesame",
            "Bearer ",
            "Digest token",
            "token",
            "",
            &long,
        ] {
            assert_eq!(checked(&guard, wrong, CLIENT), UNAUTHORIZED, "{wrong}");
        }
        let challenges: Vec<_> = guard.challenges().collect();
        let expected = [
            &b"Basic realm=\"chat\", charset=\"UTF-8\""[..],
            b"Bearer realm=\"chat\"",
        ];
        assert_eq!(challenges, expected);
    }

    #[test]
    fn guesses_are_limited_by_client_and_user_and_tokens_pass_all_the_same() {
        let guard = guard();
        let guess = |user: &str| checked(&guard, &basic(&format!("{user}:x")), CLIENT);
        for _ in 0..BURST {
            assert_eq!(guess("ada"), UNAUTHORIZED);
        }
        let second = Duration::from_secs(2);
        assert_eq!(guess("ada"), Err(AccessError::Wait(second)));
        let right = basic("ada:open: sesame");
        let refused = Err(AccessError::Wait(second));
        assert_eq!(
            checked(&guard, &right, CLIENT),
            refused,
            "it is not looked at"
        );
        assert_eq!(checked(&guard, &right, OTHER), Ok(()), "another client");
        assert_eq!(
            checked(&guard, &basic("bob:other"), CLIENT),
            Ok(()),
            "another user"
        );
        let later = Duration::from_secs(9) + second;
        assert_eq!(guard.check(Some(right.as_bytes()), CLIENT, later), Ok(()));
        for _ in 0..BURST {
            assert_eq!(checked(&guard, "Bearer x", CLIENT), UNAUTHORIZED);
        }
        assert_eq!(
            checked(&guard, "Bearer y", CLIENT),
            Err(AccessError::Wait(second))
        );
        assert_eq!(checked(&guard, "Bearer token", CLIENT), Ok(()));
    }
}
