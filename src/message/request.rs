//! Validation of a request head, in one pass over its fields.

use super::{
    Authority, ConnectionOptions, Field, FramingFields, KnownField, KnownSet, Limits, Method,
    Reason, Rejection, RequestFraming, Target, Underscores, Version, grammar, swar,
};

/// Request line, or the pseudo-fields that replace it in HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'h> {
    /// The version.
    pub version: Version,
    /// The method.
    pub method: &'h [u8],
    /// The target, or `:path`.
    pub target: &'h [u8],
    /// `:authority`; `None` in HTTP/1.1.
    pub authority: Option<&'h [u8]>,
    /// `END_STREAM` was set on this head; false in HTTP/1.1.
    pub ended: bool,
}

/// A validated request head. It exists only for a request that may be forwarded.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ValidatedRequest<'h> {
    /// Version of the request.
    pub version: Version,
    /// The method.
    pub method: Method,
    /// The target.
    pub target: Target<'h>,
    /// Authority of the request; only HTTP/1.0 can leave it out.
    pub authority: Option<Authority<'h>>,
    /// Framing of the body.
    pub framing: RequestFraming,
    /// The connection may be reused for another request.
    pub keep_alive: bool,
    /// Valid WebSocket upgrade.
    pub websocket: bool,
    /// Requested upgrade to another protocol.
    pub upgrade: Option<&'h [u8]>,
    /// The client waits for a 100 before it sends the body.
    pub expects_continue: bool,
    /// The client accepts trailers (`TE: trailers`).
    pub accepts_trailers: bool,
    /// Options of `Connection`.
    pub nominated: ConnectionOptions<'h>,
    /// Known fields that are present.
    pub present: KnownSet,
    /// The first `Content-Type`.
    pub content_type: Option<&'h [u8]>,
}

/// Flags collected during the pass over the fields.
#[derive(Default)]
struct Flags<'h> {
    framing: FramingFields<'h>,
    nominated: ConnectionOptions<'h>,
    present: KnownSet,
    host: Option<&'h [u8]>,
    content_type: Option<&'h [u8]>,
    upgrade: Upgrade<'h>,
    keys: u8,
    expects_continue: bool,
    accepts_trailers: bool,
    count: usize,
}

/// Fields that are read here, and those whose names may contain a `_`.
const READ: KnownSet = KnownSet::of(&[
    KnownField::Connection,
    KnownField::ContentLength,
    KnownField::ContentType,
    KnownField::Expect,
    KnownField::Host,
    KnownField::KeepAlive,
    KnownField::Mcp,
    KnownField::Other,
    KnownField::ProxyConnection,
    KnownField::SecWebSocketKey,
    KnownField::Te,
    KnownField::TransferEncoding,
    KnownField::Upgrade,
    KnownField::XForwarded,
    KnownField::XSwitchback,
]);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Upgrade<'h> {
    #[default]
    None,
    /// Another protocol; empty if there is more than one, or an invalid one.
    Other(&'h [u8]),
    WebSocket,
}

// === impl ValidatedRequest ===

impl<'h> ValidatedRequest<'h> {
    /// Validates a request head.
    ///
    /// # Errors
    ///
    /// The first rule that the head violates.
    pub fn validate(
        line: &RequestLine<'h>,
        fields: impl IntoIterator<Item = Field<'h>>,
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        let method = check_line(line, limits)?;
        let target = Target::parse(method, line.target)?;
        // RFC 9113, 8.3.1: `:path` has no authority; otherwise it would override `:authority`.
        if line.version == Version::Http2 && target.authority.is_some() {
            return Err(Reason::InvalidTarget.into());
        }
        let mut notes = Flags::default();
        for field in fields {
            notes.read(&field, line.version, limits)?;
        }
        Ok(notes.finish(line, method, target)?)
    }
}

fn check_line(line: &RequestLine<'_>, limits: &Limits) -> Result<Method, Reason> {
    if line.method.len() > limits.method {
        return Err(Reason::MethodTooLong);
    }
    if line.target.len() > limits.target {
        return Err(Reason::TargetTooLong);
    }
    match Method::of(line.method) {
        // RFC 9113, 11.6: kept out of HTTP/1.1, so that the preface of HTTP/2 is never read as a request.
        Method::Other if line.method == b"PRI" => Err(Reason::InvalidMethod),
        Method::Other if !grammar::is_token(line.method) => Err(Reason::InvalidMethod),
        method => Ok(method),
    }
}

// === impl Flags ===

impl<'h> Flags<'h> {
    fn read(&mut self, field: &Field<'h>, version: Version, limits: &Limits) -> Result<(), Reason> {
        self.count += 1;
        if self.count > limits.fields {
            return Err(Reason::TooManyFields);
        }
        let was_there = self.present.insert(field.known);
        if !READ.contains(field.known) {
            return Ok(());
        }
        match field.known {
            KnownField::Mcp
            | KnownField::XForwarded
            | KnownField::XSwitchback
            | KnownField::Other
                if limits.underscores == Underscores::Refuse && has_underscore(field.name) =>
            {
                return Err(Reason::UnderscoreName);
            }
            KnownField::Host if was_there => return Err(Reason::DuplicateHost),
            KnownField::Host => self.host = Some(field.value),
            KnownField::ContentLength => self.framing.read(field),
            KnownField::ContentType if was_there => {}
            KnownField::ContentType => self.content_type = Some(field.value),
            known if version == Version::Http2 => self.read_http2(known, field.value)?,
            known => self.read_http1(known, field, was_there, version)?,
        }
        Ok(())
    }

