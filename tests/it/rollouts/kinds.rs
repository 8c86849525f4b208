//! Kinds of bad releases: slow ones, ones that break streams off, ones that hang.

use super::*;
use crate::support::Served;

/// The way in which green is bad.
#[derive(Clone, Copy)]
enum Kind {
    /// Each answer takes a while.
    Slow,
    /// Each answer ends in its middle.
    Broken,
    /// No answer comes.
    Hanging,
}

struct Kinds {
    served: Served,
    _origins: [Origin; 2],
}

impl Kinds {
    fn start(kind: Kind) -> Self {
        let green = Origin::after_request(move |_, mut stream, _| match kind {
            Kind::Slow => {
                thread::sleep(Duration::from_millis(500));
                let answer =
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\ngreen";
                let _gone = stream.write_all(answer);
            }
            Kind::Broken => {
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ngreen");
            }
            Kind::Hanging => {
                let _until_it_is_closed = std::io::copy(&mut stream, &mut std::io::sink());
            }
        });
        // Long enough for a busy machine not to make it look slow.
        let blue = Origin::answering(|_| {
            thread::sleep(Duration::from_millis(20));
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue".to_vec()
        });
        let origins = [blue, green];
        let [blue, green] = origins.each_ref().map(Origin::url);
        let lines = format!(
            "[releases.blue]\nversion = \"1\"\nendpoints = [{blue:?}]\n\
             [releases.green]\nversion = \"2\"\nendpoints = [{green:?}]\n\
             [[routes]]\nname = \"chat\"\nsplit = {{ blue = 100, green = 0 }}\n"
        );
        Self {
            served: Served::start(&lines),
            _origins: origins,
        }
    }

    /// Clients that ask again and again, each over connections of its own, until the rollout has ended.
    fn load(&self, path: &str, clients: usize) -> Value {
        let stop = Arc::new(AtomicBool::new(false));
        let address = self.served.running.listeners()[0];
        let client = || {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // One request a connection, for answers that end in their middle. A client is patient.
                    let mut stream = std::net::TcpStream::connect(address).unwrap();
                    stream
                        .set_read_timeout(Some(Duration::from_millis(100)))
                        .unwrap();
                    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
                    stream.write_all(request).unwrap();
                    let is_late =
                        |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
                    while !stop.load(Ordering::Relaxed)
                        && std::io::copy(&mut stream, &mut std::io::sink())
                            .is_err_and(|error| is_late(&error))
                    {}
                }
            })
        };
        let clients: Vec<_> = (0..clients).map(|_| client()).collect();
        let end = Instant::now() + Duration::from_secs(60);
        let rollout = loop {
            let (_, rollout) = self.served.admin("GET", path, &Value::Null);
            if rollout["ended_at"].is_string() || Instant::now() > end {
                break rollout;
            }
            thread::sleep(Duration::from_millis(20));
        };
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
        rollout
    }

    /// Starts a rollout at 20 percent, after enough requests for blue's durations to be known, and loads it to its end.
    fn judged(kind: Kind) -> Value {
        let this = Self::start(kind);
        let mut client = this.served.client();
        (0..220).for_each(|_| drop(client.get("/")));
        drop(client);
        let plan = json!({"steps": [{"weight": 20, "hold": "10m"}, {"weight": 100}]});
        let body = json!({"route": "chat", "to": "green", "plan": plan});
        let (_, begun) = this.served.admin("POST", "/v1/rollouts", &body);
        let path = format!(
            "/v1/rollouts/{}",
            begun["id"].as_str().unwrap_or_else(|| panic!("{begun}"))
        );
        let ended = this.load(&path, 24);
        assert_eq!(ended["state"], "rolled_back", "{ended:#}");
        ended
    }
}

/// The metrics that are worse.
fn worse(rollout: &Value) -> Vec<&str> {
    let metrics = rollout["verdict"]["metrics"].as_array().unwrap();
    let worse = metrics.iter().filter(|metric| metric["verdict"] == "worse");
    worse
        .map(|metric| metric["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_slow_release_is_taken_back() {
    let ended = Kinds::judged(Kind::Slow);
    assert_eq!(worse(&ended), ["slow"], "{ended:#}");
}

#[test]
fn a_release_that_breaks_streams_off_is_taken_back() {
    let ended = Kinds::judged(Kind::Broken);
    assert_eq!(worse(&ended), ["broken_streams"], "{ended:#}");
    let stable = &ended["verdict"]["metrics"][1]["stable"];
    assert_eq!(stable["bad"], 0, "{ended:#}");
}

#[test]
fn a_release_that_hangs_is_taken_back_before_its_timeout() {
    let ended = Kinds::judged(Kind::Hanging);
    assert_eq!(worse(&ended), ["slow"], "{ended:#}");
}
