//! Homes, trackers and nodes in one temporary folder, all on loopback and on ports that the system chooses.

use crate::{
    network::{program, succeed},
    tracker::Tracker,
};
use conclave::{api::types::TransactionStatus, client::Client};
use conclave_ledger::{keys::SecretKey, transaction::Transaction};
use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

/// A running node.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Group {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Group {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn genesis(&self, name: &str) -> PathBuf {
        self.home(name).join("genesis.toml")
    }

    pub(crate) fn make_home(&self, name: &str, validates: bool) {
        if !self.home(name).exists() {
            let mut command = program();
            command.arg("--home").arg(self.home(name)).arg("init");
            if validates {
                command.args(["--validator", name]);
            }
            succeed(&mut command);
        }
    }

    pub(crate) fn validator_key(&self, name: &str) -> SecretKey {
        conclave::keys::load(&self.home(name).join("keys/validator.key"), &Default::default()).unwrap()
    }

    /// A tracker that listens.
    pub(crate) fn tracker(&self, name: &str) -> Tracker {
        Tracker::start(&self.home(name))
    }

    pub(crate) fn gather_command(&self, name: &str, parties: u16, seconds: u64, tracker: &str) -> Command {
        let mut command = program();
        command.arg("--home").arg(self.home(name)).args(["genesis", "--gather", &parties.to_string()]);
        command.args(["--name", "lunch", "--as", name, "--tracker", tracker, "--listen", LOOPBACK]);
        command.args(["--gather-timeout-s", &seconds.to_string()]);
        command
    }

    /// Begins to gather in a fresh home.
    pub(crate) fn gather(&self, name: &str, parties: u16, seconds: u64, tracker: &str) -> Child {
        self.make_home(name, true);
        let mut command = self.gather_command(name, parties, seconds, tracker);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a node, in a fresh home if there is none.
    pub(crate) fn run(&self, name: &str, arguments: &[&str], trackers: &[String]) -> Running {
        self.make_home(name, true);
        let log = self.folder.path().join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        let mut command = program();
        command.arg("--home").arg(self.home(name)).args(["run", "--listen", LOOPBACK]);
        command.args(["--api-listen", "127.0.0.1:0"]).args(arguments);
        for tracker in trackers {
            command.args(["--tracker", tracker]);
        }
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Running { child, log }
    }

    /// The API of a node, once it is up.
    fn client(&self, node: &Running) -> Option<Client> {
        let log = std::fs::read_to_string(&node.log).ok()?;
        let plain = log.replace("\u{1b}[3m", "").replace("\u{1b}[0m", "").replace("\u{1b}[2m", "");
        let line = plain.lines().find(|line| line.contains("the node is up"))?;
        let api = line.split("api=").nth(1)?.split_whitespace().next()?;
        Client::new(&format!("http://{api}"), None).ok()
    }

    /// To how many peers a node is connected.
    pub(crate) fn peers(&self, node: &Running) -> Option<usize> {
        let client = self.client(node)?;
        self.runtime.block_on(client.peers()).ok().map(|peers| peers.peers.len())
    }

    pub(crate) fn height(&self, node: &Running) -> Option<u64> {
        let client = self.client(node)?;
        self.runtime.block_on(client.status()).ok().map(|status| status.height)
    }

    /// Whether a transaction that is sent to a node is decided.
    pub(crate) fn decide(&self, node: &Running, transaction: &Transaction) -> bool {
        let client = self.client(node).unwrap();
        let decided = self.runtime.block_on(client.submit_and_wait(transaction, Duration::from_secs(60)));
        matches!(decided, Ok(TransactionStatus::Decided { .. }))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "log") {
                    let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    let tail = log.len().saturating_sub(3000);
                    eprintln!("--- {}\n{}", entry.path().display(), log.get(tail..).unwrap_or(&log));
                }
            }
        }
    }
}
