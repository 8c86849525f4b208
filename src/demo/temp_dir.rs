//! The history folder of a demo.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A folder that may be removed when the demo ends.
#[derive(Debug)]
pub(super) struct TempDir {
    path: PathBuf,
    ours: bool,
}

// === impl TempDir ===

impl TempDir {
    /// The requested folder, or a new temporary one.
    pub(super) fn take(asked: Option<&Path>) -> io::Result<Self> {
        if let Some(path) = asked {
            // Existing folders are not created: that would block while their file system hangs.
            if !path.is_dir() {
                fs::create_dir_all(path)?;
            }
            let path = fs::canonicalize(path)?;
            return Ok(Self { path, ours: false });
        }
        let name = |draw: u32| format!("switchback-demo-{draw:08x}");
        let path = std::env::temp_dir().join(name(rand::random()));
        // Fails if it exists: its content would not be ours.
        fs::create_dir(&path)?;
        Ok(Self { path, ours: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if self.ours {
            // A folder that cannot be removed stays among the temporary files, where that is harmless.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_ours_goes_and_one_that_was_named_stays() {
        let ours = TempDir::take(None).unwrap();
        let path = ours.path().to_owned();
        assert!(path.is_dir());
        drop(ours);
        assert!(!path.exists());

        let parent = tempfile::tempdir().unwrap();
        let named = parent.path().join("kept");
        drop(TempDir::take(Some(&named)).unwrap());
        assert!(named.is_dir());
    }
}
