//! `conclave up`: a network of validators on this machine, in one command.
//!
//! ```text
//! home/genesis.toml, network.json      the network, and where its nodes are      ([`network`])
//! home/node-1/ …                       a home for each node, with its log        ([`network`])
//! one process for each node            started, watched, stopped                 ([`processes`])
//! a table of the nodes                 redrawn where somebody watches            ([`view`])
//! ```
//! It can be stopped and started again: the network goes on where it was.

pub(crate) mod network;
mod processes;
mod view;

use super::{
    engine_flags::EngineFlags,
    failure::{Context, Failure, Outcome},
    genesis::fault_bound,
    output::{self, Output},
    progress,
    session::Session,
};
use crate::{client::Client, genesis_file};
use clap::Parser;
use conclave_ledger::{genesis::Engine, proof_of_work::Parameters, validators::FaultBound};
use network::{Network, Plan};
use processes::Processes;
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};
use view::{Row, View};

/// Home of a network unless another is named.
pub(crate) const DEFAULT_HOME: &str = "conclave-net";

/// Most nodes that one `up` starts.
const MAX_NODES: u16 = 64;

/// How often the nodes are asked where they stand.
const LOOK: Duration = Duration::from_millis(500);

/// How long the nodes have to become ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Runs a network of validators, or of miners, on this machine
#[derive(Parser)]
#[command(
    after_help = "The network's files are in ./conclave-net, or the home that is named. Stop it with Ctrl-C; started again \
                  it goes on where it was.\n\nExample:\n  conclave up -n 4\n  conclave poll import election.soi      (in another terminal)\n  \
                  conclave --home mined up --engine proof-of-work"
)]
pub(crate) struct Up {
    /// Number of nodes
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_NODES)))]
    nodes: Option<u16>,
    /// Δ, in milliseconds: bounds how long a message takes between two honest nodes
    #[arg(long, value_name = "MILLISECONDS")]
    delta_ms: Option<u64>,
    /// How many may be faulty: third, half, all-but-one, or a number
    #[arg(long, value_parser = fault_bound)]
    faulty: Option<FaultBound>,
    #[command(flatten)]
    engine: EngineFlags,
    /// Start a node again when it has died
    #[arg(long)]
    restart: bool,
    /// Once all nodes are ready, write their API URLs to this file, one on each line
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Up {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let home = session.named_home.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_HOME));
        std::fs::create_dir_all(&home).context(|| format!("cannot make {}", home.display()))?;
        let home = home.canonicalize()?;
        let _lock = lock(&home)?;
        let network = self.network(&home)?;
        let mut stop = Stop::new()?;

        let mut processes = Processes::start(&home, &network, self.restart)?;
        let clients = network
            .nodes
            .iter()
            .map(|node| session.client_of(&node.api))
            .collect::<Outcome<Vec<Client>>>()?;
        let watched = self.until_ready(session, &network, &clients, &mut processes, &mut stop).await;
        let result = match watched {
            Ok(true) => self.watch(session, &home, &network, &clients, &mut processes, &mut stop).await,
            Ok(false) => Ok(()),
            Err(failure) => Err(failure),
        };
        session.output.say("stopping the nodes")?;
        processes.stop().await;
        result
    }

    /// The network of this home: the one that is there, or a new one.
    fn network(&self, home: &Path) -> Outcome<Network> {
        let Some(network) = Network::read(home)? else {
            let plan = Plan {
                nodes: self.nodes.unwrap_or(4),
                delta_ms: self.delta_ms.unwrap_or(500),
                faulty: self.faulty.unwrap_or(FaultBound::Third),
                work: self.engine.parameters(local_work())?,
            };
            return network::create(home, &plan);
        };
        let changed = self.nodes.is_some_and(|nodes| usize::from(nodes) != network.nodes.len());
        if changed || self.delta_ms.is_some() || self.faulty.is_some() || self.engine.is_given() {
            let nodes = network.nodes.len();
            return Err(Failure::new(format!("{} holds a network of {nodes} nodes already", home.display())).advise(
                "Start it as it is, without -n, --delta-ms, --faulty and the engine, or name another folder with --home.",
            ));
        }
        Ok(network)
    }

    /// Waits until every node is ready; false if the user has stopped it before.
    async fn until_ready(
        &self,
        session: &Session,
        network: &Network,
        clients: &[Client],
        processes: &mut Processes,
        stop: &mut Stop,
    ) -> Outcome<bool> {
        let deadline = Instant::now() + READY_WITHIN;
        let bar = progress::bar("nodes ready", clients.len() as u64);
        let mut ticks = interval(LOOK / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.asked() => return Ok(false),
                _ = ticks.tick() => {}
            }
            if let Some(died) = processes.look().into_iter().find(|_| !self.restart) {
                return Err(died.failure());
            }
            let ready = futures::future::join_all(clients.iter().map(Client::ready)).await;
            let count = ready.iter().filter(|answer| answer.is_ok()).count();
            bar.set_position(count as u64);
            if count == clients.len() {
                bar.finish_and_clear();
                break;
            }
            if Instant::now() > deadline {
                let reasons: Vec<String> = network
                    .nodes
                    .iter()
                    .zip(&ready)
                    .filter_map(|(node, answer)| Some(format!("{}: {}", node.name, answer.as_ref().err()?)))
                    .collect();
                let seconds = READY_WITHIN.as_secs();
                return Err(Failure::new(format!(
                    "not all nodes are ready after {seconds} s\n  {}",
                    reasons.join("\n  ")
                ))
                .advise("See the file log in the home of each node."));
            }
        }
        if let Some(path) = &self.ready_file {
            let urls: String = network.nodes.iter().map(|node| format!("{}\n", node.api)).collect();
            std::fs::write(path, urls).context(|| format!("cannot write {}", path.display()))?;
        }
        if session.output == Output::Json {
            output::line(&serde_json::to_string(network)?)?;
        }
        Ok(true)
    }

    /// Shows the nodes until the user stops it.
    async fn watch(
        &self,
        session: &Session,
        home: &Path,
        network: &Network,
        clients: &[Client],
        processes: &mut Processes,
        stop: &mut Stop,
    ) -> Outcome {
        let nodes = network.nodes.len();
        session.output.say(&format!("{nodes} nodes are running, of the network {}", network.network))?;
        session.output.say(&try_next(home, session))?;
        let mut view = View::new(session.output);
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.asked() => break,
                _ = ticks.tick() => {}
            }
            for died in processes.look() {
                view.note(&died.note(self.restart))?;
            }
            let answers = futures::future::join_all(clients.iter().map(|client| async {
                tokio::time::timeout(LOOK, client.status()).await.ok().and_then(Result::ok)
            }));
            let rows = network.nodes.iter().zip(answers.await).enumerate();
            let rows =
                rows.map(|(number, (node, status))| Row::new(node, status, processes.is_running(number)));
            view.show(rows.collect())?;
        }
        view.finish();
        Ok(())
    }
}

