//! The collector of OpenTelemetry, with its headers and certificates.

use std::sync::Arc;

use super::seal_keys;
use crate::{
    config::{Opentelemetry, TemporalityName},
    model::{Problem, Scheme},
    net::{ClientTls, ClientTlsSettings},
    telemetry::{Collector, ErrorChain, OpentelemetrySettings, Temporality},
};

/// Settings of the exporter, with what its files and variables hold.
///
/// # Errors
/// A problem of each file and variable that cannot be used.
pub(super) fn load(spec: &Opentelemetry) -> Result<OpentelemetrySettings, Vec<Problem>> {
    let (fields, mut problems) = headers(spec);
    let tls = tls(spec).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(OpentelemetrySettings {
        collector: Collector {
            endpoint: spec.endpoint(),
            tls,
            fields,
            timeout: spec.timeout.0,
        },
        attributes: attributes(spec),
        temporality: match spec.temporality {
            TemporalityName::Cumulative => Temporality::Cumulative,
            TemporalityName::Delta => Temporality::Delta,
        },
        interval: spec.interval.0,
    })
}

/// The headers, and the problems of those that cannot be read.
fn headers(spec: &Opentelemetry) -> (Vec<(String, String)>, Vec<Problem>) {
    let (mut fields, mut problems) = (Vec::new(), Vec::new());
    // A header without exactly one source is reported with the values of the file.
    let sources = spec.headers.iter();
    for (name, source) in sources.filter(|(_, one)| one.file.is_some() != one.env.is_some()) {
        let key = if source.file.is_some() { "file" } else { "env" };
        let at = format!("opentelemetry.headers.{name}.{key}");
        match seal_keys::secret(source).map(|value| value.trim().to_owned()) {
            Ok(value) if is_field_value(&value) => fields.push((name.clone(), value)),
            Ok(_) => {
                let problem = Problem::new(at, "not a value of a header");
                problems.push(problem.hint("it has visible ASCII characters and spaces"));
            }
            Err(error) => problems.push(Problem::new(at, ErrorChain(&error).to_string())),
        }
    }
    (fields, problems)
}

fn is_field_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

fn tls(spec: &Opentelemetry) -> Result<Option<Arc<ClientTls>>, Problem> {
    if spec.endpoint().origin().scheme() == Scheme::Http {
        return Ok(None);
    }
    let settings = ClientTlsSettings {
        ca: spec.ca.clone(),
        ..ClientTlsSettings::default()
    };
    let tls = ClientTls::load(&settings).map_err(|error| {
        let problem = Problem::new("opentelemetry.ca", ErrorChain(&error).to_string());
        problem.hint("it is a PEM file of certificates")
    });
    tls.map(|tls| Some(Arc::new(tls)))
}

/// Attributes of the resource.
fn attributes(spec: &Opentelemetry) -> Vec<(String, String)> {
    let version = spec.version.clone();
    let version = version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let own = [
        ("service.name", Some(spec.service.clone())),
        ("service.version", Some(version)),
        (
            "service.instance.id",
            Some(spec.instance.clone().unwrap_or_else(random_uuid)),
        ),
        ("deployment.environment.name", spec.env.clone()),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    own.chain(spec.attributes.clone()).collect()
}

/// A random UUID, version 4.
fn random_uuid() -> String {
    let random: u128 = rand::random();
    let versioned = random & !(0xF << 76) | 4 << 76;
    let digits = format!("{:032x}", versioned & !(3 << 62) | 2 << 62);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSpec;

    #[test]
    fn an_instance_without_a_name_has_a_random_uuid() {
        let id = random_uuid();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert_ne!(id, random_uuid());
    }

    #[test]
    fn every_header_and_certificate_that_cannot_be_used_is_a_problem() {
        let mut spec = Opentelemetry {
            endpoint: Some("https://a.example".parse().expect("a URL")),
            ca: Some("/no/such/file".into()),
            ..Opentelemetry::default()
        };
        let source = SecretSpec {
            file: None,
            env: Some("SWITCHBACK_NO_SUCH_VARIABLE".to_owned()),
        };
        spec.headers.insert("x-key".to_owned(), source);
        let problems = load(&spec).expect_err("neither is there");
        let paths: Vec<_> = problems.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            ["opentelemetry.headers.x-key.env", "opentelemetry.ca"]
        );
        spec.endpoint = None;
        let variable = Some("CARGO_PKG_NAME".to_owned());
        spec.headers.get_mut("x-key").expect("the header").env = variable;
        let settings = load(&spec).expect("without TLS there is no certificate");
        let field = ("x-key".to_owned(), "switchback".to_owned());
        assert_eq!(settings.collector.fields, [field]);
    }
}
