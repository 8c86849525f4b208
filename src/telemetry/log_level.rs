//! Log level: a level, or directives for modules.

use thiserror::Error;
use tracing::metadata::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Error of starting the log.
#[derive(Debug, Error)]
pub enum LogError {
    /// The level, or that of a directive, is invalid.
    #[error("`{directive}` is not a log level")]
    Level {
        /// The invalid part.
        directive: String,
    },
    /// The part before the level is invalid.
    #[error("`{directives}` cannot be read as log directives")]
    Directives {
        /// The given directives.
        directives: String,
        /// The parser's error.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

impl LogError {
    /// Suggested replacement.
    pub fn hint(&self) -> String {
        let known = "write `error`, `warn`, `info`, `debug`, `trace` or `off`, or directives such as `info,switchback::health=debug`";
        let Self::Level { directive } = self else {
            return known.to_owned();
        };
        let word = directive.rsplit('=').next().unwrap_or_default().trim();
        let meant = SYNONYMS
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(word));
        meant.map_or_else(
            || known.to_owned(),
            |(_, level)| format!("did you mean `{level}`?"),
        )
    }
}

/// Level names of other loggers.
const SYNONYMS: [(&str, &str); 12] = [
    ("all", "trace"),
    ("critical", "error"),
    ("err", "error"),
    ("false", "off"),
    ("fatal", "error"),
    ("information", "info"),
    ("none", "off"),
    ("normal", "info"),
    ("notice", "info"),
    ("quiet", "warn"),
    ("verbose", "debug"),
    ("warning", "warn"),
];

/// Validates a log level.
///
/// # Errors
/// If it is invalid.
pub fn check_log_level(directives: &str) -> Result<(), LogError> {
    filter(directives).map(|_| ())
}

/// Log filter for a level.
///
/// The library takes any word as the name of a module, which would then be all that is logged. So each part must end
/// in a level, and without a plain level the default is `info`.
pub(super) fn filter(directives: &str) -> Result<EnvFilter, LogError> {
    let parts = || directives.split(',').map(str::trim);
    let is_level =
        |word: &str| word.trim().parse::<LevelFilter>().is_ok() && !word.trim().is_empty();
    let wrong = parts().find(|part| {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        !is_level(level)
    });
    if let Some(directive) = wrong {
        return Err(LogError::Level {
            directive: directive.to_owned(),
        });
    }
    let has_default = parts().any(is_level);
    let rest = if has_default { "" } else { "info," };
    let trimmed: Vec<_> = parts().collect();
    EnvFilter::try_new(format!("{rest}{}", trimmed.join(","))).map_err(|source| {
        LogError::Directives {
            directives: directives.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_that_there_is_and_nothing_silences_the_rest() {
        for (good, shown) in [
            ("info", "info"),
            ("WARN", "warn"),
            ("off", "off"),
            ("switchback::health=debug", "switchback::health=debug,info"),
            ("info, hickory_resolver=off", "hickory_resolver=off,info"),
        ] {
            let filter = filter(good).unwrap();
            assert_eq!(filter.to_string(), shown, "{good}");
        }
        for (bad, hint) in [
            ("warning", "did you mean `warn`?"),
            ("info,switchback=warning", "did you mean `warn`?"),
            ("Notice", "did you mean `info`?"),
            ("switchback", "write `error`"),
            ("info,", "write `error`"),
            ("", "write `error`"),
        ] {
            let error = filter(bad).unwrap_err();
            assert!(error.hint().starts_with(hint), "{bad}: {}", error.hint());
        }
    }
}
