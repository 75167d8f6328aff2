//! Observers of a network, as real processes on loopback, connected as a test wants them: each dials those it is told
//! and nobody else. Ports are chosen by the system and kept over restarts; nothing outside the temporary folder is
//! touched.

use crate::module::Module;
use conclave::client::Client;
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(90);

/// One network at a time: they are processes, and time-outs want the machine for themselves.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    for (variable, _) in std::env::vars() {
        if variable.starts_with("CONCLAVE_") {
            command.env_remove(variable);
        }
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

struct Node {
    home: PathBuf,
    address: String,
    listen: String,
    api: SocketAddr,
    gossip: SocketAddr,
    peers: Vec<String>,
    process: Option<Child>,
}

pub(crate) struct Nodes {
    nodes: Vec<Node>,
    extra: Vec<String>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Nodes {
    /// As many nodes as there are lists; each dials the nodes of its list, which come before it.
    pub(crate) fn start(dials: &[&[usize]]) -> Self {
        Self::start_with(dials, &[])
    }

    /// The same, with more arguments for each node.
    pub(crate) fn start_with(dials: &[&[usize]], extra: &[&str]) -> Self {
        // A test that failed while it held the lock has said why.
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let genesis = folder.path().join("genesis.toml");
        let key = folder.path().join("validator.key");
        // The validator never runs: nobody decides anything here.
        let made = succeed(program().args(["--output", "json", "key", "new"]).arg(&key));
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let validator = format!("one={}", made["public"].as_str().unwrap());
        succeed(
            program()
                .args(["genesis", "new", "--name", "gossip", "--validator", &validator, "-o"])
                .arg(&genesis),
        );
        // All ports are held until all are chosen.
        let held: Vec<[TcpListener; 3]> =
            dials.iter().map(|_| [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap())).collect();
        let mut nodes: Vec<Node> = Vec::new();
        for (number, (dialled, sockets)) in dials.iter().zip(&held).enumerate() {
            let home = folder.path().join(format!("node-{number}"));
            let made = succeed(program().args(["--output", "json", "--home"]).arg(&home).arg("init"));
            let made: serde_json::Value = serde_json::from_str(&made).unwrap();
            std::fs::copy(&genesis, home.join("genesis.toml")).unwrap();
            let [port, api, gossip] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
            let listen = format!("/ip4/127.0.0.1/tcp/{}", port.port());
            nodes.push(Node {
                home,
                address: format!("{listen}/p2p/{}", made["peer_id"].as_str().unwrap()),
                listen,
                api,
                gossip,
                peers: dialled.iter().map(|other| nodes[*other].address.clone()).collect(),
                process: None,
            });
        }
        drop(held);
        let mut network = Self {
            nodes,
            extra: extra.iter().map(|argument| (*argument).to_owned()).collect(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
            _folder: folder,
            _turn: turn,
        };
        (0..dials.len()).for_each(|node| network.run(node));
        for (node, dialled) in dials.iter().enumerate() {
            let dialling = dials.iter().filter(|others| others.contains(&node)).count();
            network.wait_connected(node, dialled.len() + dialling);
        }
        network
    }

    /// Starts a node that is not running.
    pub(crate) fn run(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let log = std::fs::OpenOptions::new().create(true).append(true).open(node.home.join("log")).unwrap();
        let mut command = program();
        // Nobody beyond those that it is told, and admission that costs next to nothing.
        command.env("CONCLAVE_TARGET_CONNECTIONS", "0").env("CONCLAVE_ADMISSION_BITS", "8");
        command.arg("--home").arg(&node.home).args(["run", "--listen", &node.listen]);
        command.args(["--api-listen", &node.api.to_string(), "--gossip-listen", &node.gossip.to_string()]);
        for peer in &node.peers {
            command.args(["--peer", peer]);
        }
        let child = command.args(&self.extra).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        node.process = Some(child);
        let gossip = node.gossip;
        eventually("the gossip API is up", || std::net::TcpStream::connect(gossip).ok());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].process.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Where a node's gossip API is.
    pub(crate) fn gossip(&self, node: usize) -> SocketAddr {
        self.nodes[node].gossip
    }

    pub(crate) fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.nodes[node].home.join("log")).unwrap_or_default()
    }

    pub(crate) fn wait_logged(&self, node: usize, text: &str) {
        eventually(&format!("node {node} logs {text:?}"), || self.log(node).contains(text).then_some(()));
    }

    fn client(&self, node: usize) -> Client {
        Client::new(&format!("http://{}", self.nodes[node].api), None).unwrap()
    }

    pub(crate) fn wait_connected(&self, node: usize, peers: usize) {
        let client = self.client(node);
        eventually(&format!("node {node} is connected to {peers}"), || {
            let connected = self.runtime.block_on(client.peers()).ok()?;
            (connected.peers.len() == peers).then_some(())
        });
    }

    /// The sum of a metric over the labels that contain `label`.
    pub(crate) fn metric(&self, node: usize, name: &str, label: &str) -> u64 {
        let text = self.runtime.block_on(self.client(node).metrics()).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
    }

    /// Waits until a node knows of so many subscriptions of its neighbours' modules. Each neighbour has one more of its
    /// own: to what people say.
    pub(crate) fn wait_subscriptions(&self, node: usize, count: u64) {
        eventually(&format!("node {node} knows of {count} subscriptions"), || {
            let subscriptions = self.metric(node, "conclave_announcement_peer_subscriptions", "");
            (subscriptions == count + self.metric(node, "conclave_peers ", "")).then_some(())
        });
    }

    /// A module at a node, and the node knows that it has subscribed.
    pub(crate) fn module(&self, node: usize, data_type: u16) -> Module {
        let subscriptions = || self.metric(node, "conclave_module_subscriptions", "");
        let before = subscriptions();
        let module = Module::notified_of(self.gossip(node), data_type);
        eventually("the module is subscribed", || (subscriptions() > before).then_some(()));
        module
    }

    /// One module at each of `nodes`.
    pub(crate) fn modules(&self, nodes: &[usize], data_type: u16) -> Vec<Module> {
        nodes.iter().map(|node| self.module(*node, data_type)).collect()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(child) = &mut node.process {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() {
            for node in 0..self.nodes.len() {
                let log = self.log(node);
                let tail = log.len().saturating_sub(4000);
                eprintln!("--- node {node}\n{}", log.get(tail..).unwrap_or(&log));
            }
        }
    }
}
