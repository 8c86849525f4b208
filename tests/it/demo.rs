//! The sample agents and the demo's configuration, over real sockets.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use switchback::demo::{Agents, Demo, DemoError, Options, next_steps};

use crate::support::exchange;

fn get(address: SocketAddr, path: &str) -> String {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"),
    )
}

fn behave(address: SocketAddr, body: &str) -> String {
    let length = body.len();
    let head = format!("POST /behave HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    exchange(
        address,
        &format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"),
    )
}

#[test]
fn each_agent_names_its_release() {
    let agents = Agents::start().unwrap();
    for (address, release, version) in [
        (agents.blue, "blue", "1.0.0"),
        (agents.green, "green", "2.0.0"),
    ] {
        let answer = get(address, "/chat/1?x=y");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for part in [
            format!(r#""release":"{release}""#),
            format!(r#""version":"{version}""#),
            r#""path":"/chat/1""#.into(),
        ] {
            assert!(answer.contains(&part), "{answer}");
        }
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn a_stream_comes_token_by_token_and_ends_whole() {
    let agents = Agents::start().unwrap();
    let answer = get(agents.blue, "/stream?tokens=3&every=1ms");
    assert!(
        answer.contains("content-type: text/event-stream\r\n"),
        "{answer}"
    );
    assert_eq!(answer.matches(r#""release":"blue""#).count(), 3);
    assert!(answer.contains("data: [DONE]\n\n"), "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
}

#[test]
fn green_injects_the_faults_that_are_set_and_stops_when_they_are_cleared() {
    let agents = Agents::start().unwrap();
    let told = behave(
        agents.green,
        r#"{"error_rate":1.0,"latency":"50ms","cut_streams":true}"#,
    );
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    let start = Instant::now();
    assert!(get(agents.green, "/").starts_with("HTTP/1.1 500 "));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(
        get(agents.blue, "/").starts_with("HTTP/1.1 200 "),
        "blue is another agent"
    );

    behave(agents.green, r#"{"cut_streams":true}"#);
    let cut = get(agents.green, "/stream?tokens=4&every=1ms");
    assert!(
        cut.contains(r#""token":1"#) && !cut.contains(r#""token":2"#),
        "{cut}"
    );
    assert!(
        !cut.contains("[DONE]") && !cut.ends_with("0\r\n\r\n"),
        "a cut stream never looks whole: {cut}"
    );

    assert!(behave(agents.green, r#"{"error_rate":7}"#).starts_with("HTTP/1.1 422 "));
    behave(agents.green, "{}");
    assert!(get(agents.green, "/").starts_with("HTTP/1.1 200 "));
    assert!(
        get(agents.green, "/behave")
            .contains(r#"{"error_rate":0.0,"latency":"0s","cut_streams":false}"#)
    );
}

#[test]
fn a_websocket_echoes() {
    let agents = Agents::start().unwrap();
    let mut socket = TcpStream::connect(agents.green).unwrap();
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    write!(socket, "GET /ws HTTP/1.1\r\nhost: a\r\n{upgrade}\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{head}"
    );
    // A text frame `hi`, masked with zeros, and a close frame.
    socket
        .write_all(b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0")
        .unwrap();
    let mut back = Vec::new();
    socket.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"\x81\x02hi\x88\0");

    let plain = get(agents.green, "/ws");
    assert!(plain.starts_with("HTTP/1.1 426 "), "{plain}");
}

#[test]
fn a_demo_is_a_valid_configuration_that_points_at_its_agents() {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options {
        listen: free,
        admin: free,
        history: None,
    };
    let demo = Demo::prepare(&options).unwrap();
    let history = demo.history().to_owned();
    assert!(history.is_dir());
    assert_eq!(demo.config.history.path, history);
    let blue = format!("http://{}", demo.agents.blue);
    let normal = demo.config.normal_form();
    assert!(normal.contains(&blue), "{normal}");
    drop(demo);
    assert!(!history.exists());
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    for (listen, admin, flag) in [(address, free, "--listen"), (free, address, "--admin")] {
        let options = Options {
            listen,
            admin,
            history: None,
        };
        let error = Demo::prepare(&options).unwrap_err();
        assert!(matches!(error, DemoError::Address { .. }));
        let said = error.to_string();
        let [before, after] = [
            format!("cannot listen on {address}: Address"),
            format!("; choose another with `{flag}`"),
        ];
        assert!(
            said.starts_with(&before) && said.ends_with(&after),
            "{said}"
        );
    }
}

#[test]
fn a_demo_warns_of_nothing_where_few_files_may_be_open_and_has_no_file_to_differ_from() {
    // The default on many machines.
    let script = "ulimit -n 4096; exec \"$0\" demo --listen 127.0.0.1:0 --admin 127.0.0.1:0";
    let program = env!("CARGO_BIN_EXE_switchback");
    let mut demo = Command::new("sh")
        .args(["-c", script, program])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(demo.stdout.as_mut().unwrap())
        .read_line(&mut first)
        .unwrap();
    let admin = first.trim_end().trim_end_matches('.').rsplit(' ').next();
    let ask = |arguments: &[&str]| {
        let asked = Command::new(program)
            .args(arguments)
            .args(["--admin", admin.unwrap()])
            .output()
            .unwrap();
        String::from_utf8([asked.stdout, asked.stderr].concat()).unwrap()
    };
    let split = ask(&["split", "chat", "green=5", "--force"]);
    let status = ask(&["status"]);
    let id = Pid::from_raw(demo.id().try_into().unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let output = demo.wait_with_output().unwrap();
    assert!(split.contains("green 0%→5%"), "{split}");
    assert!(
        status.contains("live since") && !status.contains("file"),
        "{status}"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_next_steps_name_every_address() {
    let agents = Agents::start().unwrap();
    let [listen, admin] = [([0, 0, 0, 0], 8080), ([127, 0, 0, 1], 9900)].map(SocketAddr::from);
    let steps = next_steps(listen, admin, &agents, Some(Path::new("/opt/bin")));
    for part in [
        "http://127.0.0.1:8080/stream".to_owned(),
        "http://127.0.0.1:9900/v1/rollback".into(),
        "export PATH='/opt/bin':\"$PATH\"".into(),
        "switchback rollback".into(),
        format!("http://{}/behave", agents.green),
    ] {
        assert!(steps.contains(&part), "{part} is not in {steps}");
    }
    assert!(
        !steps.contains("0.0.0.0") && !steps.contains("{{"),
        "{steps}"
    );
}
