//! Durability: a process that is killed at any moment, a disk that is full, a file system that is frozen, and the order
//! of writes and receipts.
//!
//! The process under test is this test binary itself, run again as a child with a small protocol on its standard
//! streams: one change a line in, its result a line out. Its history is written by a history writer process, as in the
//! program.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use switchback::{
    control::{Expected, RollbackTo},
    model::Revision,
};

use crate::{
    controller_fixture::{ControllerFixture, set_split},
    support::{random::Random, wait_until},
};

/// Longest time of a rollback beside a disk that hangs for seconds: far more than it takes, for a busy machine.
const PROMPT: Duration = Duration::from_secs(1);
const CHILD: &str = "SWITCHBACK_TEST_HISTORY";

/// The child: opens the history that the environment names and runs the commands. Without the variable it is an empty
/// test.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serve(Path::new(&path)));
}

async fn serve(path: &Path) {
    let fixture = ControllerFixture::open_with_writer_process(path);
    if fixture.revision().0 == 0 {
        fixture.import_weights(0, 0).await;
    }
    let mut out = std::io::stdout();
    let mut say = |line: String| {
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    say(format!("\nopen {}\n", fixture.weights().0));
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let begin = Instant::now();
        let answer = match line.split_once(' ') {
            Some(("split", green)) => {
                let change = set_split("chat", green.parse().unwrap());
                fixture.try_apply(change, Expected::Any).await
            }
            _ if line == "back" => fixture.rollback().await,
            _ if line == "status" => {
                let status = fixture.controller.status().durability;
                say(format!(
                    "status {} {} {}\n",
                    status.healthy, status.pending_records, status.restart_revision
                ));
                continue;
            }
            _ => {
                let to = line.strip_prefix("to ").unwrap().parse().unwrap();
                let to = RollbackTo::Revision(Revision(to));
                fixture.rollback_to(to).await
            }
        };
        let took = begin.elapsed().as_millis();
        match answer {
            Ok(receipt) => say(format!(
                "ok {} {} {} {took}\n",
                receipt.revision,
                fixture.weights().0,
                receipt.durable
            )),
            Err(error) => {
                let why = std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                say(format!(
                    "no {} {} {took} {error}: {why}\n",
                    fixture.revision(),
                    fixture.weights().0
                ));
            }
        }
    }
    let controller = std::sync::Arc::clone(&fixture.controller);
    controller.close(Duration::from_secs(2));
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The weight of `green` that was live at the start.
    began_with: u32,
}

