//! A new process that takes over from a running one: sockets, history and what is in flight; and one that fails at any
//! moment, which changes nothing.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::fs::PermissionsExt,
        unix::net::{UnixDatagram, UnixStream},
    },
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::world::{World, addresses_in, program};
use crate::support::{
    Client, Origin, TIMEOUT, UPGRADE, UPGRADED,
    h2::{H2Client, block},
    signal::{Signal, send},
    wait_until, write,
};

mod world;

fn table(blue: &Origin, green: &Origin) -> String {
    format!(
        "workers = 2\n[releases.blue]\nendpoints = [{:?}]\n[releases.green]\nendpoints = [{:?}]\n\
         [[routes]]\nname = \"all\"\nsplit = {{ blue = 1, green = 0 }}\n",
        blue.url(),
        green.url()
    )
}

fn origins() -> (Origin, Origin) {
    (Origin::replying("blue"), Origin::replying("green"))
}

#[test]
fn no_new_connection_is_refused_and_no_request_lost_while_processes_follow_one_another() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    let (address, stop) = (world.listener(), AtomicBool::new(false));
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for is_kept in [false, false, true, true] {
            let (stop, served) = (&stop, &served);
            scope.spawn(move || {
                let mut kept: Option<Client> = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut client = kept.take().unwrap_or_else(|| Client::connect(address));
                    let response = client.get("/");
                    assert_eq!(response.status, 200, "{}", response.text());
                    served.fetch_add(1, Ordering::Relaxed);
                    if is_kept && response.value("connection") != Some("close") {
                        kept = Some(client);
                    }
                }
            });
        }
        for number in 1..=3 {
            let before = served.load(Ordering::Relaxed);
            wait_until("traffic", || served.load(Ordering::Relaxed) > before + 50);
            assert_eq!(world.take_over(), number);
            assert!(
                world.end_of(number - 1).success(),
                "{}",
                world.log(number - 1)
            );
            world.assert_changes_work();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn streams_websockets_and_http2_end_in_the_old_process_which_follows_changes() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let blue = Origin::after_request(move |request, mut stream, mut reader| {
        if request.head.starts_with("GET /ws") {
            stream.write_all(UPGRADED.as_bytes()).unwrap();
            let mut byte = [0];
            while reader.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        } else {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(b"9\r\ndata: 1\n\n\r\n").unwrap();
            released.lock().unwrap().recv_timeout(TIMEOUT).unwrap();
            stream.write_all(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").unwrap();
        }
    });
    let green = Origin::replying("green");
    let mut world = World::start(&[""], &table(&blue, &green));
    let address = world.listener();
    let mut socket = Client::connect(address);
    assert_eq!(socket.send(UPGRADE).response().status, 101);
    let mut stream = Client::connect(address);
    stream.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stream.response_head().contains("200"));
    assert_eq!(stream.read_exact(14), *b"9\r\ndata: 1\n\n\r\n");
    world.take_over();
    assert!(world.is_alive(0));
    // What the old one has in flight is in flight on the release.
    let in_flight = || status_of(&world, "blue");
    wait_until("the new one counts it", || in_flight() == 2);
    // A frame, masked with zeros, so that the echo is the same bytes.
    let frame = [0x82, 0x81, 0, 0, 0, 0, b'a'];
    assert_eq!(socket.send(frame).read_exact(7), frame);
    release.send(()).unwrap();
    assert_eq!(stream.read_exact(19), *b"9\r\ndata: 2\n\n\r\n0\r\n\r\n");
    drop(stream);
    wait_until("the new one sees the end", || in_flight() == 1);
    // A change of the new one ends what it says, in the old one as well.
    let cut = world.change("/v1/routes/all/switch?cut=true", r#"{"to": "green"}"#);
    assert_eq!(cut.status, 200, "{}", cut.text());
    assert_eq!(socket.read_exact(2)[0], 0x88, "a close frame");
    drop(socket);
    assert!(world.end_of(0).success(), "{}", world.log(0));
    block(async {
        let client = H2Client::connect(address).await;
        let response = client.get("/").await.unwrap();
        assert_eq!(response.body, b"green");
    });
}

fn status_of(world: &World, release: &str) -> u64 {
    let host = world.addresses("admin")[0];
    let mut client = Client::connect(host);
    client.send(format!(
        "GET /v1/releases/{release}/work HTTP/1.1\r\nHost: {host}\r\n\r\n"
    ));
    let response = client.response();
    let work: Value = serde_json::from_slice(&response.body).unwrap();
    work["in_flight"]
        .as_u64()
        .unwrap_or_else(|| panic!("{work}"))
}

#[test]
fn a_kept_connection_without_a_request_is_not_closed_before_its_next_response() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    let mut kept = Client::connect(world.listener());
    assert_eq!(kept.get("/").status, 200);
    world.take_over();
    world.wait_for(0, "a new process serves");
    let response = kept.get("/");
    assert_eq!(response.value("connection"), Some("close"));
    assert!(kept.is_closed());
    drop(kept);
    assert!(world.end_of(0).success());
}

