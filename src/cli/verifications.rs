//! Verifications of rollbacks: shown, and waited for.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{
    client::{ApiRequest, ApiResponse, Client},
    exit::{Exit, Failure},
    output::{Out, print},
    text::{Columns, clean, count},
};
use crate::api::{Receipt, Verification, VerificationList, VerificationState, VerificationVerdict};

/// Longest wait of one request.
const ONCE: Duration = Duration::from_secs(20);
/// Time for which a switchback that cannot be reached is asked again: it may be restarting.
const RESTARTING: Duration = Duration::from_secs(30);
/// Interval at which it is asked then.
const LOOK: Duration = Duration::from_secs(1);

/// Shows a verification, the latest one by default; with `wait` once it has ended.
pub(super) async fn verification(
    client: &Client,
    id: Option<&str>,
    wait: bool,
) -> Result<Out, Failure> {
    let Some(id) = id else {
        return list(client).await;
    };
    if !wait {
        let (verification, answer) = read(client, ApiRequest::get(path(id))).await?;
        return Ok(Out {
            text: shown(&verification),
            json: answer.body,
        });
    }
    let (verification, answer) = ended(client, id).await?;
    concluded(&verification, shown(&verification), answer.body)
}

/// Shows the receipt of a rollback, and waits for its verification.
pub(super) async fn verified(
    client: &Client,
    receipt: &Receipt,
    (done, is_json): (Out, bool),
) -> Result<Out, Failure> {
    let Some(id) = &receipt.verification else {
        let reason = if receipt.changed {
            "the verification of rollbacks is switched off"
        } else {
            "nothing was changed"
        };
        let failure = Failure::new(Exit::NotVerified, format!("not verified: {reason}"));
        return Err(failure.with_json(done.json));
    };
    if !is_json {
        print(done.text.as_bytes());
    }
    let (verification, answer) = ended(client, id).await?;
    let mut json = br#"{"receipt":"#.to_vec();
    json.extend(done.json.trim_ascii());
    json.extend(br#","verification":"#);
    json.extend(answer.body.trim_ascii());
    json.push(b'}');
    concluded(&verification, shown(&verification), json)
}

/// The output, or the failure by which the exit status tells the verdict.
fn concluded(verification: &Verification, text: String, json: Vec<u8>) -> Result<Out, Failure> {
    let exit = match verification.verdict {
        VerificationVerdict::Recovered => return Ok(Out { text, json }),
        VerificationVerdict::NotRecovered => Exit::NotRecovered,
        VerificationVerdict::Worse => Exit::Worse,
        VerificationVerdict::NotEnoughData => Exit::NotVerified,
    };
    Err(Failure::new(exit, text.trim_end()).with_json(json))
}

/// Waits for the end of a verification: at the server or, if too many wait there or it restarts, here.
async fn ended(client: &Client, id: &str) -> Result<(Verification, ApiResponse), Failure> {
    let mut reached = Instant::now();
    loop {
        let ask = ApiRequest::get(path(id)).waiting_for("ended", ONCE);
        match read(client, ask).await {
            Ok(seen) if seen.0.state != VerificationState::Running => return Ok(seen),
            Ok(_) => reached = Instant::now(),
            Err(failure) => {
                let is_away = matches!(failure.exit, Exit::Unreachable | Exit::TryAgain);
                if !is_away || reached.elapsed() > RESTARTING {
                    return Err(failure);
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

async fn read(client: &Client, ask: ApiRequest) -> Result<(Verification, ApiResponse), Failure> {
    let answer = client.send(ask).await?;
    Ok((answer.read()?, answer))
}

/// The path of a verification; what cannot be an id stays out of it.
fn path(id: &str) -> String {
    let plain: String = id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    format!("/v1/verifications/{plain}")
}

async fn list(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/verifications")).await?;
    let list: VerificationList = answer.read()?;
    let mut rows = Columns::titled(&["ROLLBACK", "AT", "STATE", "VERDICT", "WORDS"]);
    for one in &list.verifications {
        rows.row(vec![
            clean(&one.id),
            one.started_at.to_string(),
            one.state.as_str().to_owned(),
            one.verdict.as_str().to_owned(),
            clean(&one.words),
        ]);
    }
    Ok(Out {
        text: rows.shown(),
        json: answer.body,
    })
}

fn shown(verification: &Verification) -> String {
    let mut text = format!(
        "{}\n  rollback {}, {} after {}\n",
        clean(&verification.words),
        verification.revision,
        verification.state.as_str(),
        verification.held
    );
    for route in &verification.routes {
        let requests = count(route.requests, "request");
        let verdict = route.verdict.as_str();
        let _ = writeln!(text, "  {}: {verdict}, {requests}", route.route);
        for signal in &route.signals {
            let _ = writeln!(text, "    {}", clean(&signal.words));
        }
    }
    if verification.more_routes > 0 {
        let more = verification.more_routes;
        let _ = writeln!(text, "  {more} more routes are not looked at");
    }
    for change in &verification.also_changed {
        let _ = writeln!(text, "  also: {}", clean(&change.words));
    }
    text
}