/// What a network on one machine mines with: its processor is shared by all nodes, and nobody wants to wait.
fn local_work() -> Parameters {
    Parameters {
        leading_zero_bits: 18,
        block_interval_ms: 1_000,
        half_life_ms: 60_000,
        ..Parameters::default()
    }
}

/// Commands that the reader may want next.
fn try_next(home: &Path, session: &Session) -> String {
    let named = match session.named_home {
        Some(_) => format!(" --home {}", home.display()),
        None if std::env::home_dir().is_some_and(|own| own.join(".conclave").exists()) => {
            format!(" --home {DEFAULT_HOME}")
        }
        None => String::new(),
    };
    // Miners have no validator key to sign a record with.
    let is_mined = genesis_file::read(&home.join("genesis.toml"))
        .is_ok_and(|genesis| genesis.engine == Engine::ProofOfWork);
    let second = match is_mined {
        true => "blocks --tree              what is mined, with its branches",
        false => "tx record 'We met today.'  a record on the log",
    };
    format!(
        "Try next, in another terminal:\n  conclave{named} poll import FILE          an election from a PrefLib file\n  \
         conclave{named} {second}\n  \
         conclave{named} blocks list                what is decided\n  \
         kill -9 a node and start it again: the others go on. Stop with Ctrl-C.\n"
    )
}

/// Holds the home for as long as the file is open.
fn lock(home: &Path) -> Outcome<File> {
    let path = home.join("up.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(format!("the network in {} is running already", home.display())).advise(
                "Use it with `conclave --home …`, stop it first, or name another folder with --home.",
            ))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The signals by which a user stops the network.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Outcome<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
