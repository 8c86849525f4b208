//! One order, from the account to a certificate that was checked.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::time::{sleep, timeout};

use super::{
    account::Authority,
    client::AcmeClient,
    leaf::{LeafFacts, LeafId},
    problem::{FailureKind, OrderFailure},
    shared_view::SharedChallenge,
    validation::{Answers, Validation},
};
use crate::{config::AcmeChallenge, net::IssuedCertificate};

/// Timeout for a whole order.
const WHOLE: Duration = Duration::from_secs(300);
/// Pause before the first look at an order, which doubles up to the longest.
const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// Longest pause between two looks that a directory may ask for.
const LONGEST_ASKED: u64 = 60;
/// Attempts at an order of which the directory refuses the marks against replay; the library makes three of each request.
const ATTEMPTS: usize = 5;
/// Time in which all nodes of a fleet learn of a question that the authority may ask any of them.
const SPREAD: Duration = Duration::from_secs(1);
/// Seconds by which the clocks of the authority and of this machine may differ.
const SKEW: u64 = 3_600;

/// The certificate that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) domain: String,
    pub(super) challenge: AcmeChallenge,
    /// The certificate that it takes the place of, where the directory wants to know.
    pub(super) replaces: Option<LeafId>,
}

/// A certificate that is usable.
pub(super) struct Ordered {
    pub(super) certificate: IssuedCertificate,
    pub(super) facts: LeafFacts,
    /// Key and chain.
    pub(super) pem: String,
}

/// Orders a certificate. An account that the directory has lost is registered anew.
pub(super) async fn order(
    authority: &Authority,
    answers: &Answers,
    wanted: &Wanted,
    now: u64,
) -> Result<Ordered, OrderFailure> {
    let ordering = async {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match order_once(authority, answers, wanted).await {
                Err(failure) if failure.kind == FailureKind::BadNonce && left > 0 => {}
                Err(failure) if failure.kind == FailureKind::AccountLost && left > 0 => {
                    tracing::warn!(
                        directory = authority.directory,
                        "the directory does not know the account any more; registering a new one"
                    );
                }
                done => return done,
            }
        }
    };
    let pem = timeout(WHOLE, ordering).await.map_err(|_| {
        let words = format!("it has not ended within {} s", WHOLE.as_secs());
        OrderFailure::new(FailureKind::TooLong, "order", words)
    })??;
    check(pem, &wanted.domain, now)
}

async fn order_once(
    authority: &Authority,
    answers: &Answers,
    wanted: &Wanted,
) -> Result<String, OrderFailure> {
    let (account, client) = authority.account().await?;
    let placed = place(&account, &client, authority, wanted).await;
    let mut order = match placed {
        Err(failure) if failure.kind == FailureKind::AccountLost => {
            authority.forget(account.id()).await?;
            return Err(failure);
        }
        placed => placed?,
    };
    let validated = async {
        let _validations = validate(&mut order, &client, (authority, answers), wanted).await?;
        wait(&mut order, &client, "validation", OrderStatus::Pending).await
    };
    let validated = validated.await;
    if let Some(shared) = authority.shared.get() {
        shared.ask_no_more(&wanted.domain).await;
    }
    validated?;
    let (key, request) = signing_request(&wanted.domain)?;
    let finalized = order.finalize_csr(&request).await;
    finalized.map_err(|error| OrderFailure::of("request", &error, client.asked()))?;
    wait(&mut order, &client, "issue", OrderStatus::Processing).await?;
    let chain = order.certificate().await;
    let chain = chain.map_err(|error| OrderFailure::of("certificate", &error, client.asked()))?;
    let missing = || OrderFailure::new(FailureKind::Unreachable, "certificate", "it is not there");
    Ok(key + &chain.ok_or_else(missing)?)
}

