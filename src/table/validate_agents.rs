//! Validation of what a route says about agent cards.

use super::route_check::Check;
use crate::model::{AgentCards, AgentProtocol, RouteSpec};

pub(super) fn problems(route: &RouteSpec, check: &mut Check<'_>) {
    let is_a2a = route.agent_protocol == Some(AgentProtocol::A2a);
    if !is_a2a && route.agent_card != AgentCards::default() {
        check.problem(
            "agent_card",
            "it has no effect without `agent_protocol = \"a2a\"`",
            "cards of other routes pass as they are; remove it",
        );
    }
    let Some(public) = &route.public_url else {
        return;
    };
    if !route.rewrites_cards() {
        check.problem(
            "public_url",
            "it has no effect where agent cards are not rewritten",
            "set `agent_protocol = \"a2a\"` and no `agent_card = \"keep\"`, or remove it",
        );
    }
    let prefix = route.stripped_prefix().unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    if !prefix.is_empty() && public.path().ends_with(prefix) {
        check.problem(
            "public_url",
            format!("it ends with `{prefix}`, which `strip_prefix` removes and a card gets anyway"),
            &format!("leave `{prefix}` out"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(lines: &str) -> Vec<String> {
        let text = format!("name = \"a\"\nsplit = {{ blue = 1 }}\n{lines}");
        let route: RouteSpec = toml::from_str(&text).unwrap();
        let mut problems = Vec::new();
        super::problems(&route, &mut Check::new(&route, &mut problems));
        problems
            .iter()
            .map(|problem| problem.path.clone())
            .collect()
    }

    #[test]
    fn keys_of_cards_that_have_no_effect_are_problems() {
        let public = "public_url = \"https://a.example\"";
        assert_eq!(keys("agent_card = \"keep\""), ["routes.a.agent_card"]);
        assert_eq!(keys(public), ["routes.a.public_url"]);
        let a2a = "agent_protocol = \"a2a\"\n";
        assert!(keys(&format!("{a2a}agent_card = \"keep\"")).is_empty());
        assert!(keys(&format!("{a2a}{public}")).is_empty());
        let kept = format!("{a2a}agent_card = \"keep\"\n{public}");
        assert_eq!(keys(&kept), ["routes.a.public_url"]);
    }

    #[test]
    fn a_public_url_that_repeats_the_stripped_prefix_is_a_problem() {
        let strips = "agent_protocol = \"a2a\"\npath_prefix = \"/chat\"\nstrip_prefix = true\n";
        let of = |url| keys(&format!("{strips}public_url = \"{url}\""));
        assert_eq!(of("https://a.example/chat"), ["routes.a.public_url"]);
        assert!(of("https://a.example/agents").is_empty());
    }
}
