//! A keeper that follows the store of its fleet: it takes and gives certificates, answers the questions of orders of other
//! nodes, and orders when it is its turn.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    account::flat,
    domain::Domain,
    keeper::{Keeper, now},
    leaf,
    order::check,
    report,
    shared_folder::{SharedFolder, Sharing},
    shared_view::{CertificateFacts, CertificateMark, Exchange, SharedChallenge, SharedView},
};
use crate::{
    net::{IssuedCertificate, backoff},
    shared_table::{LARGEST_DOCUMENT, StoreError},
};

/// Pauses between looks at a store that is away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A node that follows: at its end it gives its turn away.
struct Following<'f>(&'f SharedFolder);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Keeper {
    /// Shares account, certificates and challenges with a fleet from now on: of its nodes one orders.
    pub fn join(&self, sharing: Sharing) {
        let name = self.authority.folder.name();
        let shared = Arc::new(SharedFolder::new(sharing, &name));
        // A keeper is one of one fleet, so the first one stays.
        drop(self.authority.shared.set(shared));
    }

    /// Follows the store, if this is a node of a fleet, for as long as it is polled.
    pub(super) async fn follow(&self) {
        let Some(shared) = self.authority.shared.get() else {
            return;
        };
        let _following = Following(shared);
        let mut failed = 0;
        loop {
            match self.look(shared).await {
                Ok(version) => {
                    failed = 0;
                    if shared.changed(version).await.is_ok() {
                        continue;
                    }
                }
                Err(error) => shared.be_away(&error),
            }
            failed += 1;
            sleep(backoff(PAUSES.0, PAUSES.1, failed, rand::random())).await;
        }
    }

