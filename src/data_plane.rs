//! The data plane: what a request passes through, and what decides where it goes. The control plane, in `lib.rs`, is built
//! upon it.

pub mod config;
pub mod fleet;
pub mod http1;
pub mod http2;
pub mod message;
pub mod model;
pub mod net;
pub mod proxy;
pub mod seal;
pub mod stats;
pub mod table;
pub mod telemetry;
