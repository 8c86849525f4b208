//! One run of a command: JSON on its standard input, its output bounded, its whole process group ended at the limit.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    task::spawn_blocking,
    time::timeout,
};

use super::{decision::one_line, error::CallError};

/// Variables of our environment that a command gets; others may be secrets.
const VARIABLES: [&str; 5] = ["HOME", "LANG", "PATH", "TMPDIR", "TZ"];
/// Bytes of the error output that are kept.
const MOST_ERRORS: usize = 4 * 1024;

/// A running command. Dropped before its end, it is killed with its process group.
struct Group(Option<Child>);

/// Runs a command, and returns its output, up to `most` bytes.
///
/// # Errors
/// If it cannot be started, fails, or takes longer than the limit.
pub async fn run(
    words: &[String],
    input: String,
    most: usize,
    limit: Duration,
) -> Result<Vec<u8>, CallError> {
    let command = prepared(words);
    let started = spawn_blocking(move || start(command)).await;
    let (group, pipes) = started
        .map_err(io::Error::other)
        .and_then(|started| started)
        .map_err(CallError::Command)?;
    let ended = timeout(limit, talk(&group, pipes, input, most)).await;
    let (output, errors) = ended
        .map_err(|_| CallError::Timeout(limit))?
        .map_err(CallError::Command)?;
    let status = group.reap().await.map_err(CallError::Command)?;
    if output.len() > most {
        return Err(CallError::Large(most));
    }
    if status.success() {
        return Ok(output);
    }
    let said = if errors.is_empty() { &output } else { &errors };
    Err(CallError::Exit {
        status: in_words(status),
        output: one_line(&String::from_utf8_lossy(said)),
    })
}

fn prepared(words: &[String]) -> Command {
    let mut command = Command::new(words.first().map_or("", String::as_str));
    command
        .args(words.iter().skip(1))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let set = VARIABLES.map(|name| (name, std::env::var_os(name)));
    for (name, value) in set {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}

/// Pipes of a command: its input, its output, its errors.
type Pipes = [OwnedFd; 3];

fn start(mut command: Command) -> io::Result<(Group, Pipes)> {
    let mut child = command.spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let group = Group(Some(child));
    let (Some(input), Some(output), Some(errors)) = pipes else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    Ok((group, [input.into(), output.into(), errors.into()]))
}

/// Writes the input, and reads until the command has ended and its output too.
async fn talk(
    group: &Group,
    [input, output, errors]: Pipes,
    text: String,
    most: usize,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut input = pipe::Sender::from_owned_fd(input)?;
    let (output, errors) = (
        pipe::Receiver::from_owned_fd(output)?,
        pipe::Receiver::from_owned_fd(errors)?,
    );
    let write = async move {
        // A command may end, or close its input, without reading it.
        let _unread = input.write_all(text.as_bytes()).await;
        drop(input);
    };
    let ((), output, errors, ended) = tokio::join!(
        write,
        // One byte more, by which a larger output is seen.
        begin_of(output, most + 1),
        begin_of(errors, MOST_ERRORS),
        group.ended()
    );
    ended?;
    Ok((output?, errors?))
}

/// The begin of what comes through a pipe; the rest is read and thrown away, so that the command can end.
async fn begin_of(mut pipe: pipe::Receiver, most: usize) -> io::Result<Vec<u8>> {
    let (mut kept, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let length = pipe.read(&mut chunk).await?;
        if length == 0 {
            return Ok(kept);
        }
        let room = most.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&chunk[..room]);
    }
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

// === impl Group ===

impl Group {
    fn id(&self) -> Option<Pid> {
        let child = self.0.as_ref()?;
        Pid::from_raw(child.id().try_into().ok()?)
    }

    /// Waits for the end of the command, and leaves its process id in use: so its group cannot be another one.
    async fn ended(&self) -> io::Result<()> {
        let Some(pid) = self.id() else { return Ok(()) };
        let wait = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            loop {
                match waitid(WaitId::Pid(pid), options) {
                    Err(rustix::io::Errno::INTR) => {}
                    result => return result.map(drop),
                }
            }
        };
        let ended = spawn_blocking(wait).await.map_err(io::Error::other)?;
        ended.map_err(Into::into)
    }

    /// The exit status of a command that has ended.
    async fn reap(mut self) -> io::Result<ExitStatus> {
        // What it has left behind in its group ends with it; as long as it is not reaped, the id is its own.
        if let Some(pid) = self.id() {
            // It fails only if all of its processes are gone.
            let _killed = kill_process_group(pid, Signal::KILL);
        }
        let Some(mut child) = self.0.take() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let reap = spawn_blocking(move || child.wait());
        reap.await.map_err(io::Error::other)?
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(pid) = self.id() else { return };
        // It fails only if all of its processes are gone.
        let _killed = kill_process_group(pid, Signal::KILL);
        if let Some(mut child) = self.0.take() {
            let reap = move || {
                let _status = child.wait();
            };
            let _thread = thread::Builder::new()
                .name("hook-reaper".to_owned())
                .spawn(reap);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Instant};

    use super::*;

    fn words(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    async fn sh(script: &str, limit: Duration) -> Result<Vec<u8>, CallError> {
        run(&words(script), "{\"a\":1}".to_owned(), 100, limit).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_command_reads_its_input_and_its_output_is_returned() {
        assert_eq!(sh("cat", LONG).await.unwrap(), b"{\"a\":1}");
        // One that reads nothing is no error, whatever the size of its input.
        let large = run(&words("exit 0"), "x".repeat(1 << 20), 100, LONG).await;
        assert_eq!(large.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let error = sh("echo broken >&2; exit 3", LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "the command ended with status 3: broken");
        let error = sh("kill -9 $$", LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "the command ended with signal 9");
        let missing = run(&["/no/such".to_owned()], String::new(), 100, LONG).await;
        assert!(matches!(missing, Err(CallError::Command(_))));
    }

    #[tokio::test]
    async fn too_much_output_is_an_error_and_holds_no_memory() {
        let error = sh("head -c 1000000 /dev/zero", LONG).await.unwrap_err();
        assert!(matches!(error, CallError::Large(100)), "{error}");
    }

    #[tokio::test]
    async fn the_environment_of_a_command_has_no_secrets() {
        let script = "env | cut -d= -f1 | grep -v -x -e HOME -e LANG -e PATH -e TMPDIR -e TZ -e PWD -e _ -e SHLVL -e OLDPWD | wc -l";
        let output = sh(script, LONG).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output).trim(), "0");
    }

    fn is_alive(pid: &str) -> bool {
        // A zombie that its new parent has not reaped yet is not alive.
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = state.rsplit(") ").next().unwrap_or_default().to_owned();
        Path::new(&format!("/proc/{pid}")).exists() && !state.starts_with('Z')
    }

    #[tokio::test]
    async fn at_the_limit_the_whole_process_group_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let error = sh(&script, Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(error, CallError::Timeout(_)), "{error}");
        let pid = fs::read_to_string(file).unwrap();
        let end = Instant::now() + LONG;
        while is_alive(pid.trim()) {
            assert!(Instant::now() < end, "the child of the command lives on");
            tokio::task::yield_now().await;
        }
    }
}
