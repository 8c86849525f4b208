//! A real etcd of one member or several, each on a loopback address of its own.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use switchback::etcd::{EtcdClient, EtcdSettings, MemberStatus};
use tempfile::TempDir;
use tokio::time::sleep;

/// Longest time for a start or an election.
const START: Duration = Duration::from_secs(20);
/// Clusters that this process has started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A cluster. Its members end when it is dropped.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    network: String,
    members: Vec<Member>,
    secure: bool,
    arguments: Vec<String>,
}

struct Member {
    child: Child,
    /// Name of the folder of its data.
    data: String,
}

impl Cluster {
    pub(crate) async fn start(count: usize) -> Self {
        Self::start_with(count, tempfile::tempdir().unwrap(), false, &[]).await
    }

    /// Starts one with a folder and more arguments; with TLS for clients if `secure`.
    pub(crate) async fn start_with(
        count: usize,
        folder: TempDir,
        secure: bool,
        arguments: &[&str],
    ) -> Self {
        let process = std::process::id();
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let mut cluster = Self {
            folder,
            network: format!(
                "127.{}.{}",
                50 + process % 200,
                1 + (process / 200 + number) % 250
            ),
            members: Vec::new(),
            secure,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        };
        for member in 0..count {
            let data = format!("data{member}");
            let child = cluster.spawn(member, count, &data);
            cluster.members.push(Member { child, data });
        }
        if !secure {
            cluster.until_ready().await;
        }
        cluster
    }

    fn url(&self, member: usize) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}:2379", self.address(member))
    }

    /// Address of a member.
    pub(crate) fn address(&self, member: usize) -> String {
        format!("{}.{}", self.network, member + 1)
    }

    fn peer(&self, member: usize) -> String {
        format!("http://{}:2380", self.address(member))
    }

    fn all(&self, count: usize) -> String {
        let all = (0..count).map(|member| format!("m{member}={}", self.peer(member)));
        all.collect::<Vec<_>>().join(",")
    }

    fn spawn(&self, member: usize, count: usize, data: &str) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("m{member}.log")))
            .unwrap();
        let (url, peer) = (self.url(member), self.peer(member));
        Command::new("etcd")
            .current_dir(self.folder.path())
            .args(["--name", &format!("m{member}"), "--data-dir", data])
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &self.all(count)])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("etcd is installed: tests/setup")
    }

    /// Settings of a client, which asks `first` first.
    pub(crate) fn settings(&self, first: usize) -> EtcdSettings {
        let count = self.members.len();
        let members = (first..first + count).map(|member| self.url(member % count));
        let mut settings = EtcdSettings::new(members.map(|url| url.parse().unwrap()).collect());
        settings.hedge_after = Duration::from_millis(200);
        settings
    }

    pub(crate) fn client(&self, first: usize) -> EtcdClient {
        EtcdClient::load(self.settings(first)).unwrap()
    }

    /// A client that knows this member alone.
    pub(crate) fn client_of(&self, member: usize) -> EtcdClient {
        let mut settings = self.settings(member);
        settings.members.truncate(1);
        EtcdClient::load(settings).unwrap()
    }

    /// State of a member.
    pub(crate) async fn status(&self, member: usize) -> Option<MemberStatus> {
        self.client_of(member).status().await.ok()
    }

    /// Waits until every member knows the leader and the same revision.
    pub(crate) async fn until_ready(&self) {
        let until = Instant::now() + START;
        loop {
            let mut states = Vec::new();
            for member in 0..self.members.len() {
                let status = self.status(member).await;
                states.push(status.map(|status| (status.leader, status.store.revision)));
            }
            let first = states[0];
            if first.is_some_and(|(leader, _)| leader != 0) && states.iter().all(|s| *s == first) {
                return;
            }
            assert!(Instant::now() < until, "etcd is not ready: {states:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this client is answered by a member that knows a leader.
    pub(crate) async fn until_ready_for(&self, client: &EtcdClient) {
        let until = Instant::now() + START;
        while client.status().await.map_or(0, |status| status.leader) == 0 {
            assert!(Instant::now() < until, "etcd is not ready");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The member that leads.
    pub(crate) async fn leader(&self) -> usize {
        for member in 0..self.members.len() {
            let status = self.status(member).await.unwrap();
            if status.leader == status.store.member {
                return member;
            }
        }
        panic!("nobody leads");
    }

    fn signal(&self, member: usize, signal: Signal) {
        let child = &self.members[member].child;
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Freezes a member.
    pub(crate) fn freeze(&self, member: usize) {
        self.signal(member, Signal::STOP);
    }

    pub(crate) fn thaw(&self, member: usize) {
        self.signal(member, Signal::CONT);
    }

    pub(crate) fn kill(&mut self, member: usize) {
        let child = &mut self.members[member].child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts a member that was killed, with other data if `data` is given.
    pub(crate) fn start_again(&mut self, member: usize, data: Option<&str>) {
        if let Some(data) = data {
            data.clone_into(&mut self.members[member].data);
        }
        let child = self.spawn(member, self.members.len(), &self.members[member].data);
        self.members[member].child = child;
    }

    /// Runs `etcdctl` against the first member.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .current_dir(self.folder.path())
            .args(["--endpoints", &self.url(0)])
            .args(arguments)
            .output()
            .expect("etcdctl is installed: tests/setup");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "etcdctl {arguments:?}: {failed}");
        said
    }

    /// Makes data of a snapshot, in a folder of that name, for the first member.
    pub(crate) fn restore(&self, snapshot: &str, data: &str) {
        self.ctl(&[
            "snapshot",
            "restore",
            snapshot,
            "--name",
            "m0",
            "--data-dir",
            data,
            "--initial-cluster",
            &self.all(1),
            "--initial-advertise-peer-urls",
            &self.peer(0),
        ]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            // It may have ended.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}
