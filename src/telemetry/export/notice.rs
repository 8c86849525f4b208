//! Notice: something that happened, for tools that show events beside metrics.

/// Something that happened: a revision, a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Subject.
    pub kind: NoticeKind,
    /// Title in a line.
    pub title: String,
    /// Text; empty if the title says it all.
    pub text: String,
    /// Time: milliseconds since 1970.
    pub at_ms: u64,
    /// Level.
    pub level: NoticeLevel,
    /// Labels: names and values.
    pub labels: Vec<(&'static str, String)>,
}

/// Subject of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// A revision.
    Revision,
    /// The end of a rollout.
    Rollout,
    /// The verdict on a rollback.
    Verification,
}

/// Level of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeLevel {
    /// A change.
    Info,
    /// Something ended well.
    Success,
    /// Something was taken back.
    Warning,
    /// Something has to be looked at.
    Error,
}

impl NoticeKind {
    /// Name of the subject.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::Rollout => "rollout",
            Self::Verification => "verification",
        }
    }
}

impl NoticeLevel {
    /// Alert type in Datadog.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
