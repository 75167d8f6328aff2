//! Announcements through many observers: what they cost, and how long they take.
//!
//! Thirty nodes, each a process, in a random graph in which none has more than [`MOST_CONNECTIONS`]; at each a module
//! of this program that calls everything valid. One announcement at a time, from one node after the other.

use super::figures::{Figure, distribution, figure};
use crate::{
    cli::{
        failure::{Context, Failure, Outcome},
        genesis, init,
        output::now_ms,
    },
    client::Client,
    config::file::Template,
    gossip_api::client::Client as Module,
    keys,
};
use conclave_ledger::validators::{FaultBound, Validator};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Nodes.
const NODES: usize = 30;

/// Nodes that each node dials, of those before it.
const DIALS: usize = 3;

/// Most connections of a node.
const MOST_CONNECTIONS: usize = 8;

/// Announcements that are measured.
const ANNOUNCEMENTS: usize = 60;

/// Bytes of data in each.
const DATA_BYTES: usize = 1024;

/// Their type.
const DATA_TYPE: u16 = 1337;

/// Topics that a node with such a module subscribes to: that type, and what people say to each other.
const TOPICS: usize = 2;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Node {
    home: PathBuf,
    address: String,
    api: SocketAddr,
    gossip: SocketAddr,
    connections: usize,
    child: Option<Child>,
}

struct Nodes {
    home: PathBuf,
    nodes: Vec<Node>,
}

