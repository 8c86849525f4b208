//! Several changes in one request.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

use crate::model::{
    Change, EndpointSpec, FlagName, FlagPatch, FlagSpec, FlagState, Percents, Problem,
    ReleaseDocument, ReleaseName, RouteName, Weights,
};

/// Largest number of changes in one request.
pub const MOST_CHANGES: usize = 1_000;

/// `POST /v1/changes`: several changes in one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangesRequest {
    /// The changes, made in this order. No two are about the same route, release or flag.
    #[schema(min_items = 1, max_items = 1_000)]
    pub changes: Vec<ChangeItem>,
    /// Allows `weights` to leave out a release that has a weight now, which is refused otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// One of several changes: a route, a release or a flag, and one thing to do with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeItem {
    /// The route.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub route: Option<RouteName>,
    /// The release.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub release: Option<ReleaseName>,
    /// The flag.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub flag: Option<FlagName>,
    /// Of a route: percents of some releases; the others share the rest in their current proportion.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::model::percents_schema)]
    pub split: Option<Percents>,
    /// Of a route: all weights, relative.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::model::weights_schema)]
    pub weights: Option<Weights>,
    /// Of a route: the release that gets all requests; the others stay in the split at 0.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub switch: Option<ReleaseName>,
    /// Of a route, `true`: the canary gets all requests.
    #[serde(
        deserialize_with = "only_true",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub promote: bool,
    /// Of a route, `true`: the stable release gets all requests.
    #[serde(
        deserialize_with = "only_true",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub abort: bool,
    /// Of a release: the whole release, which is added or replaced.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub set: Option<Box<ReleaseDocument>>,
    /// Of a release: all its endpoints.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub endpoints: Option<Vec<EndpointSpec>>,
    /// Of a flag: the whole flag, which is added or replaced.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub put: Option<Box<FlagSpec>>,
    /// Of a flag: the keys that change.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub patch: Option<FlagPatch>,
    /// Of a flag: its switch.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub state: Option<FlagState>,
    /// Of a route, a release or a flag, `true`: removes it.
    #[serde(
        deserialize_with = "only_true",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub remove: bool,
}

/// The keys of [`ChangeItem`] that say what to do, for a route, a release and a flag.
pub const CHANGE_KEYS: [(&str, &[&str]); 3] = [
    (
        "route",
        &["split", "weights", "switch", "promote", "abort", "remove"],
    ),
    ("release", &["set", "endpoints", "remove"]),
    ("flag", &["put", "patch", "state", "remove"]),
];

fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn only_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    if bool::deserialize(deserializer)? {
        return Ok(true);
    }
    Err(D::Error::custom(
        "it can only be `true`; leave it out instead",
    ))
}

// === impl ChangesRequest ===

impl ChangesRequest {
    /// The batch of these changes.
    ///
    /// # Errors
    /// All that say nothing, or more than one thing.
    pub fn into_batch(self) -> Result<Change, Vec<Problem>> {
        if self.changes.is_empty() || self.changes.len() > MOST_CHANGES {
            let message = format!(
                "there are {} changes, not 1 to {MOST_CHANGES}",
                self.changes.len()
            );
            return Err(vec![Problem::new("changes", message)]);
        }
        let (mut changes, mut problems) = (Vec::new(), Vec::new());
        for (place, item) in self.changes.into_iter().enumerate() {
            match item.into_change() {
                Ok(change) => changes.push(change),
                Err((message, hint)) => {
                    problems.push(Problem::new(format!("changes[{place}]"), message).hint(hint));
                }
            }
        }
        if problems.is_empty() {
            return Ok(Change::Batch { changes });
        }
        Err(problems)
    }
}

// === impl ChangeItem ===

impl ChangeItem {
    /// The change; the error is a message and a hint.
    fn into_change(mut self) -> Result<Change, (String, String)> {
        let hint = || {
            let [(_, route), (_, release), (_, flag)] = CHANGE_KEYS;
            format!(
                "a route takes one of `{}`; a release one of `{}`; a flag one of `{}`",
                route.join("`, `"),
                release.join("`, `"),
                flag.join("`, `")
            )
        };
        let mut found = self.flag_actions();
        found.extend(self.actions());
        match (found.pop(), found.is_empty()) {
            (Some(Ok(change)), true) => Ok(change),
            (Some(Err(key)), true) => {
                Err((format!("`{key}` does not go with what is named"), hint()))
            }
            (Some(_), false) => Err(("more than one thing is to be done".to_owned(), hint())),
            (None, _) => Err(("it does not say what is to be done".to_owned(), hint())),
        }
    }

