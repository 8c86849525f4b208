//! Work in flight: what is counted, what is waited for, what ends it.

mod harness;
mod work;