#[test]
fn a_new_process_that_cannot_start_leaves_the_old_one_as_it_is() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    let good = std::fs::read_to_string(world.file()).unwrap();
    // Found before anything is asked for.
    write(world.file(), "nonsense = 1\n");
    let wrong = world.spawn(&["--takeover"], &[]);
    assert_eq!(world.end_of(wrong).code(), Some(78));
    // Found once the sockets are there: an address of somebody else.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!(
        "{good}\n[[listeners]]\naddress = \"{}\"\n",
        other.local_addr().unwrap()
    );
    write(world.file(), taken);
    let taken = world.spawn(&["--takeover"], &[]);
    assert_eq!(world.end_of(taken).code(), Some(78), "{}", world.log(taken));
    // Found once the history is there.
    let observed = format!(
        "observe.address = \"{}\"\n{good}",
        other.local_addr().unwrap()
    );
    write(world.file(), observed);
    let late = world.spawn(&["--takeover"], &[]);
    assert_eq!(world.end_of(late).code(), Some(78), "{}", world.log(late));
    world.wait_for(0, "a takeover failed; this process serves on");
    world.assert_changes_work();
    write(world.file(), good);
    world.take_over();
    assert!(world.end_of(0).success());
    world.assert_changes_work();
}

#[test]
fn what_the_first_of_three_processes_has_in_flight_is_known_to_the_last_which_cuts_it() {
    let blue = Origin::after_request(|_, mut stream, mut reader| {
        stream.write_all(UPGRADED.as_bytes()).unwrap();
        let mut byte = [0];
        while reader.read_exact(&mut byte).is_ok() {}
    });
    let green = Origin::replying("green");
    let mut world = World::start(&[""], &table(&blue, &green));
    let mut socket = Client::connect(world.listener());
    assert_eq!(socket.send(UPGRADE).response().status, 101);
    world.take_over();
    world.take_over();
    wait_until("the last one counts it", || status_of(&world, "blue") == 1);
    assert!(world.is_alive(0) && world.is_alive(1), "{}", world.log(1));
    let cut = world.change("/v1/routes/all/switch?cut=true", r#"{"to": "green"}"#);
    assert_eq!(cut.status, 200, "{}", cut.text());
    assert_eq!(socket.read_exact(2)[0], 0x88, "a close frame");
    drop(socket);
    assert!(world.end_of(0).success(), "{}", world.log(0));
    assert!(world.end_of(1).success(), "{}", world.log(1));
    wait_until("the last one sees the end", || {
        status_of(&world, "blue") == 0
    });
}

#[test]
fn a_listener_that_is_gone_from_the_configuration_is_closed() {
    let (blue, green) = origins();
    let mut world = World::start(&["", ""], &table(&blue, &green));
    // Both have the port 0 in the file, so the one with the lower port counts as the first.
    let mut bound = world.addresses("proxy");
    bound.sort();
    let [kept, gone] = bound[..] else {
        panic!("{bound:?}");
    };
    let text = std::fs::read_to_string(world.file()).unwrap();
    let (one, _) = text.rsplit_once("[[listeners]]").unwrap();
    write(world.file(), one);
    world.take_over();
    assert!(world.end_of(0).success());
    assert_eq!(Client::connect(kept).get("/").text(), "blue");
    let refused = TcpStream::connect(gone).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // Its address can be had again.
    drop(TcpListener::bind(gone).unwrap());
}

#[test]
fn a_way_back_in_parts_goes_on_after_a_takeover_that_failed() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    let switched = world.change("/v1/routes/all/switch", r#"{"to": "green"}"#);
    assert_eq!(switched.status, 200, "{}", switched.text());
    let back = world.change("/v1/rollback?over=10m", "{}");
    assert_eq!(back.status, 200, "{}", back.text());
    let mut fake = Fake::connect(&world);
    fake.hello(&world, 2);
    assert!(fake.hear().get("offer").is_some());
    fake.say(&json!("prepared"));
    assert!(fake.hear().get("free").is_some());
    drop(fake);
    world.wait_for(0, "a takeover failed; this process serves on");
    let host = world.addresses("admin")[0];
    let mut client = Client::connect(host);
    client.send(format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let status = client.response().text();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        status["going_back"].as_array().unwrap().len(),
        1,
        "{status:#}"
    );
    assert!(!world.log(0).contains("a way back in parts has ended"));
}

#[test]
fn a_signal_in_the_first_moments_of_a_start_is_followed_once_it_is_over() {
    let (blue, green) = origins();
    let mut world = World::new(&[""], &table(&blue, &green));
    let number = world.spawn(&[], &[]);
    wait_until("signals are held", || holds(world.process(number)));
    send(world.process(number), Signal::HUP);
    world.wait_for(number, ": ready ");
    // Once at the start, and once for the signal.
    wait_until("the file is read again", || {
        let log = world.log(number);
        log.matches("configuration file imported").count() == 2
    });
}

/// True once a process catches SIGHUP (1) and SIGUSR2 (12), by the mask of its signals.
fn holds(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    caught & 1 != 0 && caught & (1 << 11) != 0
}

#[test]
fn without_a_running_process_there_is_nothing_to_take_over() {
    let (blue, green) = origins();
    let mut world = World::new(&[""], &table(&blue, &green));
    let alone = world.spawn(&["--takeover"], &[]);
    assert_eq!(world.end_of(alone).code(), Some(75));
    assert!(world.log(alone).contains("hint: start without --takeover"));
}

/// A new process that speaks the protocol as far as a test wants.
struct Fake(UnixStream);

impl Fake {
    fn connect(world: &World) -> Self {
        let socket = world.folder.path().join("history/takeover.sock");
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self(stream)
    }

    fn hello(&mut self, world: &World, protocol: u32) {
        use std::os::unix::fs::MetadataExt as _;
        let folder = std::fs::metadata(world.folder.path().join("history")).unwrap();
        self.say(&json!({"hello": {
            "protocol": protocol, "version": "9.9.9",
            "history": {"device": folder.dev(), "inode": folder.ino()},
        }}));
    }

    fn say(&mut self, message: &Value) {
        let text = message.to_string();
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        self.0.write_all(&length).unwrap();
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// The next message that is not about sockets, whose copies are closed by the system.
    fn hear(&mut self) -> Value {
        loop {
            let mut length = [0; 4];
            self.0.read_exact(&mut length).unwrap();
            let mut text = vec![0; u32::from_le_bytes(length) as usize];
            self.0.read_exact(&mut text).unwrap();
            let message: Value = serde_json::from_slice(&text).unwrap();
            if message.get("sockets").is_none() {
                return message;
            }
        }
    }
}

#[test]
fn a_process_of_another_protocol_is_refused_with_both_versions() {
    let (blue, green) = origins();
    let world = World::start(&[""], &table(&blue, &green));
    let mut fake = Fake::connect(&world);
    fake.hello(&world, 99);
    let refused = fake.hear()["refused"]["reason"].to_string();
    assert!(
        refused.contains("9.9.9") && refused.contains("protocol 99"),
        "{refused}"
    );
    world.assert_changes_work();
}

#[test]
fn a_new_process_that_dies_in_any_state_before_it_serves_changes_nothing() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    for state in 0..4 {
        let mut fake = Fake::connect(&world);
        if state > 0 {
            fake.hello(&world, 2);
            assert!(fake.hear().get("offer").is_some());
        }
        if state > 1 {
            fake.say(&json!("prepared"));
            assert!(fake.hear().get("free").is_some());
        }
        if state > 2 {
            fake.say(&json!("opened"));
            assert_eq!(fake.hear(), "commit");
        }
        drop(fake);
        // A rollback waits at most until the old one has everything back.
        world.assert_changes_work();
        assert_eq!(Client::connect(world.listener()).get("/").text(), "blue");
        assert!(world.is_alive(0));
    }
    world.take_over();
    assert!(world.end_of(0).success());
    world.assert_changes_work();
}

#[test]
fn one_that_says_hello_and_nothing_else_is_given_up_within_seconds() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    let mut fake = Fake::connect(&world);
    fake.hello(&world, 2);
    assert!(fake.hear().get("offer").is_some());
    let begin = Instant::now();
    // It has its turn once the other one is given up.
    let next = world.take_over();
    let waited = begin.elapsed();
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    let reason = fake.hear()["refused"]["reason"].to_string();
    assert!(reason.contains("silent for 5s"), "{reason}");
    assert!(world.end_of(0).success());
    assert!(world.is_alive(next));
    world.assert_changes_work();
}

