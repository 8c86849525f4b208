//! Field names that some rule mentions.

macro_rules! known {
    ($($name:ident = $text:literal,)*) => {
        /// A known field name. Ordered by the length of the name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each variant is the field of its name")]
        pub enum KnownField {
            $($name,)*
            /// Any other field that starts with `Mcp-`.
            Mcp,
            /// Any other field that starts with `X-Forwarded-`.
            XForwarded,
            /// Any field that starts with `X-Switchback-`.
            XSwitchback,
            /// Any unknown field.
            Other,
        }

        pub(super) const NAMES: &[(&str, KnownField)] = &[$(($text, KnownField::$name),)*];
    };
}

known! {
    Te = "te",
    Age = "age",
    Via = "via",
    Date = "date",
    Host = "host",
    Vary = "vary",
    Range = "range",
    Accept = "accept",
    Cookie = "cookie",
    Expect = "expect",
    Server = "server",
    Expires = "expires",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Warning = "warning",
    IfMatch = "if-match",
    IfRange = "if-range",
    Location = "location",
    Forwarded = "forwarded",
    XRealIp = "x-real-ip",
    Connection = "connection",
    KeepAlive = "keep-alive",
    SetCookie = "set-cookie",
    Tracestate = "tracestate",
    UserAgent = "user-agent",
    GrpcStatus = "grpc-status",
    RetryAfter = "retry-after",
    Traceparent = "traceparent",
    ContentType = "content-type",
    GrpcTimeout = "grpc-timeout",
    MaxForwards = "max-forwards",
    XRequestId = "x-request-id",
    Authorization = "authorization",
    CacheControl = "cache-control",
    ContentRange = "content-range",
    IfNoneMatch = "if-none-match",
    ContentLength = "content-length",
    Http2Settings = "http2-settings",
    AcceptEncoding = "accept-encoding",
    IdempotencyKey = "idempotency-key",
    XForwardedFor = "x-forwarded-for",
    ContentEncoding = "content-encoding",
    ProxyConnection = "proxy-connection",
    WwwAuthenticate = "www-authenticate",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    IfModifiedSince = "if-modified-since",
    SecWebSocketKey = "sec-websocket-key",
    TransferEncoding = "transfer-encoding",
    XForwardedProto = "x-forwarded-proto",
    ProxyAuthenticate = "proxy-authenticate",
    IfUnmodifiedSince = "if-unmodified-since",
    ProxyAuthorization = "proxy-authorization",
    SecWebSocketAccept = "sec-websocket-accept",
    SecWebSocketVersion = "sec-websocket-version",
    ProxyAuthenticationInfo = "proxy-authentication-info",
}
