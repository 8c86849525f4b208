//! The directory of an authority, and the account at it: kept in the folder, registered where there is none.

use std::sync::{Arc, OnceLock};

use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{
    client::{AcmeClient, ExchangeError},
    folder::AcmeFolder,
    leaf::LeafId,
    problem::{ACCOUNT, FailureKind, OrderFailure},
    renewal::RenewalWindow,
    shared_folder::SharedFolder,
    shared_view::LONGEST,
};
use crate::{
    net::ClientTls,
    shared_table::{Document, Expected, Written},
};

/// The directory, with all that is asked of it.
pub(super) struct Authority {
    pub(super) directory: String,
    pub(super) contact: Vec<String>,
    /// Key of the account that a new one is bound to.
    pub(super) binding: Option<ExternalAccountKey>,
    pub(super) profile: Option<String>,
    pub(super) tls: Arc<ClientTls>,
    pub(super) folder: Arc<AcmeFolder>,
    /// The folder of a fleet of proxies, if this is one of its nodes.
    pub(super) shared: OnceLock<Arc<SharedFolder>>,
    /// Held while the account is read or registered, so that there is one.
    pub(super) registering: tokio::sync::Mutex<()>,
}

/// The parts of a directory's document that the library keeps to itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    renewal_info: Option<String>,
}

/// A suggestion for renewal (RFC 9773, section 4.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfo {
    suggested_window: SuggestedWindow,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    start: String,
    end: String,
}

impl Authority {
    /// The account with a client of its own, registered first if the folder has none.
    pub(super) async fn account(&self) -> Result<(Account, AcmeClient), OrderFailure> {
        let _one = self.registering.lock().await;
        match self.stored().await? {
            Some(credentials) => self.known(credentials).await,
            None => self.register().await,
        }
    }

    /// Has no account from now on, if it is still this one.
    pub(super) async fn forget(&self, id: &str) -> Result<(), OrderFailure> {
        let _one = self.registering.lock().await;
        if let Some(shared) = self.shared.get() {
            self.forget_shared(shared, id).await?;
        }
        let folder = Arc::clone(&self.folder);
        let id = id.to_owned();
        let forget = spawn_blocking(move || match folder.account()? {
            Some(stored) if names(&stored, &id) => folder.set_account_aside(),
            _ => Ok(()),
        });
        flat(forget.await)
    }

    async fn stored(&self) -> Result<Option<AccountCredentials>, OrderFailure> {
        let folder = Arc::clone(&self.folder);
        let own = flat(spawn_blocking(move || folder.account()).await)?;
        let stored = match self.shared.get() {
            Some(shared) => self.common(shared, own).await?,
            None => own,
        };
        let read = |stored: Vec<u8>| {
            serde_json::from_slice(&stored).map_err(|error| {
                let words = format!("`account.json` cannot be read: {error}");
                OrderFailure::new(FailureKind::Folder, ACCOUNT, words)
            })
        };
        stored.map(read).transpose()
    }

