//! Route index. Precedence: exact host, longest suffix, any host; then exact path, longest prefix; then more conditions
//! (each header field, each parameter of the query, and the methods as one); then the order of the table.
//!
//! The index holds positions of routes, not routes, so a change of a split shares it. A lookup costs one hash per
//! label of the host and per segment of the path at which a prefix could end, however many routes there are; the
//! deepest prefix and the longest suffix of the table bound what a client can cause.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::conditions::Conditions;
use crate::model::{PathMatch, RequestView, RouteSpec};

/// Maximum length of a DNS name; it bounds the buffer for the lower-case form.
const LONGEST_HOST: usize = 255;

/// Most methods that a request which matches no route is looked up with.
const MOST_METHODS: usize = 32;

/// Maps for lookups by requests. Only operators insert names, so clients cannot cause collisions.
type ByHost<V> = HashMap<Box<str>, V, RandomState>;
type ByPath<V> = HashMap<Box<[u8]>, V, RandomState>;

/// Index of the matching routes.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: ByHost<Paths>,
    // By the part after the `*`, such as `.example.com`.
    suffixes: ByHost<Paths>,
    any: Paths,
    // All methods that routes name.
    methods: BTreeSet<Box<str>>,
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    exact: ByPath<Candidates>,
    // Without the final slash; the root is the empty text.
    prefixes: ByPath<Candidates>,
    deepest: usize,
}

/// Routes that match the same host and path, more conditions first, then in order.
#[derive(Debug, Default)]
struct Candidates(Vec<Candidate>);

#[derive(Debug)]
struct Candidate {
    place: usize,
    conditions: Option<Box<Conditions>>,
}

/// A request with another method.
struct OtherMethod<'r, R> {
    request: &'r R,
    method: &'r str,
}

impl<R: RequestView> RequestView for OtherMethod<'_, R> {
    fn method(&self) -> &str {
        self.method
    }

    fn host(&self) -> &str {
        self.request.host()
    }

    fn path(&self) -> &str {
        self.request.path()
    }

    fn query(&self) -> Option<&[u8]> {
        self.request.query()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.request.header(name)
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.request.cookie(name)
    }
}

impl Index {
    pub(super) fn new<'a>(routes: impl Iterator<Item = &'a RouteSpec>) -> Self {
        let mut index = Self::default();
        for (place, route) in routes.enumerate() {
            index.add(place, route);
        }
        index.sort();
        index
    }

    fn add(&mut self, place: usize, route: &RouteSpec) {
        self.methods
            .extend(route.methods.iter().map(|method| method.as_str().into()));
        let mut hosts = route.all_hosts().peekable();
        if hosts.peek().is_none() {
            self.any.add(place, route);
        }
        for host in hosts {
            let paths = match host.strip_prefix('*') {
                Some(suffix) => self.suffixes.entry(suffix.into()).or_default(),
                None => self.exact.entry(host.into()).or_default(),
            };
            paths.add(place, route);
        }
    }

    fn sort(&mut self) {
        let paths = self
            .exact
            .values_mut()
            .chain(self.suffixes.values_mut())
            .chain([&mut self.any]);
        for candidates in
            paths.flat_map(|paths| paths.exact.values_mut().chain(paths.prefixes.values_mut()))
        {
            candidates
                .0
                .sort_by_key(|candidate| (usize::MAX - candidate.count(), candidate.place));
        }
    }

    /// Position of the route of a request by `path`.
    #[inline]
    pub(super) fn find(&self, request: &impl RequestView, path: &[u8]) -> Option<usize> {
        if self.exact.is_empty() && self.suffixes.is_empty() {
            return self.any.find(request, path);
        }
        let mut buffer = [0; LONGEST_HOST];
        let host = lower(request.host(), &mut buffer)?;
        let exact = self
            .exact
            .get(host)
            .and_then(|paths| paths.find(request, path));
        exact
            .or_else(|| self.find_suffix(request, host, path))
            .or_else(|| self.any.find(request, path))
    }

    /// Methods with which a route would match the request; empty if it matches none whatever its method is.
    #[cold]
    pub(super) fn methods_of(&self, request: &impl RequestView, path: &[u8]) -> Vec<&str> {
        let named = self.methods.iter().map(|method| &**method);
        let mut methods: Vec<_> = named
            .take(MOST_METHODS)
            .filter(|method| self.find(&OtherMethod { request, method }, path).is_some())
            .collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods
    }

    fn find_suffix(&self, request: &impl RequestView, host: &str, path: &[u8]) -> Option<usize> {
        if self.suffixes.is_empty() {
            return None;
        }
        // From the left, so that the longest suffix comes first. `*` matches at least one character.
        let dots = host
            .bytes()
            .enumerate()
            .skip(1)
            .filter(|(_, byte)| *byte == b'.')
            .map(|(place, _)| place);
        dots.filter_map(|dot| self.suffixes.get(&host[dot..]))
            .find_map(|paths| paths.find(request, path))
    }
}

