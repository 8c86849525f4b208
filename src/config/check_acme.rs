//! Checks of the listeners whose certificates come from an authority.

use super::{Acme, AcmeChallenge, ClientAuth, Config, ListenerTls};
use crate::model::Problem;

/// Problems of the listeners that have certificates from an authority.
pub(super) fn check(config: &Config, found: &mut Vec<Problem>) {
    let has_plain = config
        .listeners
        .iter()
        .any(|listener| listener.tls.is_none());
    let all: Vec<(String, &ListenerTls, &Acme)> = (config.listeners.iter().enumerate())
        .filter_map(|(place, listener)| {
            let tls = listener.tls.as_ref()?;
            Some((
                format!("listeners.{place}.tls.acme"),
                tls,
                tls.acme.as_ref()?,
            ))
        })
        .collect();
    for (place, (at, tls, acme)) in all.iter().enumerate() {
        acme.check(at, found);
        found.extend(wrong_challenge(at, tls, acme, has_plain));
        let other = |(_, _, other): &&(String, &ListenerTls, &Acme)| {
            other.path == acme.path && other != acme
        };
        if let Some((first, ..)) = all[..place].iter().find(other) {
            let message = format!("`{first}` has the same folder and other settings");
            let problem = Problem::new(format!("{at}.path"), message);
            found.push(problem.hint(
                "give both the same settings, which share their certificates, or each a `path`",
            ));
        }
    }
    if config
        .admin
        .tls
        .as_ref()
        .is_some_and(|tls| tls.acme.is_some())
    {
        let problem = Problem::new(
            "admin.tls.acme",
            "the admin API has no certificates from an authority",
        );
        found.push(problem.hint("no authority can reach it; give it `certificates`"));
    }
}

fn wrong_challenge(at: &str, tls: &ListenerTls, acme: &Acme, has_plain: bool) -> Option<Problem> {
    let at = format!("{at}.challenge");
    match acme.challenge {
        AcmeChallenge::Http01 if !has_plain => {
            let problem = Problem::new(at, "no listener without TLS answers http-01");
            Some(problem.hint("add one on port 80, or leave `challenge` out for tls-alpn-01"))
        }
        AcmeChallenge::TlsAlpn01
            if tls.client_ca.is_some() && tls.client_auth != Some(ClientAuth::Optional) =>
        {
            let message = "an authority has no client certificate, which this listener requires";
            let hint = "write `challenge = \"http-01\"`, with a listener without TLS on port 80";
            Some(Problem::new(at, message).hint(hint))
        }
        AcmeChallenge::Http01 | AcmeChallenge::TlsAlpn01 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(listeners: &str) -> Vec<String> {
        let config: Config = toml::from_str(listeners).unwrap();
        let mut found = Vec::new();
        check(&config, &mut found);
        found.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_challenge_that_nobody_could_answer_is_a_problem() {
        let acme = |more: &str| {
            format!(
                "acme = {{ domains = [\"a.example\"], directory = \"https://acme.example/dir\"{more} }}"
            )
        };
        let tls = |acme: &str| {
            format!("[[listeners]]\naddress = \"127.0.0.1:443\"\ntls = {{ {acme} }}\n")
        };
        assert!(problems(&tls(&acme(""))).is_empty());
        let http = tls(&acme(", challenge = \"http-01\""));
        assert_eq!(problems(&http), ["listeners.0.tls.acme.challenge"]);
        assert!(
            problems(&format!(
                "{http}[[listeners]]\naddress = \"127.0.0.1:80\"\n"
            ))
            .is_empty()
        );
        let with_clients = tls(&format!("{}, client_ca = \"ca.pem\"", acme("")));
        assert_eq!(problems(&with_clients), ["listeners.0.tls.acme.challenge"]);
        assert!(
            problems(&with_clients.replace("\"ca.pem\"", "\"ca.pem\", client_auth = \"optional\""))
                .is_empty()
        );
    }

    #[test]
    fn no_authority_reaches_the_admin_api() {
        let text = "[admin.tls.acme]\ndomains = [\"a.example\"]\ndirectory = \"https://acme.example/dir\"\n";
        assert_eq!(problems(text), ["admin.tls.acme"]);
    }

    #[test]
    fn each_wrong_setting_is_named() {
        let text = "[[listeners]]\naddress = \"127.0.0.1:443\"\n[listeners.tls.acme]\ndomains = [\"a.example\", \"a.example\"]\n\
            contact = [\"ops@example.com\"]\neab = { kid = \"\", key_file = \"key\" }\ndirectory = \"http://acme.example\"\nprofile = \"\"\n";
        let at = |key: &str| format!("listeners.0.tls.acme.{key}");
        assert_eq!(
            problems(text),
            [
                at("domains.1"),
                at("contact.0"),
                at("directory"),
                at("eab.kid"),
                at("profile")
            ]
        );
        let none = text.replace("\"a.example\", \"a.example\"", "");
        assert_eq!(problems(&none)[0], at("domains"));
    }

    #[test]
    fn listeners_share_a_folder_only_with_the_same_settings() {
        let one = |domain: &str, path: &str| {
            format!(
                "[[listeners]]\naddress = \"127.0.0.1:443\"\n[listeners.tls.acme]\ndomains = [\"{domain}\"]\n\
                directory = \"https://acme.example/dir\"\n{path}"
            )
        };
        assert!(problems(&[one("a.example", ""), one("a.example", "")].concat()).is_empty());
        assert_eq!(
            problems(&[one("a.example", ""), one("b.example", "")].concat()),
            ["listeners.1.tls.acme.path"]
        );
        assert!(
            problems(&[one("a.example", ""), one("b.example", "path = \"b\"\n")].concat())
                .is_empty()
        );
    }
}
