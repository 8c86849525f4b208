//! A secret in a file of its own, with only white space around it.

use std::path::Path;

use crate::model::Problem;

/// Reads the secret that the configuration names at this place.
///
/// # Errors
/// When the file cannot be read, or when nothing is in it.
pub(super) fn read(at: &str, file: &Path) -> Result<String, Problem> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("`{}` cannot be read: {error}", file.display());
        Problem::new(at, message)
    })?;
    let secret = text.trim().to_owned();
    if secret.is_empty() {
        let message = format!("`{}` is empty", file.display());
        return Err(Problem::new(at, message).hint("write the secret into it"));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_secret_is_one_that_can_be_read_and_is_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let problem = || {
            let problem = read("fleet.password_file", &file).err();
            problem.map(|problem| (problem.path, problem.message))
        };
        assert_eq!(problem().unwrap().0, "fleet.password_file");
        let write = |text: &str| {
            let mut file = std::fs::File::create(&file).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write(" \n");
        assert!(problem().unwrap().1.ends_with("is empty"));
        write("secret\n");
        assert_eq!(read("at", &file).unwrap(), "secret");
    }
}