/// Measures announcements.
pub(super) async fn gossip() -> Outcome<Vec<Figure>> {
    let nodes = Nodes::start().await?;
    let (received, mut arrivals) = mpsc::unbounded_channel();
    for (number, node) in nodes.nodes.iter().enumerate() {
        let mut module = Module::connect(node.gossip).await?;
        module.notify(DATA_TYPE).await?;
        let received = received.clone();
        tokio::spawn(async move {
            while let Ok(Some(notification)) = module.next().await {
                let at = Instant::now();
                if module.validate(notification.id, true).await.is_err()
                    || received.send((number, notification.data, at)).is_err()
                {
                    break;
                }
            }
        });
    }
    for node in &nodes.nodes {
        let subscriptions = (node.connections * TOPICS) as u64;
        nodes.wait(node, "conclave_announcement_peer_subscriptions", subscriptions).await?;
    }
    let before = [nodes.sum("outcome=\"copy\"").await?, nodes.sum("libp2p_bandwidth_bytes_total").await?];
    let (mut to_most, mut to_all) = (Vec::new(), Vec::new());
    // 99 % of the others, rounded up.
    let most = ((NODES - 1) * 99).div_ceil(100);
    for number in 0..ANNOUNCEMENTS {
        let mut data = vec![0; DATA_BYTES];
        data[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let mut announcer = Module::connect(nodes.nodes[number % NODES].gossip).await?;
        let start = Instant::now();
        announcer.announce(0, DATA_TYPE, data.clone()).await?;
        let mut times = Vec::new();
        // The module at the announcing node is another subscriber: it is notified, too.
        while times.len() < NODES {
            let arrival = tokio::time::timeout(PATIENCE, arrivals.recv()).await;
            let Ok(Some((node, found, at))) = arrival else {
                return Err(Failure::new(format!(
                    "announcement {number} reached {} of {NODES}",
                    times.len()
                )));
            };
            if found == data && node != number % NODES {
                times.push(at.duration_since(start));
            } else if found == data {
                times.push(Duration::ZERO);
            }
        }
        times.sort_unstable();
        // The first is the announcing node's own.
        to_most.extend(times.get(most));
        to_all.extend(times.last());
    }
    nodes.wait_quiet().await?;
    let after = [nodes.sum("outcome=\"copy\"").await?, nodes.sum("libp2p_bandwidth_bytes_total").await?];
    let deliveries = (ANNOUNCEMENTS * (NODES - 1)) as f64;
    // What one node sends another receives.
    let [copies, bytes] = [(after[0] - before[0]) as f64, (after[1] - before[1]) as f64 / 2.0];
    let name = format!("{NODES} observers, {DATA_BYTES} bytes");
    let mut figures = vec![
        figure(&name, "links", nodes.links() as f64, ""),
        figure(&name, "copies received for each delivery", copies / deliveries, ""),
        figure(
            &name,
            "duplicates for each announcement (ideal: none, n − 1 copies)",
            (copies - deliveries) / ANNOUNCEMENTS as f64,
            "",
        ),
        figure(&name, "bytes on the wire for each delivery", bytes / deliveries, "B"),
    ];
    figures.extend(distribution(&name, "announced to 99 % notified", to_most));
    figures.extend(distribution(&name, "announced to all notified", to_all));
    Ok(figures)
}

impl Nodes {
    async fn start() -> Outcome<Self> {
        let home =
            std::env::temp_dir().join(format!("conclave-bench-gossip-{}-{}", std::process::id(), now_ms()));
        std::fs::create_dir_all(&home).context(|| format!("cannot make {}", home.display()))?;
        // The validator never runs: nobody decides anything here.
        let validator = Validator { name: "one".into(), key: keys::generate()?.public() };
        let genesis = genesis::new("bench".into(), vec![validator], FaultBound::Third, 500, true);
        genesis::write(&home.join("genesis.toml"), &genesis)?;
        let mut nodes = Self { home, nodes: Vec::new() };
        for number in 0..NODES {
            nodes.add(number)?;
        }
        for node in &nodes.nodes {
            nodes.wait(node, "conclave_peers", node.connections as u64).await?;
        }
        Ok(nodes)
    }

    /// Starts a node that dials some of those before it: the next ones of a fixed sequence that have room.
    fn add(&mut self, number: usize) -> Outcome {
        let home = self.home.join(format!("node-{number}"));
        let key = keys::generate()?;
        keys::create(&home.join("keys/node.key"), &key, None)?;
        let held = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let [Ok(port), Ok(api), Ok(gossip)] = held.each_ref().map(|held| match held {
            Ok(held) => held.local_addr(),
            Err(error) => Err(std::io::Error::from(error.kind())),
        }) else {
            return Err(Failure::new("no loopback port is free"));
        };
        let mut dialled = Vec::new();
        for step in 0..number {
            // Steps of a number that has no divisor in common with any number of nodes up to 30 visit all of them.
            let other = (number * 7 + step * 31) % number.max(1);
            if dialled.len() < DIALS
                && !dialled.contains(&other)
                && self.nodes[other].connections < MOST_CONNECTIONS
            {
                self.nodes[other].connections += 1;
                dialled.push(other);
            }
        }
        let listen = format!("/ip4/127.0.0.1/tcp/{}", port.port());
        let peer = keys::node_identity(&key).public().to_peer_id();
        let template = Template {
            genesis: Some("../genesis.toml".into()),
            listen: Some(vec![listen.clone()]),
            peers: dialled.iter().map(|other| self.nodes[*other].address.clone()).collect(),
            api_listen: Some(api),
            gossip_listen: Some(gossip),
            ..Template::default()
        };
        init::write_config(&home, &template)?;
        drop(held);
        let child = Some(spawn(&home)?);
        let connections = dialled.len();
        self.nodes.push(Node {
            home,
            address: format!("{listen}/p2p/{peer}"),
            api,
            gossip,
            connections,
            child,
        });
        Ok(())
    }

    fn links(&self) -> usize {
        self.nodes.iter().map(|node| node.connections).sum::<usize>() / 2
    }

    /// The sum, over all nodes, of the metrics whose line contains `text`.
    async fn sum(&self, text: &str) -> Outcome<u64> {
        let mut sum = 0;
        for node in &self.nodes {
            sum += metric(node.api, text).await?;
        }
        Ok(sum)
    }

    /// Waits until a metric of a node has a value.
    async fn wait(&self, node: &Node, text: &str, value: u64) -> Outcome {
        let start = Instant::now();
        while metric(node.api, text).await.ok() != Some(value) {
            if start.elapsed() > PATIENCE {
                let log = node.home.join("log");
                return Err(Failure::new(format!(
                    "{text} is not {value}; the node's log is {}",
                    log.display()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until no copy is on its way any more.
    async fn wait_quiet(&self) -> Outcome {
        let mut before = 0;
        loop {
            let now = self.sum("outcome=\"copy\"").await?;
            if now == before {
                return Ok(());
            }
            before = now;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn metric(api: SocketAddr, text: &str) -> Outcome<u64> {
    let metrics = Client::new(&format!("http://{api}"), None)?.metrics().await?;
    let lines = metrics.lines().filter(|line| !line.starts_with('#') && line.contains(text));
    Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
}

fn spawn(home: &Path) -> Outcome<Child> {
    let log = home.join("log");
    let file = std::fs::File::create(&log).context(|| format!("cannot write {}", log.display()))?;
    let program = std::env::current_exe().context(|| "this program cannot find itself".to_owned())?;
    let mut command = Command::new(program);
    // Nobody beyond those that it is told, and admission that costs next to nothing.
    command.env("CONCLAVE_TARGET_CONNECTIONS", "0").env("CONCLAVE_ADMISSION_BITS", "8");
    command.arg("--home").arg(home).arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    command.spawn().context(|| "a node cannot be started".to_owned())
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        // What cannot be removed is in the system's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
