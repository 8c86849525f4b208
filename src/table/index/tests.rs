//! Route precedence, as a table of cases.

use super::*;
use crate::model::{RouteName, RouteSpec};

struct Request<'a> {
    host: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

impl RequestView for Request<'_> {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &'static str {
        "/"
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.as_bytes())
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// A route from `host path`, where a path that begins with `=` is exact and `-` is any host; headers follow as `a=b`.
fn route(text: &str) -> RouteSpec {
    let mut words = text.split(' ');
    let (host, path) = (words.next().unwrap(), words.next().unwrap());
    let mut route = RouteSpec::plain(
        RouteName::new("r").unwrap(),
        std::collections::BTreeMap::new(),
    );
    route.host = (host != "-").then(|| host.to_owned());
    match path.strip_prefix('=') {
        Some(path) => route.path = Some(path.to_owned()),
        None => route.path_prefix = Some(path.to_owned()),
    }
    route.headers = words
        .map(|word| word.split_once('=').unwrap())
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    route
}

#[test]
fn the_most_specific_route_is_taken() {
    let routes: Vec<_> = [
        "- /",
        "a.example.com /",
        "*.example.com /v1",
        "*.com /",
        "a.example.com =/v1/exact",
        "a.example.com /v1",
        "a.example.com /v1 x-preview=green",
        "- /v1/deep/er/",
        "a.example.com /v1 x-preview=green x-team=a",
    ]
    .into_iter()
    .map(route)
    .collect();
    let index = Index::new(routes.iter());
    let find = |host, path: &str, headers| index.find(&Request { host, headers }, path.as_bytes());
    for (host, path, expected) in [
        ("a.example.com", "/v1/exact", Some(4)),
        ("A.Example.COM.", "/v1/exact", Some(4)),
        ("a.example.com", "/v1/exact/more", Some(5)),
        ("a.example.com", "/v1", Some(5)),
        ("a.example.com", "/v1x", Some(1)),
        ("a.example.com", "/", Some(1)),
        ("b.example.com", "/v1/x", Some(2)),
        ("b.example.com", "/v2", Some(3)),
        ("example.com", "/v2", Some(3)),
        ("x.org", "/v1/deep/er", Some(7)),
        ("x.org", "/v1/deep/er/and/more", Some(7)),
        ("x.org", "/v1/deep/err", Some(0)),
        ("x.org", "*", Some(0)),
    ] {
        assert_eq!(find(host, path, &[]), expected, "{host}{path}");
    }
    assert_eq!(
        find("a.example.com", "/v1", &[("x-preview", "green")]),
        Some(6)
    );
    assert_eq!(
        find(
            "a.example.com",
            "/v1",
            &[("x-preview", "green"), ("x-team", "a")]
        ),
        Some(8)
    );
    assert_eq!(
        find(
            "a.example.com",
            "/v1",
            &[("x-preview", "blue"), ("x-team", "a")]
        ),
        Some(5)
    );
}

#[test]
fn of_equals_the_first_is_taken_and_no_match_is_none() {
    let routes = [route("b.org /a"), route("b.org /a")];
    let index = Index::new(routes.iter());
    assert_eq!(
        index.find(
            &Request {
                host: "b.org",
                headers: &[]
            },
            b"/a/b"
        ),
        Some(0)
    );
    assert_eq!(
        index.find(
            &Request {
                host: "b.org",
                headers: &[]
            },
            b"/b"
        ),
        None
    );
    assert_eq!(
        index.find(
            &Request {
                host: ".org",
                headers: &[]
            },
            b"/a"
        ),
        None
    );
}

#[test]
fn a_path_of_many_segments_costs_no_more_than_the_deepest_prefix() {
    let routes = [route("- /a/b"), route("- /")];
    let index = Index::new(routes.iter());
    let path = "/a/b".to_owned() + &"/x".repeat(8_000);
    assert_eq!(
        index.find(
            &Request {
                host: "h",
                headers: &[]
            },
            path.as_bytes()
        ),
        Some(0)
    );
    assert_eq!(
        index.find(
            &Request {
                host: "h",
                headers: &[]
            },
            &b"/".repeat(16_000)
        ),
        Some(1)
    );
}

#[test]
fn a_route_with_several_hosts_is_found_by_each() {
    let mut several = route("a.example.com /");
    several.hosts = vec!["b.example.com".into(), "*.c.example.com".into()];
    let routes = [several, route("- /")];
    let index = Index::new(routes.iter());
    for (host, place) in [
        ("a.example.com", 0),
        ("b.example.com", 0),
        ("x.c.example.com", 0),
        ("d.example.com", 1),
    ] {
        let request = Request { host, headers: &[] };
        assert_eq!(index.find(&request, b"/"), Some(place), "{host}");
    }
}