    /// Looks at the store once: takes what is newer there, gives what is newer here, and sees whose turn it is to order.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn look_at_fleet(&self) -> Result<(), StoreError> {
        let Some(shared) = self.authority.shared.get() else {
            return Ok(());
        };
        let looked = self.look(shared).await;
        looked.map(drop).inspect_err(|error| {
            shared.be_away(error);
            shared.hurry();
        })
    }

    async fn look(&self, shared: &SharedFolder) -> Result<u64, StoreError> {
        let _one = shared.looking.lock().await;
        let view = shared.read().await?;
        self.answer_for_others(shared, &view.challenges);
        if shared.is_candidate() {
            for domain in &self.domains {
                self.exchange(shared, domain, &view).await?;
            }
        }
        if shared.take_turn(&view).await? {
            self.woken.notify_waiters();
        }
        Ok(view.version)
    }

    /// Answers the questions of other nodes' orders, and those that are over no longer.
    fn answer_for_others(&self, shared: &SharedFolder, challenges: &[SharedChallenge]) {
        let is_ours =
            |one: &&SharedChallenge| self.domains.iter().any(|domain| domain.name == one.domain);
        let asked: Vec<_> = challenges.iter().filter(is_ours).collect();
        let mut answered = shared.answered();
        answered.retain(|_, (one, _)| asked.contains(&&*one));
        for one in asked {
            if answered.contains_key(&one.domain) {
                continue;
            }
            let begun = self
                .answers
                .begin(one.challenge, &one.domain, &one.token, &one.answer);
            match begun {
                Ok(validation) => {
                    answered.insert(one.domain.clone(), (one.clone(), validation));
                }
                Err(error) => {
                    tracing::warn!(domain = one.domain, %error, "a question of the authority to another node is not answered here");
                }
            }
        }
    }

    /// Takes the certificate of a domain from the store, or gives it.
    async fn exchange(
        &self,
        shared: &SharedFolder,
        domain: &Domain,
        view: &SharedView,
    ) -> Result<(), StoreError> {
        let own = domain.facts();
        let orders = view.lock.as_ref().is_some_and(|lock| lock.is_mine);
        let sealed_by = shared.secrets.sealed_by();
        let how = (orders, sealed_by.as_deref());
        let mark = view.certificates.get(&domain.name);
        match (view.exchange(&domain.name, own.as_ref(), how), mark, own) {
            (Exchange::Take, Some((mark, _)), _) => {
                self.take_from_fleet(shared, domain, mark).await
            }
            (Exchange::Give, mark, Some(own)) => {
                self.give_to_fleet(shared, domain, (&own, mark)).await
            }
            _ => Ok(()),
        }
    }

    async fn take_from_fleet(
        &self,
        shared: &SharedFolder,
        domain: &Domain,
        mark: &CertificateMark,
    ) -> Result<(), StoreError> {
        if shared.refused().get(&domain.name) == Some(mark) {
            return Ok(());
        }
        // Its successor is noted in a moment.
        let Some(document) = shared.certificate(&domain.name, &mark.digest).await? else {
            return Ok(());
        };
        if let Err(error) = self.try_take(shared, domain, (mark, &document)).await {
            tracing::error!(
                domain = domain.name,
                node = mark.node,
                error,
                "the certificate of the fleet is not used"
            );
            domain.refuse(format!("the certificate of the fleet is not used: {error}"));
            shared.refused().insert(domain.name.clone(), mark.clone());
        }
        Ok(())
    }

    /// Checks a certificate like one that was ordered here, stores it in the own folder, and then serves it.
    async fn try_take(
        &self,
        shared: &SharedFolder,
        domain: &Domain,
        (mark, document): (&CertificateMark, &[u8]),
    ) -> Result<(), String> {
        let pem = shared.secrets.pem(&domain.name, document);
        let pem = pem.map_err(|error| error.to_string())?;
        let checked = check(pem, &domain.name, now()).map_err(|error| error.to_string())?;
        if checked.facts.digest != mark.digest {
            return Err("it is another one than its note says".to_owned());
        }
        let taken = self.take(domain, checked).await;
        let not_after = taken.map_err(|error| error.to_string())?;
        report::set(&domain.name, Some(not_after), 0);
        let until = report::timestamp(not_after);
        tracing::info!(domain = domain.name, node = mark.node, not_after = %until, "certificate taken from the fleet; new handshakes use it");
        self.woken.notify_waiters();
        Ok(())
    }

    async fn give_to_fleet(
        &self,
        shared: &SharedFolder,
        domain: &Domain,
        (own, before): (&CertificateFacts, Option<&(CertificateMark, u64)>),
    ) -> Result<(), StoreError> {
        let document = match self.form_for_fleet(shared, domain, own).await {
            Ok(document) => document,
            Err(error) => {
                tracing::error!(
                    domain = domain.name,
                    error,
                    "the certificate is not given to the fleet"
                );
                return Ok(());
            }
        };
        shared.give(&domain.name, (own, document), before).await?;
        Ok(())
    }

    async fn form_for_fleet(
        &self,
        shared: &SharedFolder,
        domain: &Domain,
        own: &CertificateFacts,
    ) -> Result<Vec<u8>, String> {
        let (folder, name) = (Arc::clone(&self.authority.folder), domain.name.clone());
        let read = flat(spawn_blocking(move || folder.certificate(&name)).await);
        let pem = read.map_err(|error| error.to_string())?.unwrap_or_default();
        let certificate = IssuedCertificate::from_pem(&pem).map_err(|error| error.to_string())?;
        if leaf::digest(certificate.leaf()) != own.digest {
            return Err("its file is not the one that is served".to_owned());
        }
        let pem = String::from_utf8(pem).map_err(|error| error.to_string())?;
        let document = shared.secrets.certificate(&domain.name, &pem);
        let document = document.map_err(|error| error.to_string())?;
        if document.len() > LARGEST_DOCUMENT {
            return Err("it is too large to be shared".to_owned());
        }
        Ok(document)
    }

    /// True if the certificate of a domain may be ordered here: in a fleet the store is asked for the latest one first.
    pub(super) async fn may_order(&self, domain: &Domain) -> bool {
        if self.authority.shared.get().is_none() {
            return true;
        }
        if self.look_at_fleet().await.is_err() {
            return false;
        }
        self.turn().is_here() && domain.times().0 <= now()
    }
}
