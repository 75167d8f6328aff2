//! A network of real processes on loopback, made by the program itself and then run node by node, so that a test can
//! kill, stop and start each of them. Ports are chosen by the program; nothing outside the temporary folder is touched.

#![allow(dead_code)] // Each test binary uses a part of this.

use conclave::client::Client;
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    keys::SecretKey,
    transaction::{Request, Transaction},
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up; nothing waits that long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One network at a time: each is four processes, and tests of time-outs want the machine for themselves.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    for variable in ["CONCLAVE_HOME", "CONCLAVE_API", "CONCLAVE_GENESIS", "CONCLAVE_PEERS", "CONCLAVE_LISTEN"]
    {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end; returns standard output. Anything but success fails the test.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

/// Waits until `probe` gives something.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A field of the last line of a log in JSON that has this message.
pub(crate) fn logged(log: &str, message: &str, field: &str) -> Option<String> {
    let line = log.lines().rfind(|line| line.contains(message))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(line["fields"][field].as_str()?.to_owned())
}

/// The value of a metric in what a node tells of its metrics: the sum over all samples that have these labels.
pub(crate) fn sample(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |line: &str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
            && labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    text.lines().filter(|line| has(line)).filter_map(value).sum()
}

pub(crate) struct Network {
    pub(crate) home: PathBuf,
    /// Where each node's API is.
    pub(crate) apis: Vec<String>,
    names: Vec<String>,
    processes: Vec<Option<Child>>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Network {
    /// A network of `nodes` validators, all running and connected.
    pub(crate) fn start(nodes: usize, delta_ms: u64) -> Self {
        Self::start_some(nodes, nodes, delta_ms)
    }

    /// A network of `nodes` validators, of which the first `running` run and are connected.
    pub(crate) fn start_some(nodes: usize, running: usize, delta_ms: u64) -> Self {
        let mut network = Self::make(nodes, &["--delta-ms", &delta_ms.to_string()]);
        (0..running).for_each(|node| network.run(node));
        (0..running).for_each(|node| network.wait_connected(node, running - 1));
        network
    }

    /// A network of `nodes` that were all up once and connected, and of which none runs now; `up` is told more.
    pub(crate) fn make(nodes: usize, arguments: &[&str]) -> Self {
        // A test that failed while it held the lock has said why.
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("net");
        let ready = folder.path().join("ready");
        let mut up = program()
            .args(["up", "-n", &nodes.to_string()])
            .args(arguments)
            .arg("--ready-file")
            .arg(&ready)
            .arg("--home")
            .arg(&home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the network is made", || ready.exists().then_some(()));
        terminate(&mut up);
        let description: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(home.join("network.json")).unwrap()).unwrap();
        let of = |field: &str| -> Vec<String> {
            let nodes = description["nodes"].as_array().unwrap();
            nodes.iter().map(|node| node[field].as_str().unwrap().to_owned()).collect()
        };
        Self {
            apis: of("api"),
            names: of("name"),
            processes: (0..nodes).map(|_| None).collect(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
            home,
            _folder: folder,
            _turn: turn,
        }
    }

    pub(crate) fn node_home(&self, node: usize) -> PathBuf {
        self.home.join(&self.names[node])
    }

    fn log_path(&self, node: usize) -> PathBuf {
        // Not in its home, whose disk a test may fill.
        self.home.join(format!("{}.log", self.names[node]))
    }

    pub(crate) fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.log_path(node)).unwrap_or_default()
    }

    /// Starts a node that is not running.
    pub(crate) fn run(&mut self, node: usize) {
        self.run_with(node, &[]);
    }

    /// Starts a node that is not running, with more arguments.
    pub(crate) fn run_with(&mut self, node: usize, arguments: &[&str]) {
        let mut command = program();
        command.arg("--home").arg(self.node_home(node)).arg("run").args(arguments);
        self.launch(node, command);
    }

    /// Where a running node's gossip API is, if it was told to have one.
    pub(crate) fn gossip(&self, node: usize) -> std::net::SocketAddr {
        eventually("the gossip API is up", || {
            let log =
                self.log(node).replace("\u{1b}[3m", "").replace("\u{1b}[0m", "").replace("\u{1b}[2m", "");
            let line = log.lines().rfind(|line| line.contains("the gossip API is up"))?;
            line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
        })
    }

    /// Starts a node that is not running and may not make a file longer than so many bytes.
    pub(crate) fn run_limited(&mut self, node: usize, file_bytes: u64) {
        // Without the signal the write fails, as on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", file_bytes / 512);
        let program = program();
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(program.get_program());
        command.arg("--home").arg(self.node_home(node)).arg("run").stdin(Stdio::null());
        self.launch(node, command);
    }

    fn launch(&mut self, node: usize, mut command: Command) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path(node)).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.processes[node] = Some(child);
    }

    /// Makes the home of a node that is not running fresh: only its configuration and keys are left.
    pub(crate) fn reset(&self, node: usize) {
        for entry in std::fs::read_dir(self.node_home(node)).unwrap().map(Result::unwrap) {
            let (path, kept) = (entry.path(), ["config.toml", "keys"]);
            if kept.iter().any(|name| entry.file_name() == *name) {
            } else if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut child = self.processes[node].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGSTOP or SIGCONT.
    pub(crate) fn signal(&self, node: usize, signal: &str) {
        let pid = self.processes[node].as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub(crate) fn is_running(&mut self, node: usize) -> bool {
        self.processes[node].as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) fn client(&self, node: usize) -> Client {
        Client::new(&self.apis[node], None).unwrap()
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs something beside the test.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    pub(crate) fn wait_connected(&self, node: usize, peers: usize) {
        let client = self.client(node);
        eventually(&format!("node {node} is connected to {peers}"), || {
            let connected = self.block_on(client.peers()).ok()?;
            (connected.peers.len() == peers).then_some(())
        });
    }

    pub(crate) fn height(&self, node: usize) -> Option<u64> {
        self.block_on(self.client(node).status()).ok().map(|status| status.height)
    }

    /// Waits until all of `nodes` are at the same height with the same block.
    pub(crate) fn wait_agreement(&self, nodes: &[usize]) -> u64 {
        eventually("the nodes are at one height", || {
            let heights: Option<Vec<u64>> = nodes.iter().map(|node| self.height(*node)).collect();
            let heights = heights?;
            heights.iter().all(|height| *height == heights[0]).then(|| heights[0])
        })
    }

    /// The validator that leads the next height, as `node` says.
    pub(crate) fn leader(&self, node: usize) -> usize {
        let validators = self.block_on(self.client(node).validators()).unwrap();
        validators.validators.iter().position(|validator| validator.leader).unwrap()
    }

    /// The value of a node's metric: the sum over all samples that have these labels.
    pub(crate) fn metric(&self, node: usize, name: &str, labels: &[(&str, &str)]) -> f64 {
        sample(&self.block_on(self.client(node).metrics()).unwrap(), name, labels)
    }

    /// Waits until a metric is at least `least`.
    pub(crate) fn wait_metric(&self, node: usize, name: &str, labels: &[(&str, &str)], least: f64) {
        eventually(&format!("{name} {labels:?} of node {node} is {least}"), || {
            (self.metric(node, name, labels) >= least).then_some(())
        });
    }

    /// Where a running node listens: multiaddrs that end in its peer id, TCP first.
    pub(crate) fn addresses(&self, node: usize) -> Vec<String> {
        let client = self.client(node);
        let mut addresses = eventually("the node listens", || {
            let listen = self.block_on(client.status()).ok()?.listen;
            (listen.len() >= 2).then_some(listen)
        });
        addresses.sort_by_key(|address| address.contains("/udp/"));
        addresses
    }

    /// The key of a validator, which may send without a stamp.
    pub(crate) fn key(&self, node: usize) -> SecretKey {
        let path = self.node_home(node).join("keys/validator.key");
        conclave::keys::load(&path, &conclave::keys::PassphraseSource::default()).unwrap()
    }

    /// A record signed by validator `node`.
    pub(crate) fn record(&self, node: usize, text: &str) -> Transaction {
        let genesis = conclave::genesis_file::read(&self.home.join("genesis.toml")).unwrap();
        let key = self.key(node);
        let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
        Request { network: genesis.network_id(), sender: key.public(), expires: 900, payload }.sign(&key)
    }

    /// Submits through `node` and waits for the decision; `None` if there is none in time.
    pub(crate) fn decide(&self, node: usize, transaction: &Transaction, within: Duration) -> Option<u64> {
        use conclave::api::types::TransactionStatus;
        match self.block_on(self.client(node).submit_and_wait(transaction, within)) {
            Ok(TransactionStatus::Decided { height, .. }) => Some(height),
            _ => None,
        }
    }

    /// Saves what `node` has decided.
    pub(crate) fn export(&self, node: usize) -> Vec<u8> {
        let path = self.home.join(format!("export-{node}"));
        succeed(program().args(["--api", &self.apis[node], "export", "-o"]).arg(&path));
        std::fs::read(path).unwrap()
    }

    pub(crate) fn genesis(&self) -> PathBuf {
        self.home.join("genesis.toml")
    }
}

/// SIGTERM, and the end of the process.
pub(crate) fn terminate(child: &mut Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    child.wait().unwrap();
}

impl Drop for Network {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            // A stopped process dies of this too.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for node in 0..self.processes.len() {
                let log = self.log(node);
                let tail = log.len().saturating_sub(4000);
                eprintln!("--- {}\n{}", self.names[node], log.get(tail..).unwrap_or(&log));
            }
        }
    }
}

/// The path of the real election.
pub(crate) fn election() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/debian-logo.soi")
}
