//! Validation of the responses that a route gives itself.

use std::time::Duration;

use super::route_check::Check;
use crate::model::{HumanDuration, LONGEST_ANSWER, RedirectSpec, RouteSpec};

/// Statuses of redirects.
const REDIRECTS: [u16; 4] = [301, 302, 307, 308];
/// Statuses whose responses have no body.
const WITHOUT_BODY: [u16; 3] = [204, 205, 304];
/// Shortest time after which clients may come again.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);
/// Longest time after which clients may come again.
const LONGEST_RETRY: Duration = Duration::from_secs(30 * 24 * 3_600);

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    combinations(route, check);
    if let Some(redirect) = &route.redirect {
        check.redirect(redirect, route);
    }
    if let Some(fixed) = &route.respond {
        check.status(fixed.status, &fixed.body);
        check.page("respond", &fixed.body, fixed.content_type.as_deref());
        check.retry_after("respond", fixed.retry_after);
    }
    if let Some(maintenance) = &route.maintenance {
        let content_type = maintenance.content_type.as_deref();
        check.page("maintenance", &maintenance.body, content_type);
        check.retry_after("maintenance", maintenance.retry_after);
    }
}

/// Reports what would never have an effect.
fn combinations(route: &RouteSpec, check: &mut Check<'_>) {
    if route.respond.is_some() {
        if !route.split.is_empty() {
            let hint = "keep one of them; `maintenance` is for a route that has releases";
            check.problem("respond", "it has both `respond` and a `split`", hint);
        }
        if route.redirect.is_some() {
            let hint = "keep one of them, or make two routes";
            check.problem("respond", "it has both `respond` and `redirect`", hint);
        }
    }
    if !route.split.is_empty() || !route.answers_itself() {
        return;
    }
    let of_releases = [
        ("maintenance", route.maintenance.is_some()),
        ("pause", route.pause.is_some()),
        ("stable", route.stable.is_some()),
        ("affinity", !route.affinity.is_empty()),
        ("pins", !route.pins.is_empty()),
        ("fallback", route.fallback.is_some()),
        ("flags", !route.flags.is_empty()),
        ("mirror", route.mirror.is_some()),
        ("drill", !route.drill.is_empty()),
        ("feedback_by", !route.feedback_by.is_empty()),
        ("expose_release", route.expose_release.is_some()),
    ];
    for (key, _) in of_releases.into_iter().filter(|(_, is_set)| *is_set) {
        let message = "the route has no split, so no release ever serves";
        check.problem(key, message, "leave it out, or give the route a `split`");
    }
}

