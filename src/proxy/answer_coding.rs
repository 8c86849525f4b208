//! The coding of one answer, on a route that compresses: whether its client takes gzip, and what becomes of its head.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::message::{
    AcceptEncoding, KnownField, ResponseFraming, Version, forbids_transform, has_weak_tag,
    is_entity_tag, is_weak_tag, varies_by_encoding,
};
use crate::table::{Compression, HeaderRules};

use super::compressors::{Compressor, Compressors};
use super::io::{FieldSink, RequestParts, ResponseParts};

/// Coding of the answer to one request.
pub(super) struct AnswerCoding {
    rules: Arc<Compression>,
    /// The client takes gzip.
    takes_gzip: bool,
    /// The client has an answer with a weak tag, as those have that were compressed.
    has_weak_tag: bool,
    is_head: bool,
    coded: Cell<Coded>,
    compressor: RefCell<Option<Box<Compressor>>>,
}

/// The decision on one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coded {
    /// It passes as it is for every client.
    #[default]
    Never,
    /// It passes as it is; another client may get it compressed.
    Identity,
    /// It has the head of a compressed one, but no body: the answer to a `HEAD`, or a 304.
    HeadOnly,
    /// It is compressed.
    Gzip,
}

impl AnswerCoding {
    /// Notes what a request says about the coding of its answer.
    pub(super) fn of(rules: &Arc<Compression>, request: &RequestParts<'_>) -> Self {
        let values = |known: KnownField| {
            let fields = request.fields.clone();
            let fields = fields.filter(move |field| field.known == known);
            fields.map(|field| field.value)
        };
        // HTTP/1.0 has no chunks, and a part of the bytes is one of those that the endpoint has.
        let may_take = request.facts.version != Version::Http10
            && !request.facts.present.contains(KnownField::Range)
            && !values(KnownField::CacheControl).any(forbids_transform);
        Self {
            rules: Arc::clone(rules),
            takes_gzip: may_take
                && AcceptEncoding::of(values(KnownField::AcceptEncoding)).prefers_gzip(),
            has_weak_tag: values(KnownField::IfNoneMatch).any(has_weak_tag),
            is_head: request.method == b"HEAD",
            coded: Cell::default(),
            compressor: RefCell::default(),
        }
    }

    /// True if it is by these rules.
    pub(super) fn is_by(&self, rules: Option<&Arc<Compression>>) -> bool {
        rules.is_some_and(|rules| Arc::ptr_eq(rules, &self.rules))
    }

    /// Decides on the answer with this head, and returns the framing that it gets. `may` is false if others change it.
    pub(super) fn decide(
        &self,
        compressors: &Rc<Compressors>,
        parts: &ResponseParts<'_>,
        may: bool,
    ) -> ResponseFraming {
        self.compressor.take();
        let framing = parts.facts.framing;
        let coded = if may && !parts.facts.is_upgrade {
            self.coded(parts)
        } else {
            Coded::Never
        };
        self.coded.set(coded);
        match coded {
            Coded::Never | Coded::Identity => framing,
            // How long it would be is not known.
            Coded::HeadOnly => ResponseFraming::None,
            Coded::Gzip => {
                if let Some(compressor) = compressors.take(&self.rules) {
                    self.compressor.replace(Some(Box::new(compressor)));
                    ResponseFraming::Chunked
                } else {
                    self.coded.set(Coded::Identity);
                    framing
                }
            }
        }
    }

    fn coded(&self, parts: &ResponseParts<'_>) -> Coded {
        let facts = parts.facts;
        if facts.status == 304 {
            // It says nothing of the type: only the tag tells what the client has.
            let is_ours = self.takes_gzip && self.has_weak_tag;
            return if is_ours {
                Coded::HeadOnly
            } else {
                Coded::Never
            };
        }
        let length = match facts.framing {
            ResponseFraming::Length(length) | ResponseFraming::Announced(length) => Some(length),
            ResponseFraming::None | ResponseFraming::Chunked | ResponseFraming::UntilClose => None,
        };
        if !self.rules.suits(facts.status, length, parts.fields.clone()) {
            Coded::Never
        } else if !self.takes_gzip {
            Coded::Identity
        } else if self.is_head {
            Coded::HeadOnly
        } else {
            Coded::Gzip
        }
    }

    /// True if what the head says about the bytes does not hold for what the client gets.
    pub(super) fn is_other(&self) -> bool {
        matches!(self.coded.get(), Coded::HeadOnly | Coded::Gzip)
    }

    /// The compressor of the body, if it is compressed.
    pub(super) fn take_compressor(&self) -> Option<Box<Compressor>> {
        self.compressor.take()
    }

    /// True if the body is compressed.
    pub(super) fn has_compressor(&self) -> bool {
        self.compressor.borrow().is_some()
    }

    /// Writes the fields of the head that say it. `rules` are the changes of the route.
    pub(super) fn write(
        &self,
        parts: &ResponseParts<'_>,
        rules: Option<&HeaderRules>,
        out: &mut dyn FieldSink,
    ) {
        let coded = self.coded.get();
        if coded == Coded::Never {
            return;
        }
        let passed = || {
            let fields = parts.fields.clone();
            fields.filter(move |field| !rules.is_some_and(|rules| rules.takes(field)))
        };
        if coded == Coded::Gzip {
            out.trusted("content-encoding", b"gzip");
        }
        if self.is_other()
            && let Some(tag) = passed().find(|field| is_entity_tag(field))
        {
            let weak = if is_weak_tag(tag.value) {
                &b""[..]
            } else {
                b"W/"
            };
            out.add("etag", &[weak, tag.value].concat());
        }
        let mut vary = passed().filter(|field| field.known == KnownField::Vary);
        if !vary.any(|field| varies_by_encoding(field.value)) {
            out.trusted("vary", b"accept-encoding");
        }
    }
}