/// Places an order. If the directory does not want to know which certificate it replaces, it is not told.
async fn place(
    account: &Account,
    client: &AcmeClient,
    authority: &Authority,
    wanted: &Wanted,
) -> Result<Order, OrderFailure> {
    let identifiers = [Identifier::Dns(wanted.domain.clone())];
    let plain = || {
        let new = NewOrder::new(&identifiers);
        match &authority.profile {
            Some(profile) => new.profile(profile),
            None => new,
        }
    };
    if let Some(id) = &wanted.replaces {
        let id = CertificateIdentifier {
            authority_key_identifier: id.authority_key.as_str().into(),
            serial: id.serial.as_str().into(),
        };
        match account.new_order(&plain().replaces(id)).await {
            Ok(order) => return Ok(order),
            Err(error) => {
                let failure = OrderFailure::of("order", &error, client.asked());
                let has_its_own_answer = matches!(
                    failure.kind,
                    FailureKind::AccountLost | FailureKind::BadNonce | FailureKind::RateLimited
                );
                if has_its_own_answer {
                    return Err(failure);
                }
            }
        }
    }
    let placed = account.new_order(&plain()).await;
    placed.map_err(|error| OrderFailure::of("order", &error, client.asked()))
}

/// Lets the authority ask, for each domain that it has not validated lately.
async fn validate(
    order: &mut Order,
    client: &AcmeClient,
    (authority, answers): (&Authority, &Answers),
    wanted: &Wanted,
) -> Result<Vec<Validation>, OrderFailure> {
    let failed = |error: &Error| OrderFailure::of("validation", error, client.asked());
    let kind = match wanted.challenge {
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    };
    let mut under_way = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| failed(&error))?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(kind.clone()).ok_or_else(|| {
            let words = format!("the directory offers no {}", wanted.challenge.as_str());
            OrderFailure::new(FailureKind::Refused, "validation", words)
        })?;
        let answer = challenge.key_authorization();
        let token = challenge.token.clone();
        under_way.push(begin(authority, answers, wanted, (&token, answer.as_str())).await?);
        challenge
            .set_ready()
            .await
            .map_err(|error| failed(&error))?;
    }
    Ok(under_way)
}

/// Answers a question from now on, on all nodes of a fleet.
async fn begin(
    authority: &Authority,
    answers: &Answers,
    wanted: &Wanted,
    (token, answer): (&str, &str),
) -> Result<Validation, OrderFailure> {
    let domain = &wanted.domain;
    let Some(shared) = authority.shared.get() else {
        return answers.begin(wanted.challenge, domain, token, answer);
    };
    // That of an earlier order, of another node, must not end this one.
    shared.answered().remove(domain);
    let validation = answers.begin(wanted.challenge, domain, token, answer)?;
    let challenge = SharedChallenge {
        domain: domain.clone(),
        challenge: wanted.challenge,
        token: token.to_owned(),
        answer: answer.to_owned(),
    };
    let asked = shared.ask_all(&challenge).await;
    asked.map_err(OrderFailure::of_sharing)?;
    sleep(SPREAD).await;
    Ok(validation)
}

/// Waits until an order has left a state. A limit on requests ends no order: it is waited for.
async fn wait(
    order: &mut Order,
    client: &AcmeClient,
    step: &'static str,
    state: OrderStatus,
) -> Result<(), OrderFailure> {
    let mut pause = FIRST_LOOK;
    loop {
        let asked = client
            .asked()
            .map(|asked| Duration::from_secs(asked.min(LONGEST_ASKED)));
        sleep(asked.unwrap_or_default().max(pause)).await;
        pause = (pause * 2).min(LONGEST_LOOK);
        let looked = order.refresh().await.map(|order| order.status);
        match looked {
            Ok(OrderStatus::Invalid) => return Err(invalid(order, step).await),
            Ok(status) if is_in(status, state) => {}
            Ok(_) => return Ok(()),
            Err(error) => {
                let asked = client.asked();
                let failure = OrderFailure::of(step, &error, asked);
                if failure.kind != FailureKind::RateLimited {
                    return Err(failure);
                }
                pause = Duration::from_secs(asked.unwrap_or(1).min(LONGEST_ASKED)).max(pause);
            }
        }
    }
}

