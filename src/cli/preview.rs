//! The subcommand that makes a preview token.

use axum::http::Method;

use super::{
    client::{ApiRequest, Client},
    exit::Failure,
    output::Out,
    text::clean,
};
use crate::{
    api::{PreviewRequest, PreviewToken},
    model::{HumanDuration, PathMatch, ReleaseName, RouteName, RouteSpec},
};

/// Listener in the command that is printed, if the proxy does not say what it has.
const USUAL: &str = "http://127.0.0.1:8080";

/// Makes a token for a release of a route, and prints it with a command that uses it.
pub(super) async fn preview(
    client: &Client,
    route: &RouteName,
    release: ReleaseName,
    period: HumanDuration,
) -> Result<Out, Failure> {
    let ask = ApiRequest::of(Method::POST, format!("/v1/routes/{route}/preview"));
    let answer = client
        .send(ask.json(&PreviewRequest { release, period }))
        .await?;
    let made: PreviewToken = answer.read()?;
    let spec: RouteSpec = client
        .send(ApiRequest::get(format!("/v1/routes/{route}")))
        .await?
        .read()?;
    let (header, token) = (clean(&made.header), clean(&made.token));
    let matched: String = spec.headers.iter().map(argument).collect();
    let text = format!(
        "{token}\n\n{} of {} until {}:\n  curl -H '{header}: {token}'{matched} '{}'\n",
        made.release,
        made.route,
        made.expires_at,
        clean(&url(&spec, made.listener.as_deref().unwrap_or(USUAL))),
    );
    Ok(Out {
        text,
        json: answer.body,
    })
}

/// A header field that the route matches, as an argument of curl in a shell.
fn argument((name, value): (&String, &String)) -> String {
    let field = clean(&format!("{name}: {value}")).replace('\'', "'\\''");
    format!(" -H '{field}'")
}

/// A URL that the route matches, as far as it is known here: at a host of the route, or at the listener if it has any.
fn url(route: &RouteSpec, listener: &str) -> String {
    let (PathMatch::Exact(path) | PathMatch::Prefix(path)) = route.path_match();
    let exact = route.all_hosts().find(|host| !host.starts_with("*."));
    let scheme = listener.split("://").next().unwrap_or("http");
    match exact {
        Some(host) => format!("{scheme}://{host}{path}"),
        None => format!("{listener}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_one_that_the_route_matches() {
        let mut route =
            RouteSpec::plain("chat".parse().unwrap(), std::collections::BTreeMap::new());
        assert_eq!(url(&route, USUAL), "http://127.0.0.1:8080/");
        let own = "https://[::1]:8443";
        assert_eq!(url(&route, own), "https://[::1]:8443/");
        route.hosts = vec!["*.a.test".into(), "b.test".into()];
        route.path_prefix = Some("/chat".into());
        assert_eq!(url(&route, USUAL), "http://b.test/chat");
        assert_eq!(url(&route, own), "https://b.test/chat");
    }

    #[test]
    fn a_field_that_the_route_matches_is_one_argument() {
        let shown = |value: &str| argument((&"x-beta".to_owned(), &value.to_owned()));
        assert_eq!(shown("yes"), " -H 'x-beta: yes'");
        assert_eq!(shown("it's"), r" -H 'x-beta: it'\''s'");
    }
}
