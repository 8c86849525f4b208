//! Keys that seal session ids: those of the configuration, or one that is made at the first start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;

use crate::{
    config::{SecretSpec, Sessions},
    history::SEAL_KEY,
    seal::{KeyRing, WeakSecret},
};

/// Random bytes of a key.
const KEY_BYTES: usize = 32;

/// Error of a key for session ids.
#[derive(Debug, Error)]
pub enum SealKeyError {
    /// The file cannot be read or written.
    #[error("the key file `{}` cannot be used", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The variable is not set.
    #[error("the environment variable `{0}` of a key is not set")]
    Missing(String),
    /// No random numbers.
    #[error("the system gives no random numbers for a key")]
    Random,
    /// A secret that can be guessed.
    #[error("the key in `{source_name}` cannot be used")]
    Weak {
        /// Its file or variable.
        source_name: String,
        /// The reason.
        #[source]
        source: WeakSecret,
    },
}

/// The key ring of a start. The history of that folder is open, so no other process makes a key there.
///
/// # Errors
/// If a key cannot be read, made or used.
pub(super) fn load(sessions: &Sessions, folder: &Path) -> Result<Arc<KeyRing>, SealKeyError> {
    let path = folder.join(SEAL_KEY);
    let mut secrets = sessions
        .keys
        .iter()
        .map(|spec| Ok((name(spec), secret(spec)?)))
        .collect::<Result<Vec<_>, SealKeyError>>()?;
    if secrets.is_empty() {
        secrets.push((path.display().to_string(), own(folder)?));
    }
    let texts: Vec<&str> = secrets.iter().map(|(_, secret)| secret.as_str()).collect();
    let weak = |place: usize, source| SealKeyError::Weak {
        source_name: secrets[place].0.clone(),
        source,
    };
    let ring = KeyRing::new(&texts).map_err(|(place, source)| weak(place, source))?;
    Ok(Arc::new(ring.expect("there is at least one secret")))
}

/// Checks that a configured key can be used.
///
/// # Errors
/// If it cannot be read, or can be guessed.
pub(super) fn check(spec: &SecretSpec) -> Result<(), SealKeyError> {
    let weak = |(_, source)| SealKeyError::Weak {
        source_name: name(spec),
        source,
    };
    KeyRing::new(&[&secret(spec)?]).map_err(weak).map(drop)
}

/// Its file or variable, for messages.
pub(super) fn name(spec: &SecretSpec) -> String {
    let file = spec.file.as_ref().map(|file| file.display().to_string());
    file.or_else(|| spec.env.clone()).unwrap_or_default()
}

/// The text of a secret.
///
/// # Errors
/// If its file cannot be read, or its variable is not set.
pub(super) fn secret(spec: &SecretSpec) -> Result<String, SealKeyError> {
    match (&spec.file, &spec.env) {
        (Some(path), _) => fs::read_to_string(path).map_err(|source| at(path, source)),
        (None, variable) => {
            let variable = variable.clone().unwrap_or_default();
            std::env::var(&variable).map_err(|_| SealKeyError::Missing(variable))
        }
    }
}

/// The key of this folder; made if there is none.
pub(super) fn own(folder: &Path) -> Result<String, SealKeyError> {
    let path = folder.join(SEAL_KEY);
    match fs::read_to_string(&path) {
        Ok(secret) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = random()?;
            write(folder, SEAL_KEY, format!("{secret}\n").as_bytes())
                .map_err(|source| at(&path, source))?;
            tracing::info!(path = %path.display(), "made a key for session ids");
            Ok(secret)
        }
        Err(source) => Err(at(&path, source)),
    }
}

pub(super) fn random() -> Result<String, SealKeyError> {
    let mut bytes = [0; KEY_BYTES];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| SealKeyError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Writes keys for their owner only. The file has its name once it is durable: a key that was used is never lost.
pub(super) fn write(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let new = new_file(folder, name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// The file of a key until it is durable.
fn new_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.new"))
}

fn at(path: &Path, source: io::Error) -> SealKeyError {
    SealKeyError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::seal::{Content, Label};

    #[test]
    fn a_key_is_made_once_for_its_owner_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = load(&Sessions::default(), folder.path()).unwrap();
        let again = load(&Sessions::default(), folder.path()).unwrap();
        let label = Label::pin_header("x-id");
        let sealed = first.seal(&label, b"id").unwrap();
        let mut content = Content::default();
        assert_eq!(again.open(&label, &sealed, &mut content), Ok(&b"id"[..]));
        let mode = fs::metadata(folder.path().join(SEAL_KEY)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert!(!new_file(folder.path(), SEAL_KEY).exists());
        let elsewhere = tempfile::tempdir().unwrap();
        let other = load(&Sessions::default(), elsewhere.path()).unwrap();
        assert!(other.open(&label, &sealed, &mut content).is_err());
    }

    #[test]
    fn configured_keys_are_used_and_errors_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            File::create(&path)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            SecretSpec {
                file: Some(path),
                env: None,
            }
        };
        let (new, old) = (
            file("new", &"n".repeat(40)),
            file("old", &format!("{}\n", "o".repeat(40))),
        );
        let of = |keys: Vec<SecretSpec>| {
            let sessions = Sessions {
                keys,
                ..Sessions::default()
            };
            load(&sessions, folder.path())
        };
        let label = Label::pin_header("x-id");
        let sealed = of(vec![old.clone()]).unwrap().seal(&label, b"id").unwrap();
        let mut content = Content::default();
        let both = of(vec![new.clone(), old]).unwrap();
        assert!(both.open(&label, &sealed, &mut content).is_ok());
        assert!(
            !folder.path().join(SEAL_KEY).exists(),
            "no key is made beside configured ones"
        );
        let weak = of(vec![new, file("weak", "short")]).unwrap_err();
        assert!(weak.to_string().contains("weak"), "{weak}");
        let missing = SecretSpec {
            file: None,
            env: Some("NO_SUCH_VARIABLE_9".into()),
        };
        assert!(matches!(of(vec![missing]), Err(SealKeyError::Missing(_))));
    }
}
