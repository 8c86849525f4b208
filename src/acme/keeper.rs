//! The keeper of the certificates of one folder: serves what is there, and orders what is missing or due.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{Notify, Semaphore},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use super::{
    account::{Authority, flat},
    binding::{self, BindingError},
    domain::Domain,
    folder::{AcmeFolder, FolderLock},
    leaf::LeafFacts,
    order::{Ordered, Wanted, order},
    problem::OrderFailure,
    report::{self, CertificateOutcome},
    turn::Turn,
    validation::Answers,
};
use crate::{
    api::CertificateStatus,
    config::{Acme, AcmeChallenge},
    net::{
        ClientTls, ClientTlsSettings, HttpChallenges, IssuedCertificate, IssuedCertificates,
        NetError,
    },
};

/// Orders under way at a time: directories limit requests.
const ORDERS: usize = 4;
/// Interval of looking at a folder whose lock another process has.
const FOLLOW: Duration = Duration::from_secs(2);
/// Longest sleep, so that a clock that is set is noticed.
const LONGEST_SLEEP: u64 = 3_600;
/// Seconds until the authority is asked again for a window, unless it says when; and the bounds of what it says.
const ASK: u64 = 6 * 3_600;
const ASK_BOUNDS: (u64, u64) = (60, 24 * 3_600);

