//! `switchback pause` and `switchback resume`: the requests of a route wait while its agents restart.

use clap::Args;
use hyper::Method;

use super::{
    change::on_route,
    client::{ApiRequest, Client},
    exit::Failure,
    options::ChangeArgs,
    output::Out,
};
use crate::{
    api::{MessageRequest, PauseRequest},
    model::{HumanDuration, RouteName},
};

/// Help of `pause`.
pub(super) const PAUSE_HELP: &str = "What is in flight goes on. A request that waits for too long, or finds too many that wait, gets 503.\n\nExamples:\n  switchback pause chat -m 'agents restart'\n  switchback pause chat --max-wait 2m --max-waiting 200\n  switchback resume chat";

/// Help of `resume`.
pub(super) const RESUME_HELP: &str = "Example:\n  switchback resume chat";

/// Arguments of a pause.
#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// The route
    route: RouteName,
    /// Longest wait of a request, 1s to 10m [default: 30s]
    #[arg(long, value_name = "TIME")]
    max_wait: Option<HumanDuration>,
    /// Requests that may wait, at most 10000; with 0 all get 503 [default: 1000]
    #[arg(long, value_name = "NUMBER")]
    max_waiting: Option<u32>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Arguments of the end of a pause.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The route
    route: RouteName,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn pause(client: &Client, args: PauseArgs) -> Result<Out, Failure> {
    let route = &args.route;
    let ask = ApiRequest::of(Method::POST, format!("/v1/routes/{route}/pause"));
    let request = PauseRequest {
        max_wait: args.max_wait,
        max_waiting: args.max_waiting,
        message: args.change.common.message.clone(),
    };
    on_route(client, route, ask.json(&request), &args.change).await
}

pub(super) async fn resume(client: &Client, args: ResumeArgs) -> Result<Out, Failure> {
    let route = &args.route;
    let ask = ApiRequest::of(Method::POST, format!("/v1/routes/{route}/resume"));
    let message = args.change.common.message.clone();
    let ask = ask.json(&MessageRequest { message });
    on_route(client, route, ask, &args.change).await
}
