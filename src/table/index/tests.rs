//! Route precedence, as a table of cases.

use proptest::prelude::*;

use super::*;
use crate::model::{RouteName, RouteSpec};

#[derive(Clone, Copy)]
struct Request<'a> {
    host: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

/// A request for the conditions beside the path.
#[derive(Debug, Clone)]
struct Conditioned {
    method: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl RequestView for Conditioned {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &'static str {
        "a.test"
    }

    fn path(&self) -> &'static str {
        "/"
    }

    fn query(&self) -> Option<&[u8]> {
        Some(self.query.as_bytes())
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_bytes())
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
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

fn conditioned(method: &str, query: &str) -> Conditioned {
    Conditioned {
        method: method.to_owned(),
        query: query.to_owned(),
        headers: Vec::new(),
    }
}

/// A route for the root with these methods and parameters.
fn choosy(methods: &[&str], query: &[(&str, &str)]) -> RouteSpec {
    let text = |text: &str| text.to_owned();
    let mut route = route("- /");
    route.methods = methods.iter().map(|method| text(method)).collect();
    route.query = query
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    route
}

#[test]
fn more_conditions_win_and_all_methods_are_one() {
    let routes = [
        choosy(&[], &[]),
        choosy(&["GET", "POST", "PUT"], &[]),
        choosy(&["POST"], &[]),
        choosy(&[], &[("a", "1"), ("b", "2")]),
        choosy(&["DELETE"], &[("a", "1")]),
    ];
    let index = Index::new(routes.iter());
    for (method, query, expected) in [
        ("PATCH", "", 0),
        ("POST", "", 1),
        ("HEAD", "", 1),
        ("POST", "a=1&b=2", 3),
        ("DELETE", "a=1&b=2", 3),
        ("DELETE", "a=1", 4),
        ("DELETE", "b=2", 0),
    ] {
        let found = index.find(&conditioned(method, query), b"/x");
        assert_eq!(found, Some(expected), "{method} {query}");
    }
}

#[test]
fn the_methods_of_a_request_are_those_of_all_routes_that_it_could_match() {
    let routes = [choosy(&["GET"], &[]), choosy(&["PATCH"], &[("a", "1")])];
    let index = Index::new(routes.iter());
    let of = |query| index.methods_of(&conditioned("DELETE", query), b"/");
    assert_eq!(of(""), ["GET", "HEAD"]);
    assert_eq!(of("a=1"), ["GET", "PATCH", "HEAD"]);
    let none = Index::new([route("- /y")].iter());
    assert!(none.methods_of(&conditioned("GET", ""), b"/").is_empty());
}

proptest! {
    #[test]
    fn a_rewrite_or_a_redirect_never_changes_which_route_matches(
        kinds in proptest::collection::vec((0_usize..6, 0_usize..4, 0_usize..5), 1..12),
        path in "(/v1|/a|/b|/|/v1/a|//a|/%61){1,3}",
        method in "(GET|HEAD|POST)",
        query in "(|a=1|a=1&b=2|b=2)",
    ) {
        let places = ["- /", "- /v1", "- /a", "a.test /", "*.test /v1", "- =/a"];
        let plain: Vec<_> = kinds.iter().map(|(place, conditions, _)| {
            let mut route = route(places[*place]);
            if conditions % 2 == 1 {
                route.methods = ["GET".to_owned()].into();
            }
            if conditions / 2 == 1 {
                route.query = [("a".to_owned(), "1".to_owned())].into();
            }
            route
        }).collect();
        let changed: Vec<_> = plain.iter().zip(&kinds).map(|(route, (_, _, change))| {
            let mut route = route.clone();
            let parsed = |text| serde_json::from_str(text).unwrap();
            match change {
                0 => route.strip_prefix = Some(crate::model::StripPrefix::Whole(true)),
                1 => route.redirect = Some(parsed(r#"{"path":"/b","host":"b.test"}"#)),
                2 => route.respond = Some(serde_json::from_str("{}").unwrap()),
                3 => route.host_header = Some(crate::model::HostHeader::Endpoint),
                _ => {}
            }
            route
        }).collect();
        let request = conditioned(&method, &query);
        let find = |routes: &[RouteSpec]| Index::new(routes.iter()).find(&request, path.as_bytes());
        prop_assert_eq!(find(&plain), find(&changed));
    }
}
