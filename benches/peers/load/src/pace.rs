//! Start signals at a fixed rate, evenly spread: the runtime's own timer has a grain of a millisecond and would send
//! bursts.

use std::{os::fd::OwnedFd, time::Duration};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::{io::unix::AsyncFd, sync::mpsc::UnboundedSender, time::Instant};

/// Sends each connection its start signals in rotation, `rate` signals a second in all, until `end`.
pub async fn pace(turns: Vec<UnboundedSender<Instant>>, rate: f64, end: Instant) {
    let period = Duration::from_secs_f64(1.0 / rate);
    // SAFETY: the timer owns its descriptor and is neither replaced nor closed while it is registered.
    let timer = unsafe { AsyncFd::register(ticking(period).expect("a timer")) }.expect("a runtime with I/O");
    let mut due = Instant::now();
    for turn in turns.iter().cycle() {
        while Instant::now() < due {
            tick(&timer).await.expect("the timer ticks");
        }
        if due >= end {
            return;
        }
        // A closed receiver is a connection that has ended: the signal is lost, and its request missing.
        let _ = turn.send(due);
        due += period;
    }
}

fn ticking(period: Duration) -> rustix::io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let period = Timespec::try_from(period).expect("a short time");
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: period, it_value: period })?;
    Ok(timer)
}

async fn tick(timer: &AsyncFd<OwnedFd>) -> std::io::Result<()> {
    timer.readable().await?.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0; 8])?)).ok();
    Ok(())
}
