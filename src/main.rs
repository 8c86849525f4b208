//! The program: the command line and the allocator, and nothing else.

use std::process::ExitCode;

/// A request is one box of about 3 kB, which glibc takes from a slow path: every allocation of more than 1,032 bytes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    switchback::cli::run()
}
