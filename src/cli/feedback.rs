//! Subcommands of feedback.

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    output::Out,
    text::{Columns, clean},
};
use crate::{
    api::{FeedbackEntry, FeedbackList, FeedbackReceipt, FeedbackRequest},
    model::{RouteName, Thumb},
};

/// Subcommands of feedback.
#[derive(Debug, Subcommand)]
pub(super) enum FeedbackVerb {
    /// List what users say of each release
    #[command(after_help = "Example:\n  switchback feedback list")]
    List,
    /// Give feedback on an answer, by its stamp, its request or its session
    #[command(
        after_help = "The stamp is the field `x-switchback-stamp` of an answer, on a route with `expose_release = \"sealed\"`.\nThe others need `feedback_by` on the route, and the instance that answered.\n\nExamples:\n  switchback feedback give sb1.v7m-EdpTnkUWN4… --thumb down\n  switchback feedback give --request-id 0af7651916cd43dd8448eb211c80319c --thumb down\n  switchback feedback give --session user-7 --route chat --thumb up"
    )]
    Give(Given),
}

/// Feedback on an answer.
#[derive(Debug, Args)]
pub(super) struct Given {
    #[command(flatten)]
    answer: Named,
    /// Route of the session
    #[arg(long, requires = "session", conflicts_with_all = ["stamp", "request_id"])]
    route: Option<RouteName>,
    #[command(flatten)]
    opinion: Said,
}

/// An answer, by one of three names.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Named {
    /// Stamp of the answer
    stamp: Option<String>,
    /// Id of its request: the field `x-request-id` of the answer
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Session, for its last answer: the value that identifies it in its requests
    #[arg(long, value_name = "KEY", requires = "route")]
    session: Option<String>,
}

/// An opinion: one of three.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Said {
    /// From -1 (bad) to 1 (good)
    #[arg(long, allow_negative_numbers = true)]
    score: Option<f64>,
    /// Good or bad
    #[arg(long)]
    thumb: Option<ThumbArg>,
    /// A label of `[feedback.labels]`
    #[arg(long)]
    label: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ThumbArg {
    Up,
    Down,
}

pub(super) async fn feedback(client: &Client, verb: FeedbackVerb) -> Result<Out, Failure> {
    match verb {
        FeedbackVerb::List => list(client).await,
        FeedbackVerb::Give(given) => give(client, given).await,
    }
}

async fn list(client: &Client) -> Result<Out, Failure> {
    let answer = client.send(ApiRequest::get("/v1/feedback")).await?;
    let list: FeedbackList = answer.read()?;
    let text = if list.feedback.is_empty() {
        "no feedback yet\n".to_owned()
    } else {
        shown(&list.feedback)
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}

fn shown(entries: &[FeedbackEntry]) -> String {
    let mut rows = Columns::titled(&[
        "ROUTE", "RELEASE", "VERSION", "POSITIVE", "NEUTRAL", "NEGATIVE", "SCORE",
    ]);
    for entry in entries {
        rows.row(vec![
            entry.route.to_string(),
            entry.release.to_string(),
            clean(entry.version.as_str()),
            entry.positive.to_string(),
            entry.neutral.to_string(),
            entry.negative.to_string(),
            format!("{:+.2}", entry.score),
        ]);
    }
    rows.shown()
}

async fn give(client: &Client, given: Given) -> Result<Out, Failure> {
    let Said {
        score,
        thumb,
        label,
    } = given.opinion;
    let thumb = thumb.map(|thumb| match thumb {
        ThumbArg::Up => Thumb::Up,
        ThumbArg::Down => Thumb::Down,
    });
    let Named {
        stamp,
        request_id,
        session,
    } = given.answer;
    let request = FeedbackRequest {
        stamp,
        request_id,
        session,
        route: given.route,
        score,
        thumb,
        label,
    };
    let ask = ApiRequest::of(Method::POST, "/v1/feedback").json(&request);
    let answer = client.send(ask).await?;
    let receipt: FeedbackReceipt = answer.read()?;
    let on = receipt.answer.map_or_else(String::new, |answer| {
        let (release, version) = (answer.release, clean(answer.version.as_str()));
        let (route, revision) = (answer.route, answer.revision);
        format!(" of {release} {version} on {route} (revision {revision})")
    });
    let text = if receipt.counted {
        format!("counted: an answer{on}\n")
    } else {
        format!("not counted: feedback on this answer{on} was counted before\n")
    };
    Ok(Out {
        text,
        json: answer.body,
    })
}
