//! Subcommands of a fleet.

use std::fmt::Write as _;

use clap::{Subcommand, ValueEnum};
use hyper::Method;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    fleet_words,
    output::Out,
    text::{Columns, clean},
};
use crate::api::{FleetKeepRequest, FleetSide, FleetState, FleetStatus};

/// Help below the list of its subcommands.
pub(super) const FLEET_HELP: &str = "Proxies with the same `[fleet]` in their configuration share one table, by etcd (docs/fleet.md).\n\nExamples:\n  switchback fleet status\n  switchback fleet keep mine";

/// Most rollbacks that are named.
const MOST_ROLLBACKS: usize = 20;

/// Subcommands of a fleet.
#[derive(Debug, Subcommand)]
pub(super) enum FleetVerb {
    /// Show the nodes, and what each has taken up
    #[command(after_help = "Example:\n  switchback fleet status")]
    Status,
    /// End the disputes of this node: keep what is live here, or take what the fleet has
    #[command(
        after_help = "A rollback that was made here without etcd, and that somebody contradicts elsewhere, is in dispute until somebody decides.\n\nExamples:\n  switchback fleet keep mine\n  switchback fleet keep theirs"
    )]
    Keep {
        /// The side that is kept
        side: SideArg,
    },
}

/// Side of a dispute, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SideArg {
    /// Keep what is live on this node
    Mine,
    /// Take what the fleet has
    Theirs,
}

impl From<SideArg> for FleetSide {
    fn from(side: SideArg) -> Self {
        match side {
            SideArg::Mine => Self::Mine,
            SideArg::Theirs => Self::Theirs,
        }
    }
}

pub(super) async fn fleet(client: &Client, verb: FleetVerb) -> Result<Out, Failure> {
    let request = match verb {
        FleetVerb::Status => ApiRequest::get("/v1/fleet"),
        FleetVerb::Keep { side } => {
            let body = FleetKeepRequest { keep: side.into() };
            ApiRequest::of(Method::POST, "/v1/fleet/keep").json(&body)
        }
    };
    let answer = client.send(request).await?;
    let status: FleetStatus = answer.read()?;
    Ok(Out {
        text: shown(&status),
        json: answer.body,
    })
}

fn shown(status: &FleetStatus) -> String {
    let Some(node) = &status.node else {
        return "this proxy is in no fleet: it has no `[fleet]` in its configuration\n".to_owned();
    };
    let mut text = format!(
        "{} {} revision {} of the fleet\n",
        clean(node),
        fleet_words::state(status.state),
        status.revision
    );
    // Writing to a string cannot fail.
    if let Some(reason) = &status.reason {
        let _ = writeln!(text, "  reason: {}", clean(reason));
    }
    if let Some(contact) = status.last_contact {
        let _ = writeln!(text, "  last contact with etcd: {contact}");
    }
    if let Some(leader) = &status.leader {
        let _ = writeln!(
            text,
            "  leader: {} since {}",
            clean(&leader.node),
            leader.since
        );
    }
    for rollback in status.rollbacks.iter().take(MOST_ROLLBACKS) {
        let state = if rollback.disputed {
            "in dispute: `switchback fleet keep mine` or `theirs`"
        } else {
            "not in the fleet yet"
        };
        let _ = writeln!(text, "  rolled back here: {} ({state})", rollback.part);
    }
    let more = status.rollbacks.len().saturating_sub(MOST_ROLLBACKS);
    if more > 0 {
        let _ = writeln!(text, "  rolled back here: {more} more");
    }
    text + &peers(status) + &nodes(status)
}

/// The other nodes that have rollbacks which the fleet does not have yet, and the reasons of those that have not.
fn peers(status: &FleetStatus) -> String {
    let mut text = String::new();
    let asked = status.peers.iter().filter(|peer| peer.offered_at.is_some());
    for peer in asked {
        let name = clean(peer.node.as_deref().unwrap_or(&peer.url));
        let reason = peer.reason.as_deref().map(clean);
        // Writing to a string cannot fail.
        let _ = match (peer.taken, reason) {
            (0, None) => Ok(()),
            (0, Some(reason)) => writeln!(text, "  not rolled back on {name}: {reason}"),
            (_, None) => writeln!(text, "  rolled back on {name} as well"),
            (taken, Some(reason)) => {
                writeln!(
                    text,
                    "  {taken} rolled back on {name} as well, the rest not: {reason}"
                )
            }
        };
    }
    text
}

/// The nodes, each with the time of its report: what a node without the store knows of the others is old.
fn nodes(status: &FleetStatus) -> String {
    let titles = [
        "NODE", "VERSION", "REVISION", "LIVE", "DIGEST", "STATE", "REPORTED",
    ];
    let mut rows = Columns::titled(&titles);
    let last = fleet_words::last(status);
    let is_old = status.state != FleetState::Following;
    for node in &status.nodes {
        let state = match (&node.reason, node.disputed, last - node.revision.min(last)) {
            _ if is_old && status.node.as_ref() != Some(&node.node) => "not known now".to_owned(),
            (Some(reason), ..) => clean(reason),
            (None, 0, 0) => "current".to_owned(),
            (None, 0, behind) => format!("{behind} behind"),
            (None, disputed, _) => format!("{disputed} in dispute"),
        };
        let digest: String = node.digest.to_string().chars().take(12).collect();
        rows.row(vec![
            clean(&node.node),
            clean(&node.version),
            node.revision.to_string(),
            node.live.to_string(),
            digest,
            state,
            node.reported_at.to_string(),
        ]);
    }
    rows.shown() + &left(status)
}

/// The nodes that are gone, and the requests in flight of all nodes.
fn left(status: &FleetStatus) -> String {
    let mut text = String::new();
    for gone in &status.gone {
        let _ = writeln!(
            text,
            "{}: not heard of since {}",
            clean(&gone.node),
            gone.since
        );
    }
    for work in &status.in_flight {
        let draining = match work.draining {
            0 => String::new(),
            nodes => format!(", draining on {nodes}"),
        };
        let (release, version) = (&work.release, &work.version);
        let _ = writeln!(
            text,
            "in flight on {release} {version}: {}{draining}",
            work.in_flight
        );
    }
    text
}
