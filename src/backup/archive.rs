//! A backup: its sections as values.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    BackupError, BackupRows, ConfigFile, Keys, Manifest,
    container::{CONFIG, FILES, HISTORY, KEYS, MANIFEST, Section, pack, unpack},
    keys,
};

/// A backup.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its origin, and the digests of its revisions.
    pub manifest: Manifest,
    /// The history.
    pub rows: BackupRows,
    /// Small files beside the history by name: JSON.
    pub files: BTreeMap<String, String>,
    /// The configuration file, if there was one.
    pub config: Option<ConfigFile>,
    /// Encrypted keys, if they were asked for.
    keys: Option<Vec<u8>>,
}

impl Backup {
    /// A backup without keys.
    pub fn new(
        manifest: Manifest,
        rows: BackupRows,
        files: BTreeMap<String, String>,
        config: Option<ConfigFile>,
    ) -> Self {
        Self {
            manifest,
            rows,
            files,
            config,
            keys: None,
        }
    }

    /// Adds keys, encrypted with a passphrase.
    ///
    /// # Errors
    /// If the passphrase is too short or too long.
    pub fn with_keys(mut self, keys: &Keys, passphrase: &str) -> Result<Self, BackupError> {
        self.keys = Some(keys::encrypt(keys, passphrase)?);
        Ok(self)
    }

    /// True if it has keys.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Its keys; none if it has none.
    ///
    /// # Errors
    /// If the passphrase is another one.
    pub fn keys(&self, passphrase: &str) -> Result<Keys, BackupError> {
        match &self.keys {
            Some(keys) => keys::decrypt(keys, passphrase),
            None => Ok(Keys::new()),
        }
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut sections = vec![
            (MANIFEST, json(&self.manifest)),
            (HISTORY, json(&self.rows)),
            (FILES, json(&self.files)),
        ];
        if let Some(config) = &self.config {
            sections.push((CONFIG, json(config)));
        }
        if let Some(keys) = &self.keys {
            sections.push((KEYS, keys.clone()));
        }
        pack(&sections)
    }

    /// Reads a file. Every byte is covered by digests, which are compared first.
    ///
    /// # Errors
    /// If it is not whole, or not what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BackupError> {
        let sections = unpack(bytes)?;
        Ok(Self {
            manifest: required(&sections, MANIFEST)?,
            rows: required(&sections, HISTORY)?,
            files: required(&sections, FILES)?,
            config: find(&sections, CONFIG)
                .map(|content| parse(CONFIG, content))
                .transpose()?,
            keys: find(&sections, KEYS).map(<[u8]>::to_vec),
        })
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a backup has string keys and whole numbers")
}

fn find(sections: &[Section], kind: [u8; 4]) -> Option<&[u8]> {
    let found = sections.iter().find(|(other, _)| *other == kind);
    found.map(|(_, content)| content.as_slice())
}

fn required<T: DeserializeOwned>(sections: &[Section], kind: [u8; 4]) -> Result<T, BackupError> {
    let missing = || BackupError::content(&name(kind), "it is missing");
    parse(kind, find(sections, kind).ok_or_else(missing)?)
}

fn parse<T: DeserializeOwned>(kind: [u8; 4], content: &[u8]) -> Result<T, BackupError> {
    serde_json::from_slice(content).map_err(|error| BackupError::content(&name(kind), &error))
}

fn name(kind: [u8; 4]) -> String {
    String::from_utf8_lossy(&kind).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;

    #[test]
    fn what_was_written_is_read() {
        let manifest = Manifest {
            version: "0.1.0".to_owned(),
            node: Some("edge-1".to_owned()),
            taken_at_ms: 7,
            live: Revision(3),
            reserved: 4099,
            revisions: Vec::new(),
        };
        let files = BTreeMap::from([("drills.json".to_owned(), "[]".to_owned())]);
        let config = ConfigFile {
            path: "/etc/switchback.toml".to_owned(),
            text: "workers = 2\n".to_owned(),
        };
        let backup = Backup::new(manifest, BackupRows::default(), files, Some(config));
        let read = Backup::from_bytes(&backup.to_bytes()).unwrap();
        assert_eq!(read.manifest, backup.manifest);
        assert_eq!((&read.files, &read.config), (&backup.files, &backup.config));
        assert!(!read.has_keys() && read.keys("").unwrap().is_empty());
    }
}
