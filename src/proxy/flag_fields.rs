//! Fields that hand the flags of a route to an endpoint: `x-flag-NAME`, and members of W3C `baggage` beside those of the
//! client.
//!
//! Whatever a client sends under these names is removed, so that an endpoint can rely on them.

use crate::message::{Field, KnownField, is_flag_field, trim};
use crate::table::{FLAG_MEMBER, FlagVariants, RouteFlags};

use super::io::{FieldSink, RequestParts};

/// Most members of `baggage` (W3C Baggage, section 3.3.2).
const MOST_MEMBERS: usize = 64;
/// Most bytes of `baggage` (the same section).
const LONGEST_BAGGAGE: usize = 8_192;

const BAGGAGE: &[u8] = b"baggage";

/// Flags of a route with the variants for a request.
#[derive(Clone, Copy)]
pub(super) struct FlagFields<'f> {
    flags: &'f RouteFlags,
    variants: FlagVariants,
}

impl<'f> FlagFields<'f> {
    /// The flags of a route, with the variants that were drawn for a request.
    pub(super) const fn new(flags: &'f RouteFlags, variants: FlagVariants) -> Self {
        Self { flags, variants }
    }

    /// True if a client's field is removed: it would pass for one of ours, or is written anew.
    pub(super) fn takes(self, field: &Field<'_>) -> bool {
        is_flag_field(field.name) || self.flags.in_baggage() && is_baggage(field)
    }

    /// Writes the fields. `scratch` is used for the joined value.
    pub(super) fn write(
        self,
        parts: &RequestParts<'_>,
        out: &mut impl FieldSink,
        scratch: &mut Vec<u8>,
    ) {
        for (name, text) in self.flags.fields(self.variants) {
            out.field(&Field {
                known: KnownField::Other,
                name: name.as_bytes(),
                value: text.as_bytes(),
            });
        }
        if self.flags.in_baggage() {
            self.join_baggage(parts, scratch);
            out.add("baggage", scratch);
        }
    }

    /// Joins our members and those of the client, as far as both limits allow.
    fn join_baggage(self, parts: &RequestParts<'_>, scratch: &mut Vec<u8>) {
        scratch.clear();
        let mut count = 0;
        let own = self.flags.members(self.variants).map(str::as_bytes);
        let fields = parts.fields.clone().filter(is_baggage);
        let members = fields.flat_map(|field| field.value.split(|byte| *byte == b','));
        let others = members.map(trim).filter(|member| is_of_client(member));
        for member in own.chain(others) {
            let comma = usize::from(count > 0);
            if count == MOST_MEMBERS || scratch.len() + comma + member.len() > LONGEST_BAGGAGE {
                continue;
            }
            if count > 0 {
                scratch.push(b',');
            }
            scratch.extend_from_slice(member);
            count += 1;
        }
    }
}

fn is_baggage(field: &Field<'_>) -> bool {
    field.name.eq_ignore_ascii_case(BAGGAGE)
}

/// True if a member of a client's baggage is kept: it has a key, and not that of a flag.
fn is_of_client(member: &[u8]) -> bool {
    let prefix = member.get(..FLAG_MEMBER.len());
    let is_flag = prefix.is_some_and(|key| key.eq_ignore_ascii_case(FLAG_MEMBER.as_bytes()));
    !member.is_empty() && !is_flag
}
