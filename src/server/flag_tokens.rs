//! The tokens of the listener for OFREP, read from their files and variables.

use super::seal_keys;
use crate::{config::Config, model::Problem, ofrep::Access};

/// Reads the tokens.
///
/// # Errors
/// All tokens that cannot be read or are too weak.
pub(super) fn access(config: &Config) -> Result<Access, Vec<Problem>> {
    let (mut tokens, mut problems) = (Vec::new(), Vec::new());
    for (place, spec) in config.ofrep.tokens.iter().enumerate() {
        let key = if spec.file.is_some() { "file" } else { "env" };
        let at = format!("ofrep.tokens.{place}.{key}");
        let read = seal_keys::secret(spec).map_err(|error| error.to_string());
        let read = read.and_then(|token| match Access::new(std::slice::from_ref(&token)) {
            Ok(_) => Ok(token),
            Err((_, weak)) => Err(format!("`{}`: {weak}", seal_keys::name(spec))),
        });
        match read {
            Ok(token) => tokens.push(token),
            Err(message) => problems
                .push(Problem::new(at, message).hint("make one with `openssl rand -base64 32`")),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Access::new(&tokens).map_err(|(place, weak)| {
        vec![Problem::new(
            format!("ofrep.tokens.{place}"),
            weak.to_string(),
        )]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSpec;

    #[test]
    fn a_flag_token_comes_from_a_file_or_the_environment_and_a_weak_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let mut config = Config::default();
        config.ofrep.tokens = vec![
            SecretSpec {
                file: Some(file.clone()),
                env: None,
            },
            SecretSpec {
                file: None,
                env: Some("CARGO_MANIFEST_PATH".to_owned()),
            },
        ];
        let problems = |config: &Config| {
            let found = access(config).err().unwrap_or_default();
            found
                .into_iter()
                .map(|problem| problem.path)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            problems(&config),
            ["ofrep.tokens.0.file"],
            "there is no such file"
        );
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml"), &file).expect("a copy");
        assert_eq!(problems(&config), ["ofrep.tokens.0.file"], "it has spaces");
        config.ofrep.tokens.remove(0);
        assert!(access(&config).is_ok());
        config.ofrep.tokens[0].env = Some("SWITCHBACK_NO_SUCH_VARIABLE".to_owned());
        assert_eq!(problems(&config), ["ofrep.tokens.0.env"]);
    }
}
