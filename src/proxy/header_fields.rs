//! Header fields that a route writes: into the requests for its endpoints, and into its responses.

use std::io::Write as _;
use std::net::IpAddr;

use crate::message::Field;
use crate::model::Revision;
use crate::table::{HeaderRules, HeaderVariable};

use super::forward::RequestId;
use super::io::FieldSink;

/// Values of the variables for one message.
#[derive(Clone, Copy)]
pub(super) struct HeaderValues<'v> {
    pub(super) id: &'v RequestId,
    pub(super) route: &'v str,
    /// Address of the client and host of the request; `None` in responses.
    pub(super) request: Option<(IpAddr, &'v str)>,
    /// Release, version and revision; `None` if no release was chosen.
    pub(super) release: Option<(&'v str, &'v str, Revision)>,
}

impl HeaderValues<'_> {
    /// Writes the fields, but those that `is_ours`. One that names the release is left out where none was chosen.
    pub(super) fn write(
        &self,
        rules: &HeaderRules,
        out: &mut (impl FieldSink + ?Sized),
        is_ours: impl Fn(&str) -> bool,
    ) {
        let mut value = Vec::new();
        for (name, template) in rules.written() {
            let is_of_release = |variable: HeaderVariable| variable.is_of_release();
            let is_unknown = self.release.is_none() && template.variables().any(is_of_release);
            if is_unknown || is_ours(name) {
                continue;
            }
            value.clear();
            template.write(&mut value, |variable, out| self.append(variable, out));
            out.field(&Field::new(name.as_bytes(), &value));
        }
    }

    fn append(&self, variable: HeaderVariable, out: &mut Vec<u8>) {
        let (release, version, revision) = self.release.unwrap_or_default();
        // Writing to memory cannot fail.
        let _ = match variable {
            HeaderVariable::ClientAddress => match self.request {
                Some((client, _)) => write!(out, "{client}"),
                None => Ok(()),
            },
            HeaderVariable::Host => {
                out.write_all(self.request.map_or("", |(_, host)| host).as_bytes())
            }
            HeaderVariable::Release => out.write_all(release.as_bytes()),
            HeaderVariable::RequestId => write!(out, "{}", self.id),
            HeaderVariable::Revision => write!(out, "{revision}"),
            HeaderVariable::Route => out.write_all(self.route.as_bytes()),
            HeaderVariable::Version => out.write_all(version.as_bytes()),
        };
    }
}
