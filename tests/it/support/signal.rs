//! Signals to processes that a test has started. A machine may well have no `kill` program.

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

/// Sends a signal to a process.
pub(crate) fn send(process: u32, signal: Signal) {
    kill_process(pid(process), signal).unwrap();
}

/// Kills the group that a process leads, which may have ended by itself.
pub(crate) fn kill_group(leader: u32) {
    let _ = kill_process_group(pid(leader), Signal::KILL);
}

fn pid(process: u32) -> Pid {
    Pid::from_raw(process.try_into().unwrap()).unwrap()
}
