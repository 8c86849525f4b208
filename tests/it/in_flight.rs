//! Work in flight: what is counted, what is waited for, what ends it.

mod cuts;
mod drain;
mod harness;
mod matrix;
mod work;
