//! Fields of a route that carry pins, compiled: what to look for, and the label of its sealed texts.

use crate::message::KnownField;
use crate::model::{PinSource, RequestView};
use crate::seal::Label;

/// A field or a cookie whose value is a session id of the endpoint.
#[derive(Debug)]
pub struct PinField {
    source: PinSource,
    known: KnownField,
    label: Label,
}

impl PinField {
    pub(super) fn new(source: &PinSource) -> Self {
        let (known, label) = match source {
            PinSource::Cookie(name) => (KnownField::Cookie, Label::pin_cookie(name)),
            PinSource::Header(name) => (KnownField::of(name.as_bytes()), Label::pin_header(name)),
        };
        Self {
            source: source.clone(),
            known,
            label,
        }
    }

    /// Label of its sealed texts.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Class of the request field that carries it.
    pub fn known(&self) -> KnownField {
        self.known
    }

    /// Its value in a request.
    pub fn value<'r>(&self, request: &'r impl RequestView) -> Option<&'r [u8]> {
        match &self.source {
            PinSource::Cookie(name) => request.cookie(name),
            PinSource::Header(name) => request.header(name),
        }
    }

    /// True for the header field of this name.
    pub fn is_header(&self, name: &[u8]) -> bool {
        matches!(&self.source, PinSource::Header(own) if own.as_bytes().eq_ignore_ascii_case(name))
    }

    /// True for the cookie of this name.
    pub fn is_cookie(&self, name: &[u8]) -> bool {
        matches!(&self.source, PinSource::Cookie(own) if own.as_bytes() == name)
    }
}