    fn read_http1(
        &mut self,
        known: KnownField,
        field: &Field<'h>,
        again: bool,
        version: Version,
    ) -> Result<(), Reason> {
        match known {
            KnownField::TransferEncoding => self.framing.read(field),
            KnownField::Connection => self.nominated.read(field.value)?,
            KnownField::Upgrade => self.upgrade = Upgrade::read(field.value, again),
            KnownField::SecWebSocketKey => self.keys = self.keys.saturating_add(1),
            KnownField::Te => self.accepts_trailers |= names_trailers(field.value),
            // RFC 9110, 10.1.1: HTTP/1.0 has no expectations.
            KnownField::Expect if version == Version::Http11 => self.expect(field.value)?,
            _ => {}
        }
        Ok(())
    }

    fn read_http2(&mut self, known: KnownField, value: &[u8]) -> Result<(), Reason> {
        match known {
            KnownField::Te if value.eq_ignore_ascii_case(b"trailers") => {
                self.accepts_trailers = true;
            }
            // RFC 9113, 8.2.2.
            KnownField::Connection
            | KnownField::KeepAlive
            | KnownField::ProxyConnection
            | KnownField::Te
            | KnownField::TransferEncoding
            | KnownField::Upgrade => return Err(Reason::ConnectionField),
            KnownField::Expect => self.expect(value)?,
            _ => {}
        }
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Reason> {
        self.expects_continue = true;
        if value.eq_ignore_ascii_case(b"100-continue") {
            Ok(())
        } else {
            Err(Reason::ExpectationFailed)
        }
    }

    fn finish(
        self,
        line: &RequestLine<'h>,
        method: Method,
        target: Target<'h>,
    ) -> Result<ValidatedRequest<'h>, Reason> {
        let framing = RequestFraming::decide(line.version, &self.framing, line.ended)?;
        Ok(ValidatedRequest {
            version: line.version,
            method,
            target,
            authority: self.authority(line, &target)?,
            framing,
            keep_alive: match line.version {
                Version::Http10 => self.nominated.keep_alive && !self.nominated.close,
                Version::Http11 => !self.nominated.close,
                Version::Http2 => true,
            },
            websocket: self.websocket(line.version, method, framing)?,
            upgrade: self.other_upgrade(line.version, framing),
            expects_continue: self.expects_continue && !framing.is_empty(),
            accepts_trailers: self.accepts_trailers,
            nominated: self.nominated,
            present: self.present,
            content_type: self.content_type,
        })
    }

    /// Authority of the request: from the target or `:authority` if present, else from `Host`, which
    /// must be valid either way.
    fn authority(
        &self,
        line: &RequestLine<'h>,
        target: &Target<'h>,
    ) -> Result<Option<Authority<'h>>, Reason> {
        let host = self.host.map(Authority::parse).transpose()?;
        let pseudo = line.authority.map(Authority::parse).transpose()?;
        if line.version == Version::Http11 && host.is_none() {
            return Err(Reason::MissingHost);
        }
        let authority = target.authority.or(pseudo).or(host);
        if line.version == Version::Http2 && authority.is_none() {
            return Err(Reason::MissingHost);
        }
        Ok(authority)
    }

    /// The single requested protocol other than WebSocket. The route decides if it is forwarded.
    fn other_upgrade(&self, version: Version, framing: RequestFraming) -> Option<&'h [u8]> {
        let may_upgrade =
            self.nominated.upgrade && version == Version::Http11 && framing.is_empty();
        match self.upgrade {
            Upgrade::Other(protocol) if may_upgrade && !protocol.is_empty() => Some(protocol),
            _ => None,
        }
    }

    /// True for a WebSocket upgrade, which is always forwarded. Any other upgrade becomes an ordinary request without
    /// `Upgrade`, unless its route allows it.
    fn websocket(
        &self,
        version: Version,
        method: Method,
        framing: RequestFraming,
    ) -> Result<bool, Reason> {
        if self.upgrade != Upgrade::WebSocket
            || !self.nominated.upgrade
            || version != Version::Http11
        {
            return Ok(false);
        }
        if !framing.is_empty() {
            return Err(Reason::UpgradeWithBody);
        }
        let has_handshake =
            self.keys == 1 && self.present.contains(KnownField::SecWebSocketVersion);
        Ok(method == Method::Get && has_handshake)
    }
}

// === impl Upgrade ===

impl<'h> Upgrade<'h> {
    fn read(value: &'h [u8], again: bool) -> Self {
        let is_protocol = |part: &[u8]| grammar::is_token(part);
        if again {
            Self::Other(b"")
        } else if value.eq_ignore_ascii_case(b"websocket") {
            Self::WebSocket
        } else if value.split(|&byte| byte == b'/').all(is_protocol) {
            Self::Other(value)
        } else {
            Self::Other(b"")
        }
    }
}

fn has_underscore(name: &[u8]) -> bool {
    let found = swar::find(name, 0, |word| swar::equal(word, b'_'), |byte| byte == b'_');
    found < name.len()
}

fn names_trailers(value: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|coding| grammar::trim(coding).eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests;
