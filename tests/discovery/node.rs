//! Nodes as processes, each with a home of its own and told of nobody but by its flags.

use conclave::client::Client;
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    transaction::{Request, Transaction},
};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up; nothing waits that long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One network at a time: tests of several processes want the machine for themselves.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A genesis file and the homes of its validators.
pub(crate) struct Network {
    folder: tempfile::TempDir,
    pub(crate) runtime: tokio::runtime::Runtime,
    _turn: std::sync::MutexGuard<'static, ()>,
}

/// A running process.
pub(crate) struct Node {
    name: String,
    home: PathBuf,
    child: Child,
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
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

impl Network {
    /// The files of a network with `validators` validators; nothing runs yet.
    pub(crate) fn new(validators: usize) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let genesis = path("genesis.toml");
        let mut arguments =
            ["genesis", "new", "--name", "discovery", "-o", &genesis].map(String::from).to_vec();
        for number in 0..validators {
            let name = format!("v{number}");
            let made = succeed(&mut program(&[
                "--home",
                &path(&name),
                "init",
                "--validator",
                &name,
                "--output",
                "json",
            ]));
            let made: Value = serde_json::from_str(&made).unwrap();
            arguments.push("--validator".into());
            arguments.push(format!("{name}={}", made["validator"]["key"].as_str().unwrap()));
        }
        succeed(Command::new(env!("CARGO_BIN_EXE_conclave")).args(&arguments));
        Self { folder, runtime: tokio::runtime::Runtime::new().unwrap(), _turn: turn }
    }

    /// Runs validator `number`, with its API on a free port. It listens on loopback if `flags` do not say otherwise.
    pub(crate) fn validator(&self, number: usize, flags: &[&str]) -> Node {
        self.start(&format!("v{number}"), flags)
    }

    /// Runs an observer.
    pub(crate) fn observer(&self, name: &str, flags: &[&str]) -> Node {
        succeed(&mut program(&["--home", self.folder.path().join(name).to_str().unwrap(), "init"]));
        self.start(name, flags)
    }

    fn start(&self, name: &str, flags: &[&str]) -> Node {
        let home = self.folder.path().join(name);
        // What is not given as a flag is not left to the defaults, which name fixed ports.
        std::fs::write(home.join("config.toml"), "[network]\nlisten = []\n").unwrap();
        let log = std::fs::File::create(home.join("test.log")).unwrap();
        let child = program(&["--home", home.to_str().unwrap(), "--log-format", "json", "run", "--genesis"])
            .arg(self.folder.path().join("genesis.toml"))
            .args(["--api-listen", "127.0.0.1:0", "--log", "info,conclave=debug"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Node { name: name.into(), home, child }
    }

    /// The ids of the peers of `node` and where it has them.
    pub(crate) fn peers(&self, node: &Node) -> Vec<(String, String)> {
        let answer = self.runtime.block_on(node.client().peers());
        let peers = answer.map(|answer| answer.peers).unwrap_or_default();
        peers.into_iter().map(|peer| (peer.peer_id, peer.address)).collect()
    }

    /// Waits until `node` has at least `count` peers.
    pub(crate) fn wait_peers(&self, node: &Node, count: usize) {
        eventually(&format!("{} has {count} peers", node.name), || {
            (self.peers(node).len() >= count).then_some(())
        });
    }

    /// Waits until `node` knows at least `count` peers from `source`.
    pub(crate) fn wait_known(&self, node: &Node, source: &str, count: usize) {
        eventually(&format!("{} knows {count} peers by {source}", node.name), || {
            let known = self.runtime.block_on(node.client().known_peers()).ok()?;
            let by_source = known.peers.iter().filter(|peer| peer.sources.iter().any(|name| name == source));
            (by_source.count() >= count).then_some(())
        });
    }

    /// Where `node` has `other`, once it has it.
    pub(crate) fn wait_peer(&self, node: &Node, other: &Node, fits: impl Fn(&str) -> bool) -> String {
        let id = other.peer_id();
        eventually(&format!("{} has {}", node.name, other.name), || {
            let mut peers = self.peers(node).into_iter();
            peers.find(|(peer, address)| *peer == id && fits(address)).map(|(_, address)| address)
        })
    }

    /// Has a record decided through `node`.
    pub(crate) fn decide(&self, node: &Node, text: &str) -> u64 {
        use conclave::api::types::TransactionStatus;
        let transaction = self.record(text);
        let decided = self.runtime.block_on(node.client().submit_and_wait(&transaction, PATIENCE));
        match decided.unwrap() {
            TransactionStatus::Decided { height, .. } => height,
            other => panic!("{other:?}"),
        }
    }

    fn record(&self, text: &str) -> Transaction {
        let genesis = conclave::genesis_file::read(&self.folder.path().join("genesis.toml")).unwrap();
        let path = self.folder.path().join("v0/keys/validator.key");
        let key = conclave::keys::load(&path, &conclave::keys::PassphraseSource::default()).unwrap();
        let payload = Payload::Record(Record { kind: "note".into(), data: Bytes(text.into()) });
        Request { network: genesis.network_id(), sender: key.public(), expires: 900, payload }.sign(&key)
    }

    /// The id of the network.
    pub(crate) fn id(&self) -> [u8; 32] {
        conclave::genesis_file::read(&self.folder.path().join("genesis.toml")).unwrap().network_id().0
    }

    /// Waits until a counter of `node` is above zero.
    pub(crate) fn wait_counter(&self, node: &Node, counter: &str) {
        eventually(&format!("{counter} of {} counts", node.name), || {
            let metrics = self.runtime.block_on(node.client().metrics()).ok()?;
            let line = metrics.lines().find(|line| line.starts_with(counter))?;
            (line.rsplit(' ').next()? != "0").then_some(())
        });
    }
}

impl Node {
    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("test.log")).unwrap_or_default()
    }

    /// Waits for a line of the log with this message that `fits`.
    fn logged(&self, message: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{} logs {message:?}", self.name), || {
            let log = self.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut fields = lines.map(|line| line["fields"].clone());
            fields.find(|fields| fields["message"] == message && fits(fields))
        })
    }

    pub(crate) fn peer_id(&self) -> String {
        self.logged("the node is up", |_| true)["peer"].as_str().unwrap().to_owned()
    }

    pub(crate) fn client(&self) -> Client {
        let api = self.logged("the node is up", |_| true)["api"].as_str().unwrap().to_owned();
        Client::new(&format!("http://{api}"), None).unwrap()
    }

    /// The first address on which it listens that contains `part`, with its id.
    pub(crate) fn address(&self, part: &str) -> String {
        let line = self.logged("listening", |line| line["address"].as_str().unwrap().contains(part));
        let address = line["address"].as_str().unwrap().to_owned();
        if address.contains(&self.peer_id()) { address } else { format!("{address}/p2p/{}", self.peer_id()) }
    }

    /// Checks that the log does not have this message.
    pub(crate) fn assert_not_logged(&self, message: &str) {
        assert!(!self.log().contains(message), "{} has logged {message:?}", self.name);
    }

    /// Waits until the log has this message.
    pub(crate) fn wait_logged(&self, message: &str) {
        self.logged(message, |_| true);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.char_indices().rev().nth(8000).map_or(0, |(at, _)| at);
            eprintln!("--- {}\n{}", self.name, &log[tail..]);
        }
    }
}