impl Check<'_> {
    fn redirect(&mut self, redirect: &RedirectSpec, route: &RouteSpec) {
        if !REDIRECTS.contains(&redirect.status) {
            let message = format!("{} is no status of a redirect", redirect.status);
            let hint =
                "307, or 308 for one that clients may keep; 302 and 301 let them change the method";
            self.problem("redirect.status", message, hint);
        }
        let RedirectSpec {
            scheme, host, port, ..
        } = redirect;
        let moves_path = redirect.path.is_some() || redirect.prefix.is_some();
        if scheme.is_none() && host.is_none() && port.is_none() && !moves_path {
            let message = "it leads every request to itself";
            let hint = "name a `scheme`, `host`, `port`, `path` or `prefix`";
            self.problem("redirect", message, hint);
        }
        if let Some(host) = host {
            self.redirect_host(host);
        }
        if *port == Some(0) {
            self.problem(
                "redirect.port",
                "0 is no port",
                "leave it out for the default",
            );
        }
        let paths = [("path", &redirect.path), ("prefix", &redirect.prefix)];
        for (key, path) in paths {
            if let Some(path) = path {
                self.path(&format!("redirect.{key}"), path);
            }
        }
        if redirect.path.is_some() && redirect.prefix.is_some() {
            let hint = "keep one of them";
            self.problem("redirect", "it has both `path` and `prefix`", hint);
        }
        let stays = scheme.is_none()
            && host.is_none()
            && port.is_none()
            && redirect.path.is_none()
            && route.path.is_none();
        let own = route
            .path_prefix
            .as_deref()
            .unwrap_or("/")
            .trim_end_matches('/');
        let is_below = |prefix: &String| {
            let rest = prefix.strip_prefix(own);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if stays && redirect.prefix.as_ref().is_some_and(is_below) {
            let message = "it leads to the route itself, with a longer path each time";
            self.problem("redirect.prefix", message, "lead away from `path_prefix`");
        }
        if redirect.prefix.is_some() && route.path.is_some() {
            let message = "the route has no `path_prefix` whose place it could take";
            self.problem("redirect.prefix", message, "write a `path`");
        }
    }

    fn redirect_host(&mut self, host: &str) {
        if host.starts_with('*') {
            let message = format!("`{host}` stands for many hosts");
            self.problem("redirect.host", message, "write one host");
        } else {
            self.host("redirect.host", host);
        }
    }

    fn status(&mut self, status: u16, body: &str) {
        if REDIRECTS.contains(&status) || status == 303 {
            let message = format!("{status} leads nowhere without a location");
            self.problem("respond.status", message, "write a `redirect`");
        } else if !(200..=599).contains(&status) {
            let message = format!("{status} is no status of a whole response");
            self.problem("respond.status", message, "choose one from 200 to 599");
        } else if WITHOUT_BODY.contains(&status) && !body.is_empty() {
            let message = format!("a response with {status} has no body");
            self.problem("respond.body", message, "leave it out");
        }
    }

    fn page(&mut self, part: &str, body: &str, content_type: Option<&str>) {
        if body.len() > LONGEST_ANSWER {
            let message = format!("{} bytes; the maximum is {LONGEST_ANSWER}", body.len());
            let hint = "serve larger files from an endpoint";
            self.problem(&format!("{part}.body"), message, hint);
        }
        let Some(content_type) = content_type else {
            return;
        };
        let key = format!("{part}.content_type");
        let is_text = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if body.is_empty() {
            self.problem(&key, "there is no `body` that has a type", "leave it out");
        } else if !content_type.bytes().all(is_text)
            || content_type.len() > 128
            || content_type.trim() != content_type
            || !content_type.contains('/')
        {
            let message = format!("`{}` is no media type", content_type.escape_debug());
            self.problem(&key, message, "such as `text/html; charset=utf-8`");
        }
    }

    fn retry_after(&mut self, part: &str, time: Option<HumanDuration>) {
        let is_wrong = |time: HumanDuration| !(SHORTEST_RETRY..=LONGEST_RETRY).contains(&time.0);
        if time.is_some_and(is_wrong) {
            let key = format!("{part}.retry_after");
            let hint = "`Retry-After` has whole seconds, such as `60s`";
            self.problem(&key, "it is not from 1s to 30 days", hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Problem;

    fn found(keys: Value) -> Vec<String> {
        let mut route = json!({ "name": "r" });
        let Value::Object(keys) = keys else {
            panic!("{keys}");
        };
        route.as_object_mut().unwrap().extend(keys);
        let route: RouteSpec = serde_json::from_value(route).unwrap();
        let mut found = Vec::new();
        problems(&route, &mut Check::new(&route, &mut found));
        found
            .iter()
            .map(|problem: &Problem| problem.path.clone())
            .collect()
    }

    #[test]
    fn a_sound_answer_has_no_problems() {
        for keys in [
            json!({ "redirect": { "scheme": "https" }, "split": { "blue": 1 } }),
            json!({ "redirect": { "host": "a.test", "port": 81, "path": "/x", "status": 308 } }),
            json!({ "path_prefix": "/a", "redirect": { "prefix": "/b" } }),
            json!({ "path_prefix": "/old", "redirect": { "prefix": "/older" } }),
            json!({ "path_prefix": "/a", "redirect": { "host": "a.test", "prefix": "/a/b" } }),
            json!({ "respond": { "status": 204 } }),
            json!({ "respond": { "body": "x", "content_type": "text/css", "retry_after": "1m" } }),
            json!({ "maintenance": { "on": true, "body": "<p>" }, "split": { "blue": 1 } }),
        ] {
            assert_eq!(found(keys.clone()), Vec::<String>::new(), "{keys}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn what_would_have_no_effect_or_go_wrong_is_told_with_its_place() {
        let long = "x".repeat(LONGEST_ANSWER + 1);
        for (keys, places) in [
            (
                json!({ "respond": {}, "split": { "blue": 1 } }),
                &["respond"][..],
            ),
            (
                json!({ "respond": {}, "redirect": { "path": "/" } }),
                &["respond"],
            ),
            (
                json!({ "respond": {}, "maintenance": { "on": false } }),
                &["maintenance"],
            ),
            (
                json!({ "respond": {}, "stable": "blue", "flags": ["a"] }),
                &["stable", "flags"],
            ),
            (json!({ "redirect": {} }), &["redirect"]),
            (
                json!({ "redirect": { "prefix": "/v2" } }),
                &["redirect.prefix"],
            ),
            (
                json!({ "path_prefix": "/a/", "redirect": { "prefix": "/a/b" } }),
                &["redirect.prefix"],
            ),
            (json!({ "respond": {}, "pause": {} }), &["pause"]),
            (
                json!({ "redirect": { "status": 303, "path": "/" } }),
                &["redirect.status"],
            ),
            (json!({ "redirect": { "host": "*.a" } }), &["redirect.host"]),
            (
                json!({ "redirect": { "host": "a\r\nb" } }),
                &["redirect.host"],
            ),
            (
                json!({ "redirect": { "host": "a/b@c" } }),
                &["redirect.host"],
            ),
            (
                json!({ "redirect": { "host": "a:81", "port": 0 } }),
                &["redirect.host", "redirect.port"],
            ),
            (
                json!({ "redirect": { "path": "//evil" } }),
                &["redirect.path"],
            ),
            (
                json!({ "redirect": { "path": "/\r\nx" } }),
                &["redirect.path"],
            ),
            (
                json!({ "redirect": { "path": "/a", "prefix": "/\\b" } }),
                &["redirect.prefix", "redirect"],
            ),
            (
                json!({ "path": "/a", "redirect": { "prefix": "/b" } }),
                &["redirect.prefix"],
            ),
            (json!({ "respond": { "status": 100 } }), &["respond.status"]),
            (json!({ "respond": { "status": 308 } }), &["respond.status"]),
            (
                json!({ "respond": { "status": 304, "body": "x" } }),
                &["respond.body"],
            ),
            (json!({ "respond": { "body": long } }), &["respond.body"]),
            (
                json!({ "respond": { "content_type": "a/b" } }),
                &["respond.content_type"],
            ),
            (
                json!({ "respond": { "body": "x", "content_type": "a/b\r\nx: y" } }),
                &["respond.content_type"],
            ),
            (
                json!({ "split": { "blue": 1 }, "maintenance": { "on": true, "retry_after": "0s" } }),
                &["maintenance.retry_after"],
            ),
            (
                json!({ "respond": { "retry_after": "500ms" } }),
                &["respond.retry_after"],
            ),
        ] {
            let expected: Vec<_> = places.iter().map(|key| format!("routes.r.{key}")).collect();
            assert_eq!(found(keys.clone()), expected, "{keys}");
        }
    }
}
