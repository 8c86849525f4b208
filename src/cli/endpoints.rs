//! Subcommands for the endpoints of one release: add, remove, weigh.
//!
//! Each reads the release and writes it with the revision that was read, so that a conflict shows who changed what.

use clap::{Args, Subcommand};

use super::{
    change::done,
    client::{ApiRequest, Client},
    exit::Failure,
    options::ChangeArgs,
    output::Out,
    resources::{refused, release_path, write},
};
use crate::model::{EndpointSpec, EndpointUrl, ReleaseDocument, ReleaseName};

/// Help below the list of its subcommands.
pub(super) const ENDPOINT_HELP: &str = "Examples:\n  switchback endpoint add green http://10.0.0.8:9000\n  switchback endpoint remove green http://10.0.0.7:9000";

/// Subcommands for the endpoints of a release.
#[derive(Debug, Subcommand)]
pub(super) enum EndpointVerb {
    /// Add endpoints to a release
    #[command(after_help = "Example:\n  switchback endpoint add green http://10.0.0.8:9000")]
    Add(Endpoints),
    /// Remove endpoints from a release; requests in flight on them may finish
    #[command(after_help = "Example:\n  switchback endpoint remove green http://10.0.0.7:9000")]
    Remove(Endpoints),
    /// Set the weight of an endpoint; with 0 it takes no new work
    #[command(after_help = "Example:\n  switchback endpoint weight green http://10.0.0.7:9000 0")]
    Weight(EndpointWeight),
}

/// Weight of one endpoint.
#[derive(Debug, Args)]
pub(super) struct EndpointWeight {
    /// The release
    release: ReleaseName,
    /// The endpoint
    #[arg(value_name = "URL")]
    url: EndpointUrl,
    /// Its weight among the endpoints of the release, 0 to 1,000
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1_000))]
    weight: u32,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Endpoints of one release.
#[derive(Debug, Args)]
pub(super) struct Endpoints {
    /// The release
    release: ReleaseName,
    /// The endpoints
    #[arg(required = true, value_name = "URL")]
    urls: Vec<EndpointUrl>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn endpoint(client: &Client, verb: EndpointVerb) -> Result<Out, Failure> {
    match verb {
        EndpointVerb::Add(endpoints) => change_endpoints(client, &endpoints, add_endpoint).await,
        EndpointVerb::Remove(endpoints) => {
            change_endpoints(client, &endpoints, remove_endpoint).await
        }
        EndpointVerb::Weight(given) => {
            let endpoints = Endpoints {
                release: given.release,
                urls: vec![given.url],
                change: given.change,
            };
            change_endpoints(client, &endpoints, |known, url| {
                let place = place_of(known, url)?;
                let weighed = EndpointSpec::new(url.clone(), given.weight);
                known[place] = weighed.ok_or_else(|| "the weight is above 1,000".to_owned())?;
                Ok(())
            })
            .await
        }
    }
}

async fn change_endpoints(
    client: &Client,
    endpoints: &Endpoints,
    change: impl Fn(&mut Vec<EndpointSpec>, &EndpointUrl) -> Result<(), String>,
) -> Result<Out, Failure> {
    let release = &endpoints.release;
    let path = release_path(release);
    let read = client.send(ApiRequest::get(&path)).await?;
    let mut document: ReleaseDocument = read.read()?;
    for url in &endpoints.urls {
        change(&mut document.endpoints, url)
            .map_err(|problem| refused(format!("`{release}` {problem}")))?;
    }
    let write = write(path, &document, read.revision, &endpoints.change);
    done(client.send(write).await?)
}

fn add_endpoint(known: &mut Vec<EndpointSpec>, url: &EndpointUrl) -> Result<(), String> {
    if place_of(known, url).is_ok() {
        return Err(format!("has `{url}` already"));
    }
    known.push(url.clone().into());
    Ok(())
}

fn remove_endpoint(known: &mut Vec<EndpointSpec>, url: &EndpointUrl) -> Result<(), String> {
    let place = place_of(known, url)?;
    known.remove(place);
    Ok(())
}

fn place_of(known: &[EndpointSpec], url: &EndpointUrl) -> Result<usize, String> {
    let place = known.iter().position(|one| one.url() == url);
    place.ok_or_else(|| {
        let known: Vec<_> = known.iter().map(|one| one.url().to_string()).collect();
        format!("has no endpoint `{url}`\nhint: it has {}", known.join(", "))
    })
}
