//! The results, as one JSON object.

use std::{cell::RefCell, fmt::Write, rc::Rc, sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{args::Args, bulk::Moved};

#[derive(Default)]
pub struct Seen {
    /// Responses count from the end of the warm-up; failures count always.
    pub counting: bool,
    pub latencies_us: Vec<u32>,
    pub errors: u64,
    pub blue: u64,
    pub green: u64,
    pub reads: u64,
    pub connections_lost: u64,
    pub log: Vec<(u64, u64, u8)>,
    /// Bytes that parallel bodies have moved in all, and before the measurement.
    pub bulk: Moved,
    bulk_before: u64,
}

pub type Shared = Rc<RefCell<Seen>>;

/// The time that is measured: it begins after `--warm` seconds, says `open` then, and lasts `--seconds`, or until there
/// were `--requests` responses.
#[derive(Clone, Copy)]
pub struct Window {
    pub begin: Instant,
    pub end: Instant,
    requests: usize,
}

impl Window {
    pub fn open(args: &Args, seen: &Shared) -> Self {
        let begin = Instant::now() + Duration::from_secs_f64(args.get("warm", 0.0));
        let seen = Rc::clone(seen);
        tokio::task::spawn_local(async move {
            sleep_until(begin).await;
            seen.borrow_mut().begin();
            println!("open");
        });
        Self { begin, end: begin + Duration::from_secs_f64(args.get("seconds", 3.0)), requests: args.get("requests", usize::MAX) }
    }

    pub fn over(&self, seen: &Shared) -> bool {
        Instant::now() >= self.end || seen.borrow().latencies_us.len() >= self.requests
    }
}

impl Seen {
    fn begin(&mut self) {
        self.counting = true;
        self.bulk_before = self.bulk.load(Ordering::Relaxed);
    }

    pub fn answer(&mut self, micros: u64, green: bool) {
        if !self.counting {
            return;
        }
        self.latencies_us.push(u32::try_from(micros).unwrap_or(u32::MAX));
        if green {
            self.green += 1;
        } else {
            self.blue += 1;
        }
    }

    pub fn print(&mut self, seconds: f64, log: Option<&str>) {
        self.latencies_us.sort_unstable();
        let count = self.latencies_us.len();
        let at = |share: f64| {
            let place = ((count as f64) * share) as usize;
            self.latencies_us.get(place.min(count.saturating_sub(1))).copied().unwrap_or(0)
        };
        let rate = count as f64 / seconds;
        let bulk = (self.bulk.load(Ordering::Relaxed) - self.bulk_before) as f64 / seconds / 1e6;
        println!(
            "{{\"count\":{count},\"errors\":{},\"seconds\":{seconds:.3},\"rate\":{rate:.1},\"p50_us\":{},\"p90_us\":{},\"p99_us\":{},\"p999_us\":{},\"bulk_mb\":{bulk:.1},\"max_us\":{},\"blue\":{},\"green\":{},\"reads\":{},\"connections_lost\":{}}}",
            self.errors, at(0.5), at(0.9), at(0.99), at(0.999), at(1.0), self.blue, self.green, self.reads, self.connections_lost
        );
        if let Some(path) = log {
            let mut text = String::new();
            for (sent, received, side) in &self.log {
                let _ = writeln!(text, "{sent} {received} {side}");
            }
            std::fs::write(path, text).expect("the log of requests");
        }
    }
}
