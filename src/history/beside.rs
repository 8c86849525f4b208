//! Small files beside the history: replaced as a whole, with a checksum.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use super::{
    data_dir::open_private,
    seal::{self, DecodeError, FORMAT},
};

/// The text of a file in the folder of a history, if there is one.
///
/// # Errors
/// If it cannot be read, or is damaged.
pub(super) fn read_beside(folder: &Path, name: &str) -> io::Result<Option<String>> {
    let bytes = match fs::read(folder.join(name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let damaged = || format!("`{name}` is damaged");
    let text = seal::open(&bytes).map_err(|error| match error {
        DecodeError::Format(format) => invalid(format!(
            "`{name}` has format {format}, of a later version of switchback; this one reads up to {FORMAT}"
        )),
        DecodeError::Checksum | DecodeError::Json(_) => invalid(damaged()),
    })?;
    String::from_utf8(text.to_vec())
        .map(Some)
        .map_err(|_| invalid(damaged()))
}

/// Replaces a file in the folder of a history by JSON, for its owner only. It has its name once it is durable: after a
/// kill there is the earlier content or the new one.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_beside(folder: &Path, name: &str, json: &str) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = open_private(&new)?;
    file.set_len(0)?;
    file.write_all(&seal::seal(json))?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(read_beside(path, "a.json").unwrap(), None);
        write_beside(path, "a.json", "[1,2,3]").unwrap();
        write_beside(path, "a.json", "[4]").unwrap();
        assert_eq!(read_beside(path, "a.json").unwrap().as_deref(), Some("[4]"));
        let mut bytes = fs::read(path.join("a.json")).unwrap();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        File::create(path.join("a.json"))
            .unwrap()
            .write_all(&bytes)
            .unwrap();
        assert!(read_beside(path, "a.json").is_err());
    }
}