#[test]
fn one_that_tells_that_it_prepares_has_time() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    let mut fake = Fake::connect(&world);
    fake.hello(&world, 2);
    assert!(fake.hear().get("offer").is_some());
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(7) {
        fake.say(&json!("preparing"));
        thread::sleep(Duration::from_millis(500));
    }
    fake.say(&json!("prepared"));
    assert!(fake.hear().get("free").is_some());
    drop(fake);
    world.assert_changes_work();
    assert!(world.is_alive(0));
}

#[test]
fn a_program_that_hangs_at_its_start_is_ended_and_the_next_signal_starts_a_good_one() {
    let (blue, green) = origins();
    let mut world = World::new(&[""], &table(&blue, &green));
    let path = world.folder.path().join("program");
    let install = |text: Option<&str>| {
        let new = path.with_extension("new");
        match text {
            Some(script) => write(&new, script),
            None => drop(std::fs::copy(program(), &new).unwrap()),
        }
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(&new, &path).unwrap();
    };
    install(None);
    world.spawn_command(Command::new(&path), &[], &[]);
    world.wait_for(0, ": ready ");
    install(Some("#!/bin/sh\nexec sleep 600\n"));
    send(world.process(0), Signal::USR2);
    world.wait_for(0, "a new process is started to take over");
    let started = |world: &World| {
        let log = world.log(0);
        let (_, rest) = log.rsplit_once("started to take over process=").unwrap();
        rest.split(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let hanging = started(&world);
    assert!(std::fs::exists(format!("/proc/{hanging}")).unwrap());
    assert_eq!(Client::connect(world.listener()).get("/").text(), "blue");
    world.wait_for(0, "has not asked for anything within 15s, and is ended");
    world.wait_for(0, "the process that was started to take over has ended");
    assert!(!std::fs::exists(format!("/proc/{hanging}")).unwrap());
    world.assert_changes_work();

    install(None);
    send(world.process(0), Signal::USR2);
    assert!(world.end_of(0).success(), "{}", world.log(0));
    world.assert_changes_work();
    let process = started(&world);
    send(process, Signal::TERM);
    wait_until("it ends", || TcpStream::connect(world.listener()).is_err());
}

#[test]
fn a_new_process_that_is_killed_while_it_prepares_leaves_the_old_one_as_it_is() {
    let blue = Origin::replying("blue");
    // The first check of green is never answered, so the new process waits for it.
    let green = Origin::scripted(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let checked = table(&blue, &green).replace(
        "[[routes]]",
        "[releases.green.health]\npath = \"/\"\ntimeout = \"20s\"\n[[routes]]",
    );
    let mut world = World::start(&[""], &checked);
    let number = world.spawn(&["--takeover"], &[]);
    world.wait_for(number, "connection limits");
    send(world.process(number), Signal::KILL);
    world.end_of(number);
    world.wait_for(0, "a takeover was given up; this process serves on");
    assert_eq!(Client::connect(world.listener()).get("/").text(), "blue");
    assert_eq!(world.change("/v1/rollback", "{}").status, 409);
    assert!(world.is_alive(0));
}

#[test]
fn a_signal_starts_the_program_anew_and_it_takes_over() {
    let (blue, green) = origins();
    let mut world = World::start(&[""], &table(&blue, &green));
    send(world.process(0), Signal::USR2);
    // The new one writes to the same log.
    assert!(world.end_of(0).success(), "{}", world.log(0));
    wait_until("the new one is ready", || {
        world.log(0).matches(": ready ").count() == 2
    });
    world.assert_changes_work();
    let log = world.log(0);
    let process = log
        .lines()
        .find_map(|line| {
            line.split_once("a new process is started to take over process=")?
                .1
                .split(' ')
                .next()
        })
        .unwrap_or_else(|| panic!("{log}"));
    send(process.parse().unwrap(), Signal::TERM);
    wait_until("it ends", || TcpStream::connect(world.listener()).is_err());
}

#[test]
fn the_supervisor_hears_of_every_state_and_of_the_new_main_process() {
    let (blue, green) = origins();
    let mut world = World::new(&[""], &table(&blue, &green));
    let path = world.folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(TIMEOUT)).unwrap();
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "200000"),
    ];
    let note = |expected: &str| {
        let mut bytes = [0; 256];
        for _ in 0..10_000 {
            let length = supervisor.recv(&mut bytes).unwrap();
            let note = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if note.starts_with(expected) {
                return note;
            }
            assert_eq!(note, "WATCHDOG=1", "while waiting for {expected}");
        }
        panic!("no {expected}");
    };
    world.spawn(&[], &variables);
    assert_eq!(
        note("READY=1"),
        format!("READY=1\nMAINPID={}", world.process(0))
    );
    note("WATCHDOG=1");
    send(world.process(0), Signal::HUP);
    assert!(note("RELOADING=1").contains("MONOTONIC_USEC="));
    assert_eq!(note("READY=1"), "READY=1");
    let next = world.spawn(&["--takeover"], &variables);
    let process = world.process(next);
    let (of_new, of_old) = (
        format!("READY=1\nMAINPID={process}"),
        format!("MAINPID={process}"),
    );
    let mut told = Vec::new();
    while told.len() < 2 {
        told.push(note(""));
        told.retain(|note| note != "WATCHDOG=1");
    }
    told.sort_unstable();
    assert_eq!(told, [of_old, of_new]);
    world.wait_for(next, ": ready ");
    assert!(world.end_of(0).success());
    send(process, Signal::TERM);
    while note("") != "STOPPING=1" {}
    assert!(world.end_of(next).success());
}

