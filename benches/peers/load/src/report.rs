//! What was seen, as one JSON object.

use std::{cell::RefCell, fmt::Write, rc::Rc};

#[derive(Default)]
pub struct Seen {
    pub latencies_us: Vec<u32>,
    pub errors: u64,
    pub blue: u64,
    pub green: u64,
    pub reads: u64,
    pub connections_lost: u64,
    pub log: Vec<(u64, u64, u8)>,
}

pub type Shared = Rc<RefCell<Seen>>;

impl Seen {
    pub fn answer(&mut self, micros: u64, green: bool) {
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
        println!(
            "{{\"count\":{count},\"errors\":{},\"seconds\":{seconds:.3},\"rate\":{rate:.1},\"p50_us\":{},\"p90_us\":{},\"p99_us\":{},\"max_us\":{},\"blue\":{},\"green\":{},\"reads\":{},\"connections_lost\":{}}}",
            self.errors, at(0.5), at(0.9), at(0.99), at(1.0), self.blue, self.green, self.reads, self.connections_lost
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
