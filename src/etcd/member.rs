//! One exchange with one member, and the token for it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::json;

use super::{
    error::EtcdError,
    settings::EtcdSettings,
    wire::{Refusal, Token, read},
};
use crate::{
    model::{HookUrl, Scheme},
    net::{ClientTls, Exchange, HttpAnswer, RequestBody, exchange},
};

/// Largest refusal that is read.
const LARGEST_REFUSAL: usize = 64 << 10;

/// The members of a cluster, with what an exchange with them needs.
pub(super) struct Members {
    pub(super) settings: EtcdSettings,
    tls: Option<Arc<ClientTls>>,
    token: Mutex<Option<Arc<str>>>,
}

/// A call.
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) body: Bytes,
    /// Harmless if it is done twice.
    pub(super) repeatable: bool,
    /// Changes something that has to be known: the refusal of one copy says nothing about another.
    pub(super) writes: bool,
    /// Refused by a member without a leader.
    pub(super) needs_leader: bool,
}

impl Members {
    /// # Errors
    /// If a file of the TLS settings cannot be used.
    pub(super) fn load(settings: EtcdSettings) -> Result<Self, EtcdError> {
        let is_secure = |url: &HookUrl| url.origin().scheme() == Scheme::Https;
        let tls = if settings.members.iter().any(is_secure) {
            let tls = ClientTls::load(&settings.tls.clone().unwrap_or_default());
            Some(Arc::new(tls.map_err(EtcdError::Tls)?))
        } else {
            None
        };
        Ok(Self {
            settings,
            tls,
            token: Mutex::default(),
        })
    }

    /// Calls a member, with a new token if the one that it had is refused.
    pub(super) async fn call(&self, member: usize, call: &Call) -> Result<Vec<u8>, EtcdError> {
        let token = self.token(member).await?;
        match self.answer(member, call, token.as_ref()).await {
            Err(EtcdError::Unauthenticated(_)) if token.is_some() => {
                self.forget(token.as_ref());
                let token = self.token(member).await?;
                self.answer(member, call, token.as_ref()).await
            }
            answer => answer,
        }
    }

    async fn answer(
        &self,
        member: usize,
        call: &Call,
        token: Option<&Arc<str>>,
    ) -> Result<Vec<u8>, EtcdError> {
        let body = RequestBody::Whole(call.body.clone());
        let answer = self.open(member, call.path, body, token, call.needs_leader);
        Ok(answer.await?.whole(self.settings.largest_answer).await?)
    }

    /// Sends a request, and waits for the head of an answer that is no refusal.
    pub(super) async fn open(
        &self,
        member: usize,
        path: &str,
        body: RequestBody,
        token: Option<&Arc<str>>,
        needs_leader: bool,
    ) -> Result<HttpAnswer, EtcdError> {
        let mut fields = vec![("content-type", "application/json".to_owned())];
        fields.extend(token.map(|token| ("authorization", token.to_string())));
        // A field of gRPC, behind the gateway.
        fields.extend(needs_leader.then(|| ("grpc-metadata-hasleader", "true".to_owned())));
        let url = self.settings.members[member].under(path);
        let is_secure = url.origin().scheme() == Scheme::Https;
        let answer = exchange(Exchange {
            method: "POST",
            url: &url,
            tls: self.tls.as_ref().filter(|_| is_secure),
            fields,
            body,
        });
        let answer = answer.await?;
        let status = answer.status();
        if status == 200 {
            return Ok(answer);
        }
        // Its absence says nothing more than the status.
        let reason = answer.whole(LARGEST_REFUSAL).await.unwrap_or_default();
        Err(Refusal::read(status, &reason).into())
    }

    /// The token of the user; `None` without a user.
    pub(super) async fn token(&self, member: usize) -> Result<Option<Arc<str>>, EtcdError> {
        let Some(user) = &self.settings.user else {
            return Ok(None);
        };
        if let Some(token) = self.stored().clone() {
            return Ok(Some(token));
        }
        let call = Call {
            path: "/v3/auth/authenticate",
            body: json!({"name": user.name, "password": user.password})
                .to_string()
                .into(),
            repeatable: true,
            writes: false,
            needs_leader: true,
        };
        let answer = self.answer(member, &call, None).await?;
        let token: Arc<str> = read::<Token>(&answer)?.token.into();
        *self.stored() = Some(Arc::clone(&token));
        Ok(Some(token))
    }

    /// Has no token any more, if it is still this one.
    pub(super) fn forget(&self, token: Option<&Arc<str>>) {
        let mut stored = self.stored();
        if stored.as_ref() == token {
            *stored = None;
        }
    }

    fn stored(&self) -> std::sync::MutexGuard<'_, Option<Arc<str>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
