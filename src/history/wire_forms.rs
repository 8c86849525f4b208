//! Forms of types that serde cannot encode as they are.

/// An `io::Error`: its code if it has one, and otherwise its text.
pub(super) mod io_error {
    use std::io;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        error: &io::Error,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (error.raw_os_error(), error.to_string()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<io::Error, D::Error> {
        let (code, text) = <(Option<i32>, String)>::deserialize(deserializer)?;
        Ok(code.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error))
    }
}

/// A path, which need not be UTF-8.
pub(super) mod os_path {
    use std::{
        ffi::OsString,
        path::{Path, PathBuf},
    };

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _};

    use crate::history::{
        HistoryError,
        error::WriteError,
        ipc::{Message, decode},
    };

    /// The message behind its length, received by the other process.
    fn passed<T: serde::Serialize + serde::de::DeserializeOwned>(content: &T) -> T {
        decode(Message::of(content).content()).unwrap()
    }

    #[test]
    fn an_error_arrives_with_its_path_and_the_code_of_the_system() {
        let path = OsStr::from_bytes(b"/a/\xff").into();
        let full = io::Error::from_raw_os_error(28);
        let HistoryError::Unreadable {
            path: there,
            source,
        } = passed(&HistoryError::Unreadable { path, source: full })
        else {
            panic!("another error arrived");
        };
        assert_eq!(there.as_os_str().as_bytes(), b"/a/\xff");
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        let path = "/b".into();
        let source = io::Error::other("a text of ours");
        let arrived = passed(&HistoryError::Unreadable { path, source });
        let cause = std::error::Error::source(&arrived).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("a text of ours"));
    }

    #[test]
    fn a_failed_write_that_was_answered_does_not_mean_that_the_writer_is_gone() {
        let failed = WriteError {
            reason: "full".to_owned(),
            begun: true,
            gone: true,
        };
        let arrived = passed(&failed);
        assert!(arrived.begun && !arrived.gone, "{arrived:?}");
    }
}