/// True if an order is still in a state; one that is ready stays so until its request is being processed.
fn is_in(status: OrderStatus, state: OrderStatus) -> bool {
    status == state || state == OrderStatus::Processing && status == OrderStatus::Ready
}

/// The reason for which an order is invalid: its own, or that of a validation.
async fn invalid(order: &mut Order, step: &'static str) -> OrderFailure {
    if let Some(problem) = &order.state().error {
        return OrderFailure::of_problem(step, problem);
    }
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(found) = authorization.refresh().await else {
            continue;
        };
        let mut problems = found.challenges.iter().filter_map(|one| one.error.as_ref());
        if let Some(problem) = problems.next() {
            return OrderFailure::of_problem(step, problem);
        }
    }
    let words = "the order is invalid, and the directory does not say why";
    OrderFailure::new(FailureKind::NotValidated, step, words)
}

/// A new key, PEM, and the request for its certificate, DER.
fn signing_request(domain: &str) -> Result<(String, Vec<u8>), OrderFailure> {
    let made = || {
        let mut params = CertificateParams::new([domain.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate()?;
        let request = params.serialize_request(&key)?;
        Ok::<_, rcgen::Error>((key.serialize_pem(), request.der().to_vec()))
    };
    made().map_err(|error| OrderFailure::new(FailureKind::Refused, "request", error))
}

/// Checks what came before it takes the place of what is served.
pub(super) fn check(pem: String, domain: &str, now: u64) -> Result<Ordered, OrderFailure> {
    let bad = |words: String| OrderFailure::new(FailureKind::BadCertificate, "certificate", words);
    let certificate = IssuedCertificate::from_pem(pem.as_bytes());
    let certificate = certificate.map_err(|error| bad(error.to_string()))?;
    if !certificate.is_for(domain) {
        return Err(bad(format!("it is not for `{domain}`")));
    }
    let facts = LeafFacts::of(certificate.leaf());
    let facts = facts.ok_or_else(|| bad("its dates cannot be read".to_owned()))?;
    let lifetime = facts.lifetime;
    if lifetime.not_after <= now {
        return Err(bad(
            "it has expired; look at the clock of this machine".to_owned()
        ));
    }
    if lifetime.not_before > now + SKEW {
        return Err(bad(
            "it is not valid yet; look at the clock of this machine".to_owned(),
        ));
    }
    Ok(Ordered {
        certificate,
        facts,
        pem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(years: (i32, i32)) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (
            rcgen::date_time_ymd(years.0, 1, 1),
            rcgen::date_time_ymd(years.1, 1, 1),
        );
        key.serialize_pem() + &params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn a_certificate_takes_the_place_of_another_only_if_clients_will_take_it() {
        // The middle of 2026.
        let now = 1_782_864_000;
        assert!(check(made((2026, 2027)), "a.test", now).is_ok());
        let words = |pem, domain| check(pem, domain, now).err().unwrap().to_string();
        assert!(words(made((2026, 2027)), "b.test").contains("not for `b.test`"));
        assert!(words(made((2020, 2026)), "a.test").contains("has expired"));
        assert!(words(made((2027, 2028)), "a.test").contains("not valid yet"));
        let other = made((2026, 2027)) + &made((2026, 2027));
        let (_, swapped) = other.split_once("-----BEGIN CERTIFICATE").unwrap();
        let swapped = format!(
            "{}-----BEGIN CERTIFICATE{swapped}",
            KeyPair::generate().unwrap().serialize_pem()
        );
        assert!(words(swapped, "a.test").contains("certificate: "));
    }

    #[test]
    fn an_order_that_is_ready_is_waited_for_until_it_is_valid() {
        assert!(is_in(OrderStatus::Ready, OrderStatus::Processing));
        assert!(!is_in(OrderStatus::Ready, OrderStatus::Pending));
        assert!(!is_in(OrderStatus::Valid, OrderStatus::Processing));
    }
}