/// Error of a folder or of files at the start.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The folder cannot be used.
    #[error("the folder of certificates `{}` cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The key that binds the account cannot be used.
    #[error("the key of `eab` is unusable")]
    Binding(#[source] BindingError),
    /// The connection to the directory cannot be verified.
    #[error("the TLS settings for the directory are unusable")]
    Tls(#[source] NetError),
}

/// Listener for outcomes of orders.
pub type Tell = Arc<dyn Fn(CertificateOutcome) + Send + Sync>;

/// The certificates of one folder.
pub struct Keeper {
    pub(super) authority: Authority,
    challenge: AcmeChallenge,
    pub(super) answers: Answers,
    pub(super) domains: Vec<Domain>,
    orders: Semaphore,
    /// Wakes domains that sleep.
    pub(super) woken: Notify,
    /// True while another process has the lock of the folder.
    follows: AtomicBool,
}

impl Keeper {
    /// Opens a folder, which is created if it is not there, and reads the certificates that are in it. Nothing is ordered.
    ///
    /// # Errors
    /// When the folder, the `ca` file or the key of `eab` cannot be used.
    pub fn open(
        settings: &Acme,
        path: &Path,
        http: Arc<HttpChallenges>,
    ) -> Result<Self, KeeperError> {
        let of_path = |source| KeeperError::Folder {
            path: path.to_owned(),
            source,
        };
        let folder = AcmeFolder::open(path, &settings.directory).map_err(of_path)?;
        let tls = ClientTls::load(&ClientTlsSettings {
            ca: settings.ca.clone(),
            ..ClientTlsSettings::default()
        });
        let bound = settings.eab.as_ref().map(binding::read).transpose();
        let names = &settings.domains;
        let keeper = Self {
            authority: Authority {
                directory: settings.directory.clone(),
                contact: settings.contact.clone(),
                binding: bound.map_err(KeeperError::Binding)?,
                profile: settings.profile.clone(),
                tls: Arc::new(tls.map_err(KeeperError::Tls)?),
                folder: Arc::new(folder),
                shared: OnceLock::new(),
                registering: tokio::sync::Mutex::default(),
            },
            challenge: settings.challenge,
            answers: Answers {
                issued: IssuedCertificates::new(names.clone()),
                http,
            },
            domains: names
                .iter()
                .map(|name| Domain::new(name.clone(), draw()))
                .collect(),
            orders: Semaphore::new(ORDERS),
            woken: Notify::new(),
            follows: AtomicBool::new(false),
        };
        keeper.read_all();
        for domain in keeper
            .domains
            .iter()
            .filter(|one| one.not_after().is_none())
        {
            tracing::warn!(
                domain = domain.name,
                "no certificate yet: handshakes are refused until the authority has issued one"
            );
        }
        Ok(keeper)
    }

    /// Its certificates, for the handshakes of a listener.
    pub fn issued(&self) -> Arc<IssuedCertificates> {
        Arc::clone(&self.answers.issued)
    }

    /// Status of each domain, in the order of the configuration.
    pub fn status(&self) -> Vec<CertificateStatus> {
        let (turn, now) = (self.turn(), now());
        let directory = &self.authority.directory;
        let domains = self.domains.iter();
        domains
            .map(|domain| domain.status(directory, &turn, now))
            .collect()
    }

    /// The process whose turn it is to order.
    pub(super) fn turn(&self) -> Turn {
        match self.authority.shared.get() {
            Some(shared) => shared.turn(),
            None if self.follows.load(Ordering::Relaxed) => Turn::Elsewhere(None),
            None => Turn::Here,
        }
    }

    /// Tries what has failed at once, unless the authority asked to wait.
    pub fn try_again(&self) {
        for domain in &self.domains {
            domain.try_again();
        }
        self.woken.notify_waiters();
    }

    /// Keeps the certificates, for as long as it is polled. Of several processes, the one with the lock of the folder
    /// orders, and of a fleet the node whose turn it is.
    pub async fn run(self: Arc<Self>, tell: Tell) {
        tokio::join!(self.follow(), Arc::clone(&self).keep_all(tell));
    }

    async fn keep_all(self: Arc<Self>, tell: Tell) {
        let _lock = self.lock().await;
        self.follows.store(false, Ordering::Relaxed);
        if let Some(shared) = self.authority.shared.get() {
            shared.be_candidate();
        }
        let mut all = JoinSet::new();
        for place in 0..self.domains.len() {
            let (keeper, tell) = (Arc::clone(&self), Arc::clone(&tell));
            all.spawn(async move { keeper.keep(&keeper.domains[place], &tell).await });
        }
        // They do not end by themselves.
        while all.join_next().await.is_some() {}
    }

    /// Waits for the lock, and serves what another process orders meanwhile.
    async fn lock(self: &Arc<Self>) -> FolderLock {
        let mut logged = String::new();
        loop {
            let keeper = Arc::clone(self);
            let tried = spawn_blocking(move || {
                let lock = keeper.authority.folder.try_lock();
                keeper.read_all();
                lock
            });
            match flat(tried.await) {
                Ok(Some(lock)) => return lock,
                Ok(None) if !self.follows.swap(true, Ordering::Relaxed) => {
                    let folder = self.authority.folder.path().display();
                    tracing::info!(%folder, "another process orders the certificates of this folder; they are served from it");
                }
                Err(error) if error.to_string() != logged => {
                    logged = error.to_string();
                    tracing::error!(%error, hint = error.hint(), "the folder of certificates cannot be locked");
                }
                Ok(None) | Err(_) => {}
            }
            sleep(FOLLOW).await;
        }
    }

    /// Reads what has changed in the folder.
    fn read_all(&self) {
        let folder = &self.authority.folder;
        for domain in &self.domains {
            let modified = folder.modified(&domain.name);
            if !domain.is_other(modified) {
                continue;
            }
            match self.read(domain) {
                Ok((certificate, leaf)) => {
                    report::set(&domain.name, Some(leaf.lifetime.not_after), 0);
                    domain.renewed(leaf, (0, modified), draw());
                    self.answers.issued.set(&domain.name, &certificate);
                }
                Err(error) => {
                    let folder = folder.path().display();
                    tracing::warn!(domain = domain.name, error, %folder, "the stored certificate is not used");
                }
            }
        }
    }

    fn read(&self, domain: &Domain) -> Result<(IssuedCertificate, LeafFacts), String> {
        let stored = self.authority.folder.certificate(&domain.name);
        let pem = stored
            .map_err(|error| error.to_string())?
            .unwrap_or_default();
        let certificate = IssuedCertificate::from_pem(&pem).map_err(|error| error.to_string())?;
        if !certificate.is_for(&domain.name) {
            return Err("it is for another domain".to_owned());
        }
        let leaf = LeafFacts::of(certificate.leaf()).ok_or("its dates cannot be read")?;
        Ok((certificate, leaf))
    }

    /// Keeps the certificate of one domain.
    async fn keep(&self, domain: &Domain, tell: &Tell) {
        report::set(&domain.name, domain.not_after(), 0);
        loop {
            let woken = self.woken.notified();
            let (now, (next, ask_at)) = (now(), domain.times());
            let is_ours = self.turn().is_here();
            if is_ours && ask_at <= now {
                self.ask(domain).await;
            } else if is_ours && next <= now {
                if let Some(outcome) = self.renew(domain).await {
                    tell(outcome);
                }
            } else {
                let seconds = if is_ours {
                    (next.min(ask_at) - now).min(LONGEST_SLEEP)
                } else {
                    LONGEST_SLEEP
                };
                // A wake-up and the end of the time are alike: both look again.
                let _woken = timeout(Duration::from_secs(seconds), woken).await;
            }
        }
    }

    /// Asks the authority when it wants the certificate to be renewed.
    async fn ask(&self, domain: &Domain) {
        let Some(id) = domain.id() else {
            return;
        };
        let asked = self.authority.renewal_window(&id).await;
        let at = |seconds: Option<u64>| {
            let (least, most) = ASK_BOUNDS;
            now() + seconds.map_or(ASK, |seconds| seconds.clamp(least, most))
        };
        match asked {
            Ok((window, seconds)) => {
                if let Some(window) = window {
                    let (start, end) = (
                        report::timestamp(window.start),
                        report::timestamp(window.end),
                    );
                    tracing::debug!(domain = domain.name, %start, %end, "the authority suggests when to renew");
                }
                domain.suggested(window, at(seconds));
            }
            Err(error) => {
                tracing::debug!(domain = domain.name, %error, "the authority could not be asked when to renew");
                domain.ask_later(at(None));
            }
        }
    }

    /// Orders a certificate, and uses it. `None` if another node of a fleet has, or does.
    async fn renew(&self, domain: &Domain) -> Option<CertificateOutcome> {
        // Never closed.
        let _permit = self.orders.acquire().await;
        if !self.may_order(domain).await {
            return None;
        }
        let wanted = Wanted {
            domain: domain.name.clone(),
            challenge: self.challenge,
            replaces: domain.replaces(),
        };
        let ordered = tokio::select! {
            ordered = order(&self.authority, &self.answers, &wanted, now()) => ordered,
            () = self.lost_turn() => {
                tracing::warn!(domain = domain.name, "the order is left to another node of the fleet");
                return None;
            }
        };
        let outcome = match ordered {
            Ok(ordered) => self.take(domain, ordered).await,
            Err(failure) => Err(failure),
        };
        let outcome = match outcome {
            Ok(not_after) => report::issued(&domain.name, not_after),
            Err(failure) => {
                let next = domain.failed(&failure, now());
                report::failed(&domain.name, &failure, (domain.not_after(), next))
            }
        };
        report::set(&domain.name, domain.not_after(), domain.failures());
        // What cannot be given to the fleet now is given when its store is back.
        drop(self.look_at_fleet().await);
        Some(outcome)
    }

    /// Waits until another node of the fleet may order; without a fleet for ever.
    async fn lost_turn(&self) {
        match self.authority.shared.get() {
            Some(shared) => shared.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Stores a certificate, and then serves it: what a restart would not find is not served.
    pub(super) async fn take(
        &self,
        domain: &Domain,
        ordered: Ordered,
    ) -> Result<u64, OrderFailure> {
        let (folder, name) = (Arc::clone(&self.authority.folder), domain.name.clone());
        let Ordered {
            certificate,
            facts,
            pem,
        } = ordered;
        let stored = spawn_blocking(move || {
            folder.save_certificate(&name, pem.as_bytes())?;
            Ok(folder.modified(&name))
        });
        let modified = flat(stored.await)?;
        let not_after = facts.lifetime.not_after;
        self.answers.issued.set(&domain.name, &certificate);
        domain.renewed(facts, (now(), modified), draw());
        Ok(not_after)
    }
}

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A random number from 0 to 1.
fn draw() -> f64 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn settings(domains: &[&str]) -> Acme {
        Acme {
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            contact: Vec::new(),
            eab: None,
            directory: "https://127.0.0.1:1/dir".to_owned(),
            ca: None,
            path: None,
            challenge: AcmeChallenge::default(),
            profile: None,
        }
    }

    fn stored(domain: &str) -> String {
        let made = rcgen::generate_simple_self_signed([domain.to_owned()]).unwrap();
        made.signing_key.serialize_pem() + &made.cert.pem()
    }

    fn open(path: &Path, domains: &[&str]) -> Keeper {
        let ca = path.join("ca.pem");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let mut file = std::fs::File::create(&ca).unwrap();
        file.write_all(made.cert.pem().as_bytes()).unwrap();
        let settings = Acme {
            ca: Some(ca),
            ..settings(domains)
        };
        Keeper::open(&settings, path, Arc::default()).unwrap()
    }

    #[test]
    fn what_is_in_the_folder_is_served_before_anything_is_ordered() {
        let folder = tempfile::tempdir().unwrap();
        let acme = AcmeFolder::open(folder.path(), "https://127.0.0.1:1/dir").unwrap();
        acme.save_certificate("a.test", stored("a.test").as_bytes())
            .unwrap();
        acme.save_certificate("b.test", stored("other.test").as_bytes())
            .unwrap();
        acme.save_certificate("c.test", b"nonsense").unwrap();
        let keeper = open(folder.path(), &["a.test", "b.test", "c.test", "d.test"]);
        let has: Vec<_> = keeper
            .status()
            .iter()
            .map(|one| one.not_after.is_some())
            .collect();
        assert_eq!(has, [true, false, false, false]);
    }

    #[test]
    fn what_another_process_has_renewed_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = open(folder.path(), &["a.test"]);
        assert!(keeper.domains[0].not_after().is_none());
        let pem = stored("a.test");
        keeper
            .authority
            .folder
            .save_certificate("a.test", pem.as_bytes())
            .unwrap();
        keeper.read_all();
        assert!(keeper.domains[0].not_after().is_some());
        assert!(!keeper.domains[0].is_other(keeper.authority.folder.modified("a.test")));
    }
}
