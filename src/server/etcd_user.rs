//! The user of etcd, with the password in its file.

use super::token_file;
use crate::{config::FleetSettings, etcd::EtcdUser, model::Problem};

/// Reads the password of the user, if the fleet has one.
pub(super) fn load(fleet: &FleetSettings) -> Result<Option<EtcdUser>, Problem> {
    let Some((name, file)) = fleet.user.as_ref().zip(fleet.password_file.as_ref()) else {
        return Ok(None);
    };
    Ok(Some(EtcdUser {
        name: name.clone(),
        password: token_file::read("fleet.password_file", file)?,
    }))
}
