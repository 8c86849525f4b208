//! Hooks, ready to be called: secrets and certificates are read.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use ring::hmac;
use tokio::sync::Semaphore;

use super::{error::HookError, secret};
use crate::{
    config::{HookFormat, HookSpec},
    model::{HookEvent, HookName, HookUrl, RouteName, Scheme},
    net::{ClientTls, ClientTlsSettings, NetError},
};

/// Largest number of commands that run at the same time.
const MOST_COMMANDS: usize = 16;

/// A hook.
pub struct Hook {
    name: HookName,
    spec: HookSpec,
    pub(super) target: Target,
    pub(super) keys: Vec<hmac::Key>,
}

/// Place that messages go to.
pub(super) enum Target {
    Url {
        url: HookUrl,
        /// Set for `https`.
        tls: Option<Arc<ClientTls>>,
    },
    Command {
        words: Vec<String>,
        /// Limit on the commands of all hooks.
        room: Arc<Semaphore>,
    },
}

/// All hooks, by name.
#[derive(Debug, Default)]
pub struct HookSet(BTreeMap<HookName, Arc<Hook>>);

/// Parts that all hooks of a set share.
struct Shared {
    room: Arc<Semaphore>,
    /// The authorities of the system; read once, and only if they are needed.
    system: Option<Arc<ClientTls>>,
}

// === impl HookSet ===

impl HookSet {
    /// Reads the secrets and certificates of hooks.
    ///
    /// # Errors
    /// All hooks that cannot be used, and the reasons.
    pub fn load(specs: &BTreeMap<HookName, HookSpec>) -> Result<Self, Vec<(HookName, HookError)>> {
        let mut shared = Shared {
            room: Arc::new(Semaphore::new(MOST_COMMANDS)),
            system: None,
        };
        let (mut hooks, mut errors) = (BTreeMap::new(), Vec::new());
        for (name, spec) in specs {
            match Hook::load(name, spec, &mut shared) {
                Ok(hook) => drop(hooks.insert(name.clone(), Arc::new(hook))),
                Err(error) => errors.push((name.clone(), error)),
            }
        }
        if errors.is_empty() {
            Ok(Self(hooks))
        } else {
            Err(errors)
        }
    }

    /// A hook by its name.
    pub fn get(&self, name: &HookName) -> Option<&Arc<Hook>> {
        self.0.get(name)
    }

    /// Format of a hook.
    pub fn format(&self, name: &HookName) -> Option<HookFormat> {
        self.get(name).map(|hook| hook.spec.format)
    }

    /// The hooks that are told an event of a rollout of these routes: those for one of them at least.
    pub fn listening<'a>(
        &'a self,
        event: HookEvent,
        routes: &'a [RouteName],
    ) -> impl Iterator<Item = &'a Arc<Hook>> {
        let is_for = move |hook: &Hook| routes.iter().any(|route| hook.is_for(route));
        let hooks = self.0.values();
        hooks.filter(move |hook| hook.spec.events.contains(&event) && is_for(hook))
    }
}

// === impl Hook ===

impl Hook {
    fn load(name: &HookName, spec: &HookSpec, shared: &mut Shared) -> Result<Self, HookError> {
        let target = match &spec.url {
            Some(url) => Target::Url {
                tls: match url.origin().scheme() {
                    Scheme::Https => Some(shared.tls(spec).map_err(HookError::Tls)?),
                    Scheme::Http => None,
                },
                url: url.clone(),
            },
            None => Target::Command {
                words: spec.command.clone(),
                room: Arc::clone(&shared.room),
            },
        };
        let keys = spec.secrets.iter().map(secret::load);
        Ok(Self {
            name: name.clone(),
            spec: spec.clone(),
            target,
            keys: keys.collect::<Result<_, _>>()?,
        })
    }

    /// Its name.
    pub const fn name(&self) -> &HookName {
        &self.name
    }

    /// Its settings.
    pub const fn spec(&self) -> &HookSpec {
        &self.spec
    }

    /// Timeout for one call.
    pub const fn timeout(&self) -> Duration {
        self.spec.timeout.0
    }

    fn is_for(&self, route: &RouteName) -> bool {
        self.spec.routes.is_empty() || self.spec.routes.contains(route)
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn tls(&mut self, spec: &HookSpec) -> Result<Arc<ClientTls>, NetError> {
        if let (None, Some(system)) = (&spec.ca, &self.system) {
            return Ok(Arc::clone(system));
        }
        let settings = ClientTlsSettings {
            ca: spec.ca.clone(),
            ..ClientTlsSettings::default()
        };
        let tls = Arc::new(ClientTls::load(&settings)?);
        if spec.ca.is_none() {
            self.system = Some(Arc::clone(&tls));
        }
        Ok(tls)
    }
}