    /// Everything that is to be done; a key without the name that it needs is an error.
    fn actions(self) -> Vec<Result<Change, &'static str>> {
        let (route, release) = match (self.route, self.release, &self.flag) {
            (Some(route), None, None) => (Ok(route), Err(())),
            (None, Some(release), None) => (Err(()), Ok(release)),
            _ => (Err(()), Err(())),
        };
        let of_route =
            |key, change: &dyn Fn(RouteName) -> Change| route.clone().map(change).map_err(|()| key);
        let of_release = |key, change: &dyn Fn(ReleaseName) -> Change| {
            release.clone().map(change).map_err(|()| key)
        };
        let remove = || match (&route, &release) {
            (Ok(route), _) => Ok(Change::RemoveRoute {
                route: route.clone(),
            }),
            (_, Ok(release)) => Ok(Change::RemoveRelease {
                release: release.clone(),
            }),
            _ => Err("remove"),
        };
        [
            self.split.map(|percents| {
                of_route("split", &|route| Change::SetPercents {
                    route,
                    percents: percents.clone(),
                })
            }),
            self.weights.map(|weights| {
                of_route("weights", &|route| Change::SetSplit {
                    route,
                    weights: weights.clone(),
                })
            }),
            self.switch.map(|to| {
                of_route("switch", &|route| Change::Switch {
                    route,
                    to: to.clone(),
                })
            }),
            self.promote
                .then(|| of_route("promote", &|route| Change::Promote { route, to: None })),
            self.abort
                .then(|| of_route("abort", &|route| Change::Abort { route })),
            self.set.map(|document| {
                of_release("set", &|release| Change::PutRelease {
                    release,
                    document: document.clone(),
                })
            }),
            self.endpoints.map(|endpoints| {
                of_release("endpoints", &|release| Change::SetEndpoints {
                    release,
                    endpoints: endpoints.clone(),
                })
            }),
            self.remove.then(remove),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Changes of a flag; their keys are taken out.
    fn flag_actions(&mut self) -> Vec<Result<Change, &'static str>> {
        let (put, patch, state) = (self.put.take(), self.patch.take(), self.state.take());
        let flag = self.flag.as_ref();
        let flag = flag.filter(|_| self.route.is_none() && self.release.is_none());
        let of = |key, change: &dyn Fn(FlagName) -> Change| flag.cloned().map(change).ok_or(key);
        let removed = flag.is_some() && std::mem::take(&mut self.remove);
        [
            put.map(|spec| {
                of("put", &|flag| Change::PutFlag {
                    flag,
                    spec: spec.clone(),
                })
            }),
            patch.map(|patch| {
                of("patch", &|flag| Change::PatchFlag {
                    flag,
                    patch: patch.clone(),
                })
            }),
            state.map(|state| of("state", &|flag| Change::SetFlagState { flag, state })),
            removed.then(|| of("remove", &|flag| Change::RemoveFlag { flag })),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(json: &str) -> Result<Change, Vec<Problem>> {
        let request: ChangesRequest = serde_json::from_str(json).unwrap();
        request.into_batch()
    }

    #[test]
    fn each_item_is_a_change_of_a_route_or_a_release() {
        let all = r#"{"changes": [
            {"route": "chat", "split": {"green": 25}}, {"route": "tools", "switch": "green"},
            {"route": "a", "weights": {"blue": 1}}, {"route": "b", "promote": true},
            {"route": "c", "abort": true}, {"route": "d", "remove": true},
            {"release": "red", "set": {"endpoints": ["http://127.0.0.1:1"]}},
            {"release": "blue", "endpoints": []}, {"release": "old", "remove": true},
            {"flag": "a", "put": {"type": "boolean", "variants": {"on": true}, "default": "on"}},
            {"flag": "b", "patch": {"owner": null}}, {"flag": "c", "state": "off"}, {"flag": "d", "remove": true}
        ]}"#;
        let change = batch(all).unwrap();
        let kinds: Vec<_> = change
            .parts()
            .iter()
            .map(|part| {
                serde_json::to_value(part).unwrap()["kind"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let expected = [
            "set_percents",
            "switch",
            "set_split",
            "promote",
            "abort",
            "remove_route",
            "put_release",
            "set_endpoints",
            "remove_release",
            "put_flag",
            "patch_flag",
            "set_flag_state",
            "remove_flag",
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn every_item_that_is_no_change_is_named_with_its_place() {
        let wrong = r#"{"changes": [
            {"route": "chat"}, {"route": "chat", "switch": "green"}, {"switch": "green"},
            {"route": "chat", "switch": "green", "abort": true},
            {"release": "green", "switch": "green"}, {"route": "chat", "release": "green", "remove": true},
            {"flag": "a", "switch": "green"}, {"route": "chat", "state": "off"}, {"flag": "a", "route": "chat", "remove": true}
        ]}"#;
        let problems = batch(wrong).unwrap_err();
        let paths: Vec<_> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "changes[0]",
                "changes[2]",
                "changes[3]",
                "changes[4]",
                "changes[5]",
                "changes[6]",
                "changes[7]",
                "changes[8]"
            ]
        );
        assert!(problems.iter().all(|problem| problem.hint.is_some()));
        assert_eq!(batch(r#"{"changes": []}"#).unwrap_err()[0].path, "changes");
    }
}
