//! The network that is measured: child processes in a temporary folder, each started and killed by itself.

use crate::{
    cli::{
        failure::{Context, Failure, Outcome},
        up::network::{self, Network, Plan},
    },
    client::Client,
    genesis_file, keys,
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    hash::NetworkId,
    keys::SecretKey,
    transaction::{Request, Transaction},
    validators::FaultBound,
};
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a node has to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Heights after which the records expire that are measured with.
const EXPIRES: u64 = 990;

/// The network.
pub(super) struct Bed {
    home: PathBuf,
    network: Network,
    children: Vec<Option<Child>>,
    pub(super) clients: Vec<Client>,
    pub(super) id: NetworkId,
    pub(super) keys: Vec<SecretKey>,
}

impl Bed {
    /// Makes the network; no node runs yet.
    pub(super) fn make(nodes: u16, delta_ms: u64, fast: bool) -> Outcome<Self> {
        let name = format!("conclave-bench-{}-{}", std::process::id(), crate::cli::output::now_ms());
        let home = std::env::temp_dir().join(name);
        let network =
            network::create(&home, &Plan { nodes, delta_ms, faulty: FaultBound::Third, work: None })?;
        let path = home.join("genesis.toml");
        let mut genesis = genesis_file::read(&path)?;
        if !fast {
            genesis.fast = false;
            let text = genesis_file::text(&genesis);
            std::fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
        }
        let clients =
            network.nodes.iter().map(|node| Client::new(&node.api, None)).collect::<Result<_, _>>()?;
        let source = keys::PassphraseSource::default();
        let keys = network
            .nodes
            .iter()
            .map(|node| keys::load(&home.join(&node.name).join("keys/validator.key"), &source));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let children = network.nodes.iter().map(|_| None).collect();
        Ok(Self { home, children, clients, id: genesis.network_id(), keys, network })
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// Starts a node.
    pub(super) fn start(&mut self, node: usize) -> Outcome {
        let home = self.home.join(&self.network.nodes[node].name);
        let log = home.join("log");
        let file = std::fs::File::create(&log).context(|| format!("cannot write {}", log.display()))?;
        let program = std::env::current_exe().context(|| "this program cannot find itself".to_owned())?;
        let child = Command::new(program)
            .arg("--home")
            .arg(home)
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn();
        self.children[node] = Some(child.context(|| "a node cannot be started".to_owned())?);
        Ok(())
    }

    /// Starts all nodes and waits until each is connected to all others.
    pub(super) async fn start_all(&mut self) -> Outcome {
        for node in 0..self.len() {
            self.start(node)?;
        }
        let others = self.len() - 1;
        for node in 0..self.len() {
            self.wait_connected(node, others).await?;
        }
        Ok(())
    }

    /// Waits until a node is connected to that many others.
    pub(super) async fn wait_connected(&self, node: usize, peers: usize) -> Outcome {
        let start = Instant::now();
        while self.clients[node].peers().await.map_or(0, |connected| connected.peers.len()) < peers {
            if start.elapsed() > READY_WITHIN {
                let log = self.home.join(&self.network.nodes[node].name).join("log");
                return Err(Failure::new(format!("a node is not ready; its log is {}", log.display())));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.children[node].take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Process ids of the nodes that run.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.children.iter().flatten().map(Child::id).collect()
    }

    /// Kills everything and removes the folder.
    pub(super) fn stop(&mut self) {
        (0..self.len()).for_each(|node| self.kill(node));
        // What cannot be removed is in the system's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.home);
    }

    /// A record of `bytes` bytes, signed by a validator.
    pub(super) fn record(&self, height: u64, number: u64, bytes: usize) -> Transaction {
        let mut data = number.to_be_bytes().to_vec();
        data.resize(bytes.max(8), 0);
        let payload = Payload::Record(Record { kind: "bench".into(), data: Bytes(data) });
        self.sign(number as usize % self.keys.len(), height, payload)
    }

    /// A transaction of validator `node`.
    pub(super) fn sign(&self, node: usize, height: u64, payload: Payload) -> Transaction {
        let key = &self.keys[node];
        Request { network: self.id, sender: key.public(), expires: height + EXPIRES, payload }.sign(key)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.stop();
    }
}
