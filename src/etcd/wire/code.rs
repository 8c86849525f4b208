//! Codes of errors.

/// Code of an error of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcCode {
    /// An error without a code of its own, such as a deadline that passed inside etcd.
    Unknown,
    /// The request is wrong; etcd says so as well of a user or a password that is wrong.
    InvalidArgument,
    /// There is no such thing.
    NotFound,
    /// The right is missing.
    PermissionDenied,
    /// A limit is reached: of the store, of a message, or of requests.
    ResourceExhausted,
    /// The store is in another state.
    FailedPrecondition,
    /// The revision is not there any more, or not yet.
    OutOfRange,
    /// There is no leader, or the member does not get an answer of it.
    Unavailable,
    /// The token is not valid.
    Unauthenticated,
    /// Any other.
    Other(u32),
}

const CODES: [(u32, &str, GrpcCode); 9] = [
    (2, "Unknown", GrpcCode::Unknown),
    (3, "InvalidArgument", GrpcCode::InvalidArgument),
    (5, "NotFound", GrpcCode::NotFound),
    (7, "PermissionDenied", GrpcCode::PermissionDenied),
    (8, "ResourceExhausted", GrpcCode::ResourceExhausted),
    (9, "FailedPrecondition", GrpcCode::FailedPrecondition),
    (11, "OutOfRange", GrpcCode::OutOfRange),
    (14, "Unavailable", GrpcCode::Unavailable),
    (16, "Unauthenticated", GrpcCode::Unauthenticated),
];

impl GrpcCode {
    /// The code of a number.
    pub fn of_number(number: u32) -> Self {
        let known = CODES.iter().find(|(known, ..)| *known == number);
        known.map_or(Self::Other(number), |(.., code)| *code)
    }

    /// The code of a name, as in the texts of Go.
    pub fn of_name(name: &str) -> Self {
        let known = CODES.iter().find(|(_, known, _)| *known == name);
        known.map_or(Self::Unknown, |(.., code)| *code)
    }

    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Self::Other(number) => number,
            known => CODES
                .iter()
                .find(|(.., code)| *code == known)
                .map_or(2, |(number, ..)| *number),
        }
    }
}