/// A process that was started with sockets.
struct Activated(Child);

impl Drop for Activated {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn sockets_of_a_supervisor_are_served_and_one_of_no_listener_is_an_error() {
    let (blue, green) = origins();
    let mut world = World::new(&[], &table(&blue, &green));
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [traffic, stray] = sockets
        .each_ref()
        .map(|socket| socket.local_addr().unwrap());
    let text = std::fs::read_to_string(world.file()).unwrap();
    write(
        world.file(),
        format!("{text}\n[[listeners]]\naddress = \"{traffic}\"\n"),
    );
    // A connection that waits since before the start is served as well.
    let mut early = Client::connect(traffic);
    early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let activated = |count: usize| {
        let mut command = Command::new("sh");
        let given = "exec 3<&0 4<&1; n=$1; shift; [ $n = 2 ] || exec 4<&-; export LISTEN_FDS=$n; exec \"$@\" </dev/null >\"$LOG\" 2>&1";
        command.args(["-c", given, "sh", &count.to_string(), &program()]);
        command
            .args(["serve", "--config"])
            .arg(world.file())
            .env(
                "LOG",
                world.folder.path().join(format!("activated.{count}")),
            )
            .stdin(Stdio::from(OwnedFd::from(sockets[0].try_clone().unwrap())))
            .stdout(Stdio::from(OwnedFd::from(sockets[1].try_clone().unwrap())));
        Activated(command.spawn().unwrap())
    };
    let folder = world.folder.path().to_owned();
    let log = |count: usize| {
        let log = folder.join(format!("activated.{count}"));
        std::fs::read_to_string(log).unwrap_or_default()
    };
    assert_eq!(
        activated(2).0.wait().unwrap().code(),
        Some(78),
        "{}",
        log(2)
    );
    let refused = log(2);
    assert!(refused.contains(&stray.to_string()), "{refused}");
    assert!(refused.contains("hint: "), "{refused}");
    let mut served = activated(1);
    assert_eq!(early.response().text(), "blue");
    drop(early);
    wait_until("it is ready", || log(1).contains(": ready "));
    assert_eq!(addresses_in(&log(1), "proxy"), [traffic]);
    // What was inherited is handed over as well.
    let next = world.take_over();
    assert!(served.0.wait().unwrap().success(), "{}", log(1));
    assert_eq!(addresses_in(&world.log(next), "proxy"), [traffic]);
    assert_eq!(Client::connect(traffic).get("/").text(), "blue");
}