    /// The account of the fleet, which takes the place of an own one; an own one becomes that of a fleet without any.
    async fn common(
        &self,
        shared: &SharedFolder,
        own: Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, OrderFailure> {
        let view = shared.read().await.map_err(OrderFailure::of_sharing)?;
        let (account, expected) = match (&view.account, own) {
            (Some(document), own) => {
                let account = self.opened(shared, document)?;
                if own.as_ref() != Some(&account) {
                    self.save(&account).await?;
                }
                (account, Expected::Version(document.version))
            }
            (None, Some(own)) => (own, Expected::Absent),
            (None, None) => return Ok(None),
        };
        let document = self.document(shared, &account)?;
        if view.account.is_none_or(|there| there.value != document) {
            let given = shared.give_account(document, expected).await;
            given.map_err(OrderFailure::of_sharing)?;
        }
        Ok(Some(account))
    }

    fn opened(&self, shared: &SharedFolder, document: &Document) -> Result<Vec<u8>, OrderFailure> {
        let secrets = &shared.secrets;
        let opened = secrets.opened_account(&self.directory, &document.value);
        opened.map_err(OrderFailure::of_sharing)
    }

    fn document(&self, shared: &SharedFolder, account: &[u8]) -> Result<Vec<u8>, OrderFailure> {
        let document = shared.secrets.account(&self.directory, account);
        let document = document.map_err(OrderFailure::of_sharing)?;
        if document.len() > LONGEST {
            return Err(OrderFailure::of_sharing("it is too large to be shared"));
        }
        Ok(document)
    }

    /// Removes the account of the fleet, if it is still this one.
    async fn forget_shared(&self, shared: &SharedFolder, id: &str) -> Result<(), OrderFailure> {
        let view = shared.read().await.map_err(OrderFailure::of_sharing)?;
        if let Some(document) = view.account.filter(|document| names(&document.value, id)) {
            let removed = shared.remove_account(document.version).await;
            removed.map_err(OrderFailure::of_sharing)?;
        }
        Ok(())
    }

    async fn save(&self, account: &[u8]) -> Result<(), OrderFailure> {
        let (folder, account) = (Arc::clone(&self.folder), account.to_owned());
        flat(spawn_blocking(move || folder.save_account(&account)).await)
    }

    async fn known(
        &self,
        credentials: AccountCredentials,
    ) -> Result<(Account, AcmeClient), OrderFailure> {
        let client = AcmeClient::new(Arc::clone(&self.tls));
        let builder = Account::builder_with_http(Box::new(client.clone()));
        let account = builder.from_credentials(credentials).await;
        let account =
            account.map_err(|error| OrderFailure::of("directory", &error, client.asked()))?;
        Ok((account, client))
    }

    async fn register(&self) -> Result<(Account, AcmeClient), OrderFailure> {
        let client = AcmeClient::new(Arc::clone(&self.tls));
        let contact: Vec<&str> = self.contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_http(Box::new(client.clone()));
        let created = builder
            .create(&new, self.directory.clone(), self.binding.as_ref())
            .await;
        let (account, credentials) =
            created.map_err(|error| OrderFailure::of(step_of(&error), &error, client.asked()))?;
        let text = serde_json::to_vec_pretty(&credentials)
            .map_err(|error| OrderFailure::new(FailureKind::Folder, ACCOUNT, error))?;
        self.save(&text).await?;
        if let Some(shared) = self.shared.get() {
            let document = self.document(shared, &text)?;
            let given = shared.give_account(document, Expected::Absent).await;
            if given.map_err(OrderFailure::of_sharing)? == Written::Overtaken {
                tracing::warn!(
                    directory = self.directory,
                    "another node has registered as well; its account is used from the next order on"
                );
            }
        }
        tracing::info!(
            directory = self.directory,
            account = account.id(),
            "registered at the authority"
        );
        Ok((account, client))
    }

    /// The time in which the authority suggests to renew a certificate, and the seconds until it wants to be asked again.
    /// `None` if it suggests none.
    pub(super) async fn renewal_window(
        &self,
        id: &LeafId,
    ) -> Result<(Option<RenewalWindow>, Option<u64>), ExchangeError> {
        let client = AcmeClient::new(Arc::clone(&self.tls));
        let document = client.get(&self.directory).await?;
        let Ok(Directory {
            renewal_info: Some(url),
        }) = serde_json::from_slice(&document)
        else {
            return Ok((None, None));
        };
        client.asked();
        let url = format!(
            "{}/{}.{}",
            url.trim_end_matches('/'),
            id.authority_key,
            id.serial
        );
        let answer = client.get(&url).await?;
        Ok((window(&answer), client.asked()))
    }
}

fn window(answer: &[u8]) -> Option<RenewalWindow> {
    let info: RenewalInfo = serde_json::from_slice(answer).ok()?;
    let seconds = |text: &str| {
        let time = humantime::parse_rfc3339(text).ok()?;
        Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
    };
    Some(RenewalWindow {
        start: seconds(&info.suggested_window.start)?,
        end: seconds(&info.suggested_window.end)?,
    })
}

/// The step of a registration that failed: the directory is read first.
const fn step_of(error: &Error) -> &'static str {
    match error {
        Error::Api(_) => ACCOUNT,
        _ => "directory",
    }
}

/// True if a stored account has this id.
fn names(stored: &[u8], id: &str) -> bool {
    let stored: Option<serde_json::Value> = serde_json::from_slice(stored).ok();
    stored.is_some_and(|stored| stored["id"] == id)
}

/// The result of a look at the folder, on a thread of its own.
pub(super) fn flat<T>(
    done: Result<std::io::Result<T>, tokio::task::JoinError>,
) -> Result<T, OrderFailure> {
    let done = done.map_err(std::io::Error::other);
    done.flatten().map_err(OrderFailure::of_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_read_as_the_standard_shows_it() {
        let answer = br#"{"suggestedWindow": {"start": "2026-01-03T00:00:00Z", "end": "2026-01-07T00:00:00.5Z"},
            "explanationURL": "https://acme.example/docs/ari"}"#;
        let found = window(answer).unwrap();
        assert_eq!((found.start, found.end), (1_767_398_400, 1_767_744_000));
        assert_eq!(window(b"{}"), None);
        assert_eq!(
            window(br#"{"suggestedWindow": {"start": "soon", "end": "later"}}"#),
            None
        );
    }

    #[test]
    fn only_the_account_that_was_lost_is_forgotten() {
        let stored = br#"{"id":"https://acme.example/account/1","key_pkcs8":"x"}"#;
        assert!(names(stored, "https://acme.example/account/1"));
        assert!(!names(stored, "https://acme.example/account/2") && !names(b"?", ""));
    }
}
