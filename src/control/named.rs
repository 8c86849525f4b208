//! Releases and flags that something names which a removal leaves: each of these places is a problem.

use super::ControlError;
use crate::model::{Change, FlagName, Problem, ReleaseName, TableState};

/// Checks that nothing names what a change removes. The parts of a batch may take the names away as well; what they leave
/// is a problem of the table that they make.
pub(super) fn check_unnamed(live: &TableState, change: &Change) -> Result<(), ControlError> {
    let found = problems(live, change);
    if found.is_empty() {
        return Ok(());
    }
    Err(ControlError::Invalid(found))
}

/// Places that name what a change removes, beside the splits.
fn problems(live: &TableState, change: &Change) -> Vec<Problem> {
    match change {
        Change::RemoveRelease { release } => mirrors(live, release),
        Change::RemoveFlag { flag } => {
            let mut found = routes_with(live, flag);
            found.extend(dependents(live, flag));
            found
        }
        _ => Vec::new(),
    }
}

fn mirrors(live: &TableState, release: &ReleaseName) -> Vec<Problem> {
    let routes = live.spec.routes().iter();
    let mirrored = routes.filter(|route| {
        let mirror = route.mirror.as_ref();
        mirror.is_some_and(|mirror| mirror.release == *release)
    });
    let problem = |route: &_| {
        let at = format!("routes.{route}.mirror.release");
        Problem::new(at, format!("`{route}` is mirrored to `{release}`"))
            .hint("take the mirror from the route first")
    };
    mirrored.map(|route| problem(&route.name)).collect()
}

fn routes_with(live: &TableState, flag: &FlagName) -> Vec<Problem> {
    let routes = live.spec.routes().iter();
    let named = routes.filter_map(|route| {
        let place = route.flags.iter().position(|name| name == flag)?;
        Some((&route.name, place))
    });
    let problem = |(route, place)| {
        let at = format!("routes.{route}.flags.{place}");
        Problem::new(at, format!("`{route}` hands `{flag}` to its endpoints"))
            .hint("take it from the `flags` of the route first, or only switch it off")
    };
    named.map(problem).collect()
}

fn dependents(live: &TableState, flag: &FlagName) -> Vec<Problem> {
    let flags = live.spec.flags().iter();
    let dependent = flags.filter(|(_, spec)| {
        let before = spec.prerequisite.as_ref();
        before.is_some_and(|before| before.flag == *flag)
    });
    let problem = |name: &FlagName| {
        let at = format!("flags.{name}.prerequisite.flag");
        Problem::new(at, format!("`{name}` depends on `{flag}`"))
            .hint("remove it, or its `prerequisite`, first")
    };
    dependent.map(|(name, _)| problem(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TableDocument;

    fn found(change: &Change) -> Vec<String> {
        let document: TableDocument = serde_json::from_str(
            r#"{"releases":{"blue":{"endpoints":["http://127.0.0.1:1"]},
                "green":{"endpoints":["http://127.0.0.1:2"]}},
              "routes":[{"name":"chat","split":{"blue":1},"flags":["other","planner"],
                "mirror":{"release":"green","percent":5}}],
              "flags":{"planner":{"type":"boolean","variants":{"on":true,"off":false},"default":"off"},
                "other":{"type":"boolean","variants":{"on":true,"off":false},"default":"off",
                  "prerequisite":{"flag":"planner","variant":"on"}}}}"#,
        )
        .unwrap();
        let live = document.into_state(&TableState::default());
        let problems = problems(&live, change).into_iter();
        problems
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect()
    }

    #[test]
    fn every_place_that_names_it_is_told() {
        let release = |name: &str| Change::RemoveRelease {
            release: name.parse().unwrap(),
        };
        let flag = |name: &str| Change::RemoveFlag {
            flag: name.parse().unwrap(),
        };
        assert_eq!(
            found(&release("green")),
            ["routes.chat.mirror.release: `chat` is mirrored to `green`"]
        );
        assert_eq!(
            found(&flag("planner")),
            [
                "routes.chat.flags.1: `chat` hands `planner` to its endpoints",
                "flags.other.prerequisite.flag: `other` depends on `planner`"
            ]
        );
        assert_eq!(found(&release("blue")), [""; 0]);
        assert_eq!(found(&flag("other")).len(), 1);
    }
}
