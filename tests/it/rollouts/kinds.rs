//! Kinds of bad releases: slow ones, ones that break streams off, ones that hang, ones whose first event is late, ones that
//! refuse requests.

use std::net::TcpStream;

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
    /// The head comes at once, and the first event late; the stream ends when it does elsewhere.
    LateEvent,
    /// Each request is refused with 404.
    Refusing,
}

struct Kinds {
    served: Served,
    _origins: [Origin; 2],
}

const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// A stream of one event and its end, each after so many milliseconds.
fn send_events(stream: &mut TcpStream, [first, end]: [u64; 2]) {
    let _gone = stream.write_all(EVENTS);
    thread::sleep(Duration::from_millis(first));
    let _gone = stream.write_all(b"data: a\n\n");
    thread::sleep(Duration::from_millis(end - first));
}

fn send(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _gone = stream.write_all(format!("{head}{body}").as_bytes());
}

impl Kind {
    fn answer_badly(self, stream: &mut TcpStream) {
        match self {
            Self::Slow => {
                thread::sleep(Duration::from_millis(500));
                send(stream, "200 OK", "green");
            }
            Self::Broken => {
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ngreen");
            }
            Self::Hanging => {
                let _until_it_is_closed = std::io::copy(stream, &mut std::io::sink());
            }
            Self::LateEvent => send_events(stream, [600, 700]),
            Self::Refusing => send(stream, "404 Not Found", ""),
        }
    }

    fn answer_well(self, stream: &mut TcpStream) {
        if matches!(self, Self::LateEvent) {
            return send_events(stream, [20, 700]);
        }
        // Long enough for a busy machine not to make it look slow.
        thread::sleep(Duration::from_millis(20));
        send(stream, "200 OK", "blue");
    }
}

impl Kinds {
    fn start(kind: Kind) -> Self {
        let green = Origin::after_request(move |_, mut stream, _| kind.answer_badly(&mut stream));
        let blue = Origin::after_request(move |_, mut stream, _| kind.answer_well(&mut stream));
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
                    let mut stream = TcpStream::connect(address).unwrap();
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
    fn judged(kind: Kind, keys: &Value) -> Value {
        let this = Self::start(kind);
        let mut client = this.served.client();
        (0..220).for_each(|_| drop(client.get("/")));
        drop(client);
        this.judge(keys)
    }

    /// Starts a rollout at 20 percent, with these keys in its plan, and loads it to its end.
    fn judge(&self, keys: &Value) -> Value {
        let mut plan = json!({"steps": [{"weight": 20, "hold": "10m"}, {"weight": 100}]});
        let keys = keys.as_object().unwrap().clone();
        plan.as_object_mut().unwrap().extend(keys);
        let body = json!({"route": "chat", "to": "green", "plan": plan});
        let (_, begun) = self.served.admin("POST", "/v1/rollouts", &body);
        let path = format!(
            "/v1/rollouts/{}",
            begun["id"].as_str().unwrap_or_else(|| panic!("{begun}"))
        );
        let ended = self.load(&path, 24);
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
    let ended = Kinds::judged(Kind::Slow, &json!({}));
    assert_eq!(worse(&ended), ["slow"], "{ended:#}");
}

#[test]
fn a_release_that_breaks_streams_off_is_taken_back() {
    let ended = Kinds::judged(Kind::Broken, &json!({}));
    assert_eq!(worse(&ended), ["broken_streams"], "{ended:#}");
    let stable = &ended["verdict"]["metrics"][1]["stable"];
    assert_eq!(stable["bad"], 0, "{ended:#}");
}

#[test]
fn a_release_that_hangs_is_taken_back_before_its_timeout() {
    // On a busy machine the stable release is now and then slower than the least threshold by default.
    let ended = Kinds::judged(Kind::Hanging, &json!({"slow_at_least": "250ms"}));
    assert_eq!(worse(&ended), ["slow"], "{ended:#}");
}

#[test]
fn what_is_slow_can_be_said_in_the_plan() {
    let ended = Kinds::start(Kind::Slow).judge(&json!({"slow": "200ms"}));
    assert_eq!(worse(&ended), ["slow"], "{ended:#}");
    let slow = &ended["verdict"]["metrics"][2];
    assert_eq!(slow["threshold_seconds"], 0.25, "{ended:#}");
}

#[test]
fn a_release_whose_first_event_is_late_is_taken_back() {
    let ended = Kinds::start(Kind::LateEvent).judge(&json!({"first_byte": "400ms"}));
    assert_eq!(worse(&ended), ["first_byte_late"], "{ended:#}");
    let words = ended["verdict"]["words"].as_str().unwrap();
    let shown = "green sends its first byte later than 0.5 s in 100.0 %";
    assert!(words.contains(shown), "{words}");
}

#[test]
fn a_release_that_refuses_requests_is_taken_back_if_the_plan_asks_for_client_errors() {
    let ended = Kinds::start(Kind::Refusing).judge(&json!({"client_errors": true}));
    assert_eq!(worse(&ended), ["client_errors"], "{ended:#}");
}
