//! The name of a machine, for a node that has no other.

use crate::model::Problem;

/// The name of this machine, asked of the kernel: a service may see no `/proc/sys` (`ProcSubset=pid`).
///
/// # Errors
/// If it has none.
pub(super) fn host_name() -> Result<String, Problem> {
    let machine = rustix::system::uname();
    let name = machine.nodename().to_string_lossy();
    if name.is_empty() {
        let problem = Problem::new("fleet.node", "this machine has no name");
        return Err(problem.hint("write `node = \"proxy-1\"`"));
    }
    Ok(name.into_owned())
}
