//! View of a request for decisions.

use std::net::IpAddr;

/// The parts of a request that decisions may read, independent of its protocol.
pub trait RequestView {
    /// The method, such as `GET`.
    fn method(&self) -> &str;
    /// The requested host, not necessarily in lower case, without a port and without brackets.
    fn host(&self) -> &str;
    /// The path without the query, exactly as received.
    fn path(&self) -> &str;
    /// The query after the first `?`, exactly as received.
    fn query(&self) -> Option<&[u8]> {
        None
    }
    /// Address of the client, if it is known where the decision is made.
    fn client_address(&self) -> Option<IpAddr> {
        None
    }
    /// The value of the first header field of that (lower case) name.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// The value of the first cookie of that name, over all `Cookie` fields.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
}
