//! The user of etcd, with the password in its file.

use crate::{config::FleetSettings, etcd::EtcdUser, model::Problem};

/// Reads the password of the user, if the fleet has one.
pub(super) fn load(fleet: &FleetSettings) -> Result<Option<EtcdUser>, Problem> {
    let Some((name, file)) = fleet.user.as_ref().zip(fleet.password_file.as_ref()) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("`{}` cannot be read: {error}", file.display());
        Problem::new("fleet.password_file", message)
    })?;
    let password = text.trim().to_owned();
    if password.is_empty() {
        let message = format!("`{}` is empty", file.display());
        let problem = Problem::new("fleet.password_file", message);
        return Err(problem.hint("write the password of the user into it"));
    }
    Ok(Some(EtcdUser {
        name: name.clone(),
        password,
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_password_is_one_that_can_be_read_and_is_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let text = format!(
            "etcd = ['http://127.0.0.1:2379']\nuser = 'a'\npassword_file = '{}'",
            file.display()
        );
        let fleet: FleetSettings = toml::from_str(&text).unwrap();
        let problem = || {
            let problem = load(&fleet).err();
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
        assert_eq!(problem(), None);
    }
}
