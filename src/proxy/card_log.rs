//! Explains in the log that an agent card passed as it is although it may lead clients past the proxy.

use super::log_sampler::LogSampler;

/// Time between two explanations: one says what to change.
const WINDOW_MS: u64 = 10 * 60 * 1_000;

/// The reason why a card was not looked at, or not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CardLeft {
    /// It is compressed, although that was not asked for.
    Encoded,
    /// It is signed, and names an endpoint.
    Signed,
    /// It is too large.
    TooLarge,
}

/// Limits the explanations.
#[derive(Debug, Default)]
pub(super) struct CardLog(LogSampler);

impl CardLeft {
    /// Label of the metric.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Encoded => "encoded",
            Self::Signed => "signed",
            Self::TooLarge => "too_large",
        }
    }

    const fn explanation(self) -> &'static str {
        match self {
            Self::Encoded => {
                "an agent card is compressed although that was not asked for, and passes as it is; have the agent \
                 heed `Accept-Encoding`"
            }
            Self::Signed => {
                "an agent card names the address of an endpoint, which leads clients past the proxy, and passes as it \
                 is, since another address would break its signature; have the agent name the public URL before it \
                 signs, or set `agent_card = \"keep\"` on the route"
            }
            Self::TooLarge => {
                "an agent card is longer than 256 KiB and passes as it is; if it names the address of an endpoint, it \
                 leads clients past the proxy"
            }
        }
    }
}

impl CardLog {
    /// Logs what to change, unless that was logged a moment ago.
    #[cold]
    pub(super) fn explain(&self, now_ms: u64, (route, release): (&str, &str), why: CardLeft) {
        if let Some(left_out) = self.0.take(now_ms, WINDOW_MS) {
            tracing::warn!(route, release, left_out, "{}", why.explanation());
        }
    }
}