/// Lower-case form of a host, without the dot of a rooted name. A host too long for the buffer matches no route.
fn lower<'a>(host: &'a str, buffer: &'a mut [u8; LONGEST_HOST]) -> Option<&'a str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(host);
    }
    let buffer = buffer.get_mut(..host.len())?;
    buffer.copy_from_slice(host.as_bytes());
    buffer.make_ascii_lowercase();
    std::str::from_utf8(buffer).ok()
}

fn segments(prefix: &[u8]) -> usize {
    memchr::memchr_iter(b'/', prefix).count()
}

impl Paths {
    fn add(&mut self, place: usize, route: &RouteSpec) {
        let candidates = match route.path_match() {
            PathMatch::Exact(path) => self.exact.entry(path.as_bytes().into()).or_default(),
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix).as_bytes();
                self.deepest = self.deepest.max(segments(prefix));
                self.prefixes.entry(prefix.into()).or_default()
            }
        };
        let conditions = Conditions::of(route);
        candidates.0.push(Candidate { place, conditions });
    }

    fn find(&self, request: &impl RequestView, path: &[u8]) -> Option<usize> {
        let exact = self
            .exact
            .get(path)
            .and_then(|candidates| candidates.find(request));
        exact.or_else(|| self.find_prefix(request, path))
    }

    fn find_prefix(&self, request: &impl RequestView, path: &[u8]) -> Option<usize> {
        // Ends of the first segments, at most as many as the deepest prefix has; then from the longest to the root.
        let mut end = if segments(path) <= self.deepest {
            path.len()
        } else {
            nth_slash(path, self.deepest)
        };
        loop {
            let prefix = &path[..end];
            let found = self
                .prefixes
                .get(prefix)
                .and_then(|candidates| candidates.find(request));
            if found.is_some() || prefix.is_empty() {
                return found;
            }
            end = prefix.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        }
    }
}

/// Position of the slash after `count` segments.
fn nth_slash(path: &[u8], count: usize) -> usize {
    path.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .nth(count)
        .map_or(path.len(), |(place, _)| place)
}

impl Candidates {
    #[inline]
    fn find(&self, request: &impl RequestView) -> Option<usize> {
        match self.0.first() {
            // Those with more conditions come first.
            Some(first) if first.conditions.is_none() => Some(first.place),
            _ => self.find_by_conditions(request),
        }
    }

    #[cold]
    fn find_by_conditions(&self, request: &impl RequestView) -> Option<usize> {
        self.0
            .iter()
            .find(|candidate| candidate.holds(request))
            .map(|candidate| candidate.place)
    }
}

impl Candidate {
    fn count(&self) -> usize {
        self.conditions.as_ref().map_or(0, |all| all.count())
    }

    fn holds(&self, request: &impl RequestView) -> bool {
        self.conditions.as_ref().is_none_or(|all| all.hold(request))
    }
}

#[cfg(test)]
mod tests;
