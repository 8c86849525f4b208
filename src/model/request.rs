//! The only view of a request that a decision gets.

/// What decides may read of a request, whatever protocol brought it.
pub trait RequestView {
    /// The method, such as `GET`.
    fn method(&self) -> &str;
    /// The host that was asked for, lower case is not guaranteed, without a port and without brackets.
    fn host(&self) -> &str;
    /// The path without the query, exactly as it came.
    fn path(&self) -> &str;
    /// The value of the first header field of that (lower case) name.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// The value of the first cookie of that name, over all `Cookie` fields.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
}