impl Process {
    fn start(path: &Path) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), path)
    }

    fn start_by(mut command: Command, path: &Path) -> Self {
        command.args([
            "--exact",
            "durability::child",
            "--nocapture",
            "--test-threads=1",
        ]);
        command
            .env(CHILD, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut process = Self {
            child,
            input,
            output: BufReader::new(output),
            began_with: 0,
        };
        let open = loop {
            let line = process.line().expect("the child opens its history");
            if let Some(green) = line.strip_prefix("open ") {
                break green.parse().unwrap();
            }
        };
        process.began_with = open;
        process
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).unwrap();
        (read > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
    }

    fn ask(&mut self, what: &str) -> Option<String> {
        writeln!(self.input, "{what}").ok()?;
        self.line()
    }

    fn answer(&mut self, what: &str) -> Answer {
        let line = self.ask(what).expect("the child answers");
        Answer::of(&line)
    }

    fn wait_durable(&mut self, answer: &Answer) {
        let restart = format!(" {}", answer.revision);
        wait_until("the answer is durable", || {
            self.ask("status").unwrap().ends_with(&restart)
        });
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it by the end of its input: an orderly end.
    fn end(self) {
        let Self {
            mut child, input, ..
        } = self;
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

#[derive(Debug, Clone)]
struct Answer {
    ok: bool,
    green: u32,
    durable: bool,
    revision: u64,
    took: Duration,
    text: String,
}

impl Answer {
    fn of(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let ok = words[0] == "ok";
        let took = words[if ok { 4 } else { 3 }].parse().unwrap();
        Self {
            ok,
            green: words[2].parse().unwrap(),
            durable: ok && words[3] == "true",
            revision: words[1].parse().unwrap(),
            took: Duration::from_millis(took),
            text: line.to_owned(),
        }
    }
}

#[test]
fn after_a_kill_the_last_acknowledged_table_is_live_or_the_one_in_flight() {
    const ROUNDS: u64 = 30;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let mut random = Random(20_261_120);
    let mut process = Process::start(&path);
    let mut acknowledged = process.began_with;
    for round in 0..ROUNDS {
        // The weights of a change in flight; a rollback may lead to any that was live before it.
        let mut stack = vec![acknowledged];
        let deadline = Instant::now() + Duration::from_millis(random.below(60));
        while Instant::now() < deadline {
            let green = u32::try_from(random.below(101)).unwrap();
            let back = stack.len() > 1 && random.below(3) == 0;
            let answer = process.answer(&if back {
                "back".to_owned()
            } else {
                format!("split {green}")
            });
            assert!(answer.ok, "round {round}: {answer:?}");
            // A rollback that reports itself as not durable is not acknowledged as durable.
            if !answer.durable {
                process.wait_durable(&answer);
            }
            if back {
                stack.pop();
            } else if stack.last() != Some(&green) {
                stack.push(green);
            }
            acknowledged = answer.green;
            assert_eq!(stack.last(), Some(&acknowledged));
        }
        let next = u32::try_from(random.below(101)).unwrap();
        let (request, possible) = match stack.iter().nth_back(1) {
            Some(before) if random.below(2) == 0 => ("back\n".to_owned(), *before),
            _ => (format!("split {next}\n"), next),
        };
        process.input.write_all(request.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_micros(random.below(4_000)));
        process.kill();
        process = Process::start(&path);
        let live = process.began_with;
        assert!(
            live == acknowledged || live == possible,
            "round {round}: {live}, not {acknowledged} or {possible}"
        );
        acknowledged = live;
    }
    process.end();
}

/// A file system for the duration of the test; `None`, with a printed reason, where mounting is not allowed.
pub(crate) struct Mount {
    folder: tempfile::TempDir,
}

impl Mount {
    pub(crate) fn new(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(options).arg(folder.path());
        run(command, "mount").then_some(Self { folder })
    }

    /// A file system on a loop device, which can be frozen.
    pub(crate) fn to_freeze() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(32 << 20)
            .unwrap();
        let mut format = Command::new("mkfs.ext4");
        format.args(["-q", "-F"]).arg(&image);
        // The mount keeps the image, whose name is removed.
        let made = run(format, "mkfs.ext4");
        made.then(|| Self::new(&["-o", "loop", image.to_str().unwrap()]))?
    }

    pub(crate) fn freeze(&self) -> bool {
        let mut command = Command::new("fsfreeze");
        command.arg("-f").arg(self.path());
        run(command, "fsfreeze")
    }

    pub(crate) fn thaw(&self) {
        let mut command = Command::new("fsfreeze");
        command.arg("-u").arg(self.path());
        assert!(
            run(command, "fsfreeze"),
            "a frozen file system has to be thawed"
        );
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A failed test may have left it frozen.
        let mut thaw = Command::new("fsfreeze");
        thaw.arg("-u").arg(self.folder.path()).stderr(Stdio::null());
        drop(thaw.status());
        drop(
            Command::new("umount")
                .arg("-l")
                .arg(self.folder.path())
                .status(),
        );
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test says so, and why")]
fn run(mut command: Command, name: &str) -> bool {
    match command.stdout(Stdio::null()).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            println!(
                "SKIPPED: `{name}` says {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
            false
        }
        Err(error) => {
            println!("SKIPPED: `{name}` cannot be run: {error}");
            false
        }
    }
}

/// Fills a file system to the last block.
pub(crate) fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("ballast");
    let mut file = std::fs::File::create(&path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    path
}

#[test]
fn a_full_disk_refuses_publishes_and_keeps_rollbacks_over_a_restart() {
    let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"]) else {
        return;
    };
    let path = mount.path().join("history");
    let mut process = Process::start(&path);
    for green in [10, 20, 30] {
        assert!(process.answer(&format!("split {green}")).ok);
    }
    let ballast = fill(&mount.path());
    // Free pages of the store take some more records; then it is full.
    let (mut live, mut refused) = (30, None);
    for green in (0..3000).map(|n| n % 100) {
        let answer = process.answer(&format!("split {green}"));
        if !answer.ok {
            refused = Some(answer);
            break;
        }
        live = green;
    }
    let refused = refused.expect("the disk is full");
    assert!(refused.text.contains("durable"), "{refused:?}");
    assert_eq!(refused.green, live, "nothing of it is live");
    let back = process.answer("back");
    assert!(back.ok && back.green != live, "{back:?}");
    assert!(back.took < PROMPT, "{back:?}");
    process.wait_durable(&back);
    process.kill();

    let mut process = Process::start(&path);
    assert_eq!(
        process.began_with, back.green,
        "the rollback survived, on a disk that is still full"
    );
    let again = process.answer("back");
    assert!(again.ok, "{again:?}");
    process.wait_durable(&again);
    std::fs::remove_file(ballast).unwrap();
    wait_until("what was pending has landed", || {
        process.ask("status").unwrap().starts_with("status true 0 ")
    });
    assert!(process.answer("split 77").ok);
    process.end();
    let process = Process::start(&path);
    assert_eq!(process.began_with, 77);
    process.end();
}

#[test]
fn a_frozen_disk_refuses_publishes_and_delays_no_rollback() {
    let Some(mount) = Mount::to_freeze() else {
        return;
    };
    let path = mount.path().join("history");
    let mut process = Process::start(&path);
    assert!(process.answer("split 10").ok && process.answer("split 20").ok);
    if !mount.freeze() {
        return process.end();
    }
    let answers: Vec<_> = ["split 30", "back", "split 40", "back"]
        .map(|line| process.answer(line))
        .into();
    let status = process.ask("status").unwrap();
    mount.thaw();
    let [publish, back, at_once, last] = &answers[..] else {
        unreachable!("four were asked");
    };
    assert!(
        !publish.ok && publish.green == 20 && publish.took >= Duration::from_secs(2),
        "{publish:?}"
    );
    assert!(publish.took < Duration::from_secs(4), "{publish:?}");
    assert!(back.ok && !back.durable && back.green == 10, "{back:?}");
    assert!(back.took < PROMPT, "{back:?}");
    assert!(
        !at_once.ok && at_once.took < PROMPT,
        "known to be stuck: {at_once:?}"
    );
    assert!(last.ok && last.green == 0, "{last:?}");
    assert!(status.starts_with("status false "), "{status}");
    wait_until("what was pending has landed", || {
        process.ask("status").unwrap().starts_with("status true 0 ")
    });
    process.kill();
    let process = Process::start(&path);
    assert_eq!(process.began_with, 0);
    process.end();
}

#[test]
fn the_disk_has_answered_before_the_receipt_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut command = Command::new("strace");
    command.arg("-V");
    if !run(command, "strace") {
        return;
    }
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-y",
        "-s",
        "40",
        "-e",
        "trace=fdatasync,fsync,pwrite64,write,read",
        "-o",
    ]);
    command.arg(&trace).arg(std::env::current_exe().unwrap());
    let mut process = Process::start_by(command, &folder.path().join("history"));
    assert!(process.answer("split 42").ok);
    process.end();
    let trace = std::fs::read_to_string(trace).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let at = |what: &dyn Fn(&str) -> bool, from: usize| {
        lines[from..]
            .iter()
            .position(|line| what(line))
            .map(|place| from + place)
    };
    let asked = at(
        &|line| line.contains("read(0") && line.contains("split 42"),
        0,
    )
    .expect("the request is traced");
    let answered = at(
        &|line| line.contains("write(1") && line.contains("ok 2 42"),
        asked,
    )
    .expect("the receipt is traced");
    let written = at(
        &|line| line.contains("pwrite64(") && line.contains("history.redb"),
        asked,
    )
    .expect("the record is traced");
    // In the trace, a call that another thread interrupted ends on a line of its own.
    let synced = (written..answered)
        .filter(|place| lines[*place].contains("sync") && lines[*place].contains("= 0"))
        .find(|place| lines[*place].contains("history.redb") || lines[*place].contains("resumed"));
    assert!(
        synced.is_some(),
        "no sync between the record and the receipt:\n{}",
        lines[asked..=answered].join("\n")
    );
}
