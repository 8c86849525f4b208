//! Request for a rollout: of one route, or of several as a train.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{OneOfBuilder, RefOr, Schema},
};

use super::plan_choice::PlanChoice;
use crate::model::{Problem, ReleaseName, RouteName};

/// Largest number of routes of a rollout.
pub const MOST_ROLLOUT_ROUTES: usize = 16;

/// `POST /v1/rollouts`: gives a release the requests of a route step by step, or of several routes as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutRequest {
    /// The route; `routes` names several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub route: Option<RouteName>,
    /// The release that gets the requests; it has none of the route's now. With `routes` it is that of each route that
    /// names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub to: Option<ReleaseName>,
    /// The routes of a train: they get their steps together, and go back together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub routes: Vec<RouteChoice>,
    /// The plan, or the name of one in the configuration file; by default 5, 25 and 50 percent until it is fine, then a
    /// bake of ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub plan: Option<PlanChoice>,
    /// Start although the release is in quarantine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub message: Option<String>,
}

/// A route of a train: its name, or its name and the release that gets its requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RouteChoice {
    /// The name; the release is that of the request.
    Named(RouteName),
    /// The name and the release.
    Given(RouteTo),
}

/// A route, and the release that gets its requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTo {
    /// The route.
    pub route: RouteName,
    /// The release; by default that of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub to: Option<ReleaseName>,
}

impl RolloutRequest {
    /// The routes, each with the release that gets its requests.
    ///
    /// # Errors
    /// When no route is named, or too many, or one twice, or one without a release: all of these problems.
    pub fn targets(&self) -> Result<Vec<(RouteName, ReleaseName)>, Vec<Problem>> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let one = self.route.iter().map(|route| (route, None));
        let all = one.chain(self.routes.iter().map(RouteChoice::parts));
        let target = |(route, to): (&RouteName, Option<&ReleaseName>)| {
            Some((route.clone(), to.or(self.to.as_ref())?.clone()))
        };
        Ok(all.filter_map(target).collect())
    }

    fn problems(&self) -> Vec<Problem> {
        let one =
            |path: &str, message: &str, hint: &str| vec![Problem::new(path, message).hint(hint)];
        match (&self.route, self.routes.len()) {
            (None, 0) => one(
                "route",
                "it is missing",
                "name a route, or several as `routes`",
            ),
            (Some(_), 1..) => one(
                "routes",
                "`route` names one already",
                "name all of them in `routes`",
            ),
            (None, count) if count > MOST_ROLLOUT_ROUTES => {
                let message = format!("there are {count} routes");
                let hint = format!("a rollout has {MOST_ROLLOUT_ROUTES} at most; start several");
                one("routes", &message, &hint)
            }
            (Some(_), 0) if self.to.is_none() => one(
                "to",
                "it is missing",
                "name the release that gets the requests",
            ),
            (Some(_), 0) => Vec::new(),
            (None, _) => self.problems_of_train(),
        }
    }

    fn problems_of_train(&self) -> Vec<Problem> {
        let (mut seen, mut problems) = (BTreeSet::new(), Vec::new());
        for (place, choice) in self.routes.iter().enumerate() {
            let (route, to) = choice.parts();
            if !seen.insert(route) {
                let problem = Problem::new(
                    format!("routes[{place}]"),
                    format!("route `{route}` is there twice"),
                );
                problems.push(problem.hint("keep one of the two"));
            }
            if to.or(self.to.as_ref()).is_none() {
                let problem = Problem::new(
                    format!("routes[{place}]"),
                    format!("no release is named for route `{route}`"),
                );
                let hint = "name one for all routes as `to`, or write `{\"route\": …, \"to\": …}`";
                problems.push(problem.hint(hint));
            }
        }
        problems
    }
}

impl RouteChoice {
    const fn parts(&self) -> (&RouteName, Option<&ReleaseName>) {
        match self {
            Self::Named(route) => (route, None),
            Self::Given(RouteTo { route, to }) => (route, to.as_ref()),
        }
    }
}

impl<'de> Deserialize<'de> for RouteChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl<'de> Visitor<'de> for Choice {
            type Value = RouteChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a route, or a route and a release")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RouteChoice, E> {
                text.parse().map(RouteChoice::Named).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RouteChoice, A::Error> {
                let given = RouteTo::deserialize(MapAccessDeserializer::new(map));
                given.map(RouteChoice::Given).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Choice)
    }
}

impl PartialSchema for RouteChoice {
    fn schema() -> RefOr<Schema> {
        let either = OneOfBuilder::new()
            .item(RouteName::schema())
            .item(RouteTo::schema());
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl ToSchema for RouteChoice {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("RouteChoice")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RouteTo::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> RolloutRequest {
        serde_json::from_str(json).unwrap()
    }

    fn targets(json: &str) -> Vec<String> {
        match request(json).targets() {
            Ok(targets) => targets
                .iter()
                .map(|(route, to)| format!("{route}={to}"))
                .collect(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_plan_is_a_name_or_a_plan_and_a_mistake_in_it_is_named() {
        let request = |plan: &str| {
            let json = format!(r#"{{"route":"chat","to":"green","plan":{plan}}}"#);
            serde_json::from_str::<RolloutRequest>(&json)
        };
        let named = request(r#""careful""#).unwrap().plan.unwrap();
        assert_eq!(named, PlanChoice::Named("careful".parse().unwrap()));
        let given = request(r#"{"steps":[{"weight":100}],"bake":"30m"}"#).unwrap();
        assert!(matches!(given.plan, Some(PlanChoice::Given(plan)) if plan.steps.len() == 1));
        let error = request(r#"{"steps":[{"share":100}]}"#).unwrap_err();
        assert!(error.to_string().contains("share"), "{error}");
        assert!(request("5").is_err());
    }

    #[test]
    fn one_route_or_several_are_named_with_their_releases() {
        assert_eq!(targets(r#"{"route":"chat","to":"green"}"#), ["chat=green"]);
        assert_eq!(
            targets(r#"{"routes":["chat","tools"],"to":"green"}"#),
            ["chat=green", "tools=green"]
        );
        assert_eq!(
            targets(r#"{"routes":["chat",{"route":"tools","to":"t2"}],"to":"green"}"#),
            ["chat=green", "tools=t2"]
        );
    }

    #[test]
    fn every_mistake_in_the_routes_is_named_with_its_place() {
        for (json, words) in [
            ("{}", "route: it is missing"),
            (r#"{"route":"chat"}"#, "to: it is missing"),
            (
                r#"{"route":"chat","routes":["tools"],"to":"green"}"#,
                "routes: `route` names one already",
            ),
            (
                r#"{"routes":["chat","chat"],"to":"green"}"#,
                "routes[1]: route `chat` is there twice",
            ),
            (
                r#"{"routes":[{"route":"chat","to":"green"},"tools"]}"#,
                "routes[1]: no release is named for route `tools`",
            ),
        ] {
            let found = targets(json);
            assert!(
                found.len() == 1 && found[0].starts_with(words),
                "{json}: {found:?}"
            );
        }
        let names: Vec<_> = (0..17).map(|number| format!("\"r{number}\"")).collect();
        let many = format!(r#"{{"routes":[{}],"to":"green"}}"#, names.join(","));
        assert!(targets(&many)[0].starts_with("routes: there are 17 routes"));
        let wrong =
            serde_json::from_str::<RolloutRequest>(r#"{"routes":[{"route":"a","too":"b"}]}"#);
        assert!(wrong.unwrap_err().to_string().contains("too"));
    }
}
