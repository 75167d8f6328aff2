//! `conclave genesis`: the file that defines a network.

use super::{
    engine_flags::EngineFlags,
    failure::{Failure, Outcome},
    gather::GatherFlags,
    key::PassphraseFlag,
    logging,
    output::{date, now_ms},
    session::Session,
};
use crate::{
    config::{Layer, LogConfig, NetworkLayer, NodeConfig},
    genesis_file,
};
use clap::{Parser, Subcommand};
use conclave_ledger::{
    genesis::{Engine, FORMAT, Genesis as File, Limits},
    keys::PublicKey,
    proof_of_work::Parameters,
    validators::{FaultBound, Validator},
};
use libp2p::Multiaddr;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Makes and checks the file that defines a network
#[derive(Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  conclave genesis new --name lunch --validator anna=<key> --validator ben=<key> -o genesis.toml\n  conclave --home ./anna genesis --gather 4 --name lunch --as anna --tracker /ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…"
)]
pub(crate) struct Genesis {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    gather: GatherFlags,
    /// With --gather: multiaddr of a tracker; may be given several times
    #[arg(long = "tracker", value_name = "MULTIADDR")]
    trackers: Vec<Multiaddr>,
    /// With --gather: multiaddr to listen on; may be given several times [default: TCP and QUIC on port 7700]
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,
    /// With --gather: the file (default: genesis.toml in the home)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseFlag,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a genesis file
    #[command(
        after_help = "Examples:\n  conclave genesis new --name lunch --validator anna=$(conclave key show anna.key) -o genesis.toml\n  \
                      conclave genesis new --name open --engine proof-of-work --leading-zero-bits 24 --block-interval-ms 30000"
    )]
    New {
        /// Name of the network
        #[arg(long)]
        name: String,
        /// A validator: its name and public key; give it once for each, first leader first
        #[arg(long = "validator", value_name = "NAME=KEY", value_parser = validator)]
        validators: Vec<Validator>,
        /// How many may be faulty: third, half, all-but-one, or a number
        #[arg(long, default_value = "third", value_parser = fault_bound)]
        faulty: FaultBound,
        /// Δ, in milliseconds: bounds how long a message takes between two honest nodes
        #[arg(long, default_value_t = 500, value_name = "MILLISECONDS")]
        delta_ms: u64,
        /// Let heights finish only at the end of their last window, as in the textbook
        #[arg(long)]
        textbook: bool,
        #[command(flatten)]
        engine: Box<EngineFlags>,
        /// The file (default: genesis.toml in the home)
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Checks a genesis file
    #[command(after_help = "Example:\n  conclave genesis check genesis.toml")]
    Check {
        /// The file (default: genesis.toml in the home)
        file: Option<PathBuf>,
    },
    /// Shows what a genesis file says
    #[command(after_help = "Example:\n  conclave genesis show genesis.toml")]
    Show {
        /// The file (default: genesis.toml in the home)
        file: Option<PathBuf>,
    },
    /// Prints the network id of a genesis file
    #[command(after_help = "Example:\n  conclave genesis id genesis.toml")]
    Id {
        /// The file (default: genesis.toml in the home)
        file: Option<PathBuf>,
    },
}

/// A genesis file as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    network: String,
    quorum: usize,
    faulty: usize,
    genesis: &'a File,
}

impl Genesis {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let file = |file: Option<PathBuf>| file.unwrap_or_else(|| session.home.join("genesis.toml"));
        let Some(command) = self.command else {
            return match self.gather.gather {
                Some(parties) => self.gather(parties, session).await,
                None => Err(Failure::new("nothing to do").advise("See conclave genesis --help.")),
            };
        };
        match command {
            Command::New { name, validators, faulty, delta_ms, textbook, engine, out } => {
                let genesis = match engine.parameters(Parameters::default())? {
                    Some(parameters) => {
                        File { validators, faulty, fast: !textbook, ..open(name, delta_ms, parameters) }
                    }
                    None => new(name, validators, faulty, delta_ms, !textbook),
                };
                let path = file(out);
                write(&path, &genesis)?;
                show(session, &genesis, |id| format!("made {}\nnetwork id {id}", path.display()))
            }
            Command::Check { file: path } => {
                let path = file(path);
                let genesis = genesis_file::read(&path)?;
                show(session, &genesis, |id| format!("{} is in order\nnetwork id {id}", path.display()))
            }
            Command::Show { file: path } => {
                let genesis = genesis_file::read(&file(path))?;
                show(session, &genesis, |_| describe(&genesis))
            }
            Command::Id { file: path } => {
                let genesis = genesis_file::read(&file(path))?;
                show(session, &genesis, |id| id)
            }
        }
    }
}

impl Genesis {
    /// Makes the file together with others.
    async fn gather(&self, parties: u16, session: &Session) -> Outcome {
        let path = self.out.clone().unwrap_or_else(|| session.home.join("genesis.toml"));
        refuse_to_overwrite(&path)?;
        let filter = logging::filter_of(session.verbose, session.quiet).unwrap_or("info").to_owned();
        logging::start(&LogConfig { filter, format: session.log_format.unwrap_or_default() })?;
        let some = |list: &[Multiaddr]| (!list.is_empty()).then(|| list.to_vec());
        let network = NetworkLayer {
            listen: some(&self.listen),
            trackers: some(&self.trackers),
            ..NetworkLayer::default()
        };
        let mut config = NodeConfig::load(&session.home, Layer { network, ..Layer::default() })?;
        config.passphrases = self.passphrase.source();
        let gathered = self.gather.run(parties, &config).await?;
        write(&path, &gathered.genesis)?;
        show(session, &gathered.genesis, |id| format!("made {}\nnetwork id {id}", path.display()))
    }
}

/// A genesis file is never overwritten; this says so before anybody has waited for it.
pub(crate) fn refuse_to_overwrite(path: &Path) -> Outcome {
    if path.exists() {
        return Err(genesis_file::WriteError::Exists(path.into()).into());
    }
    Ok(())
}

/// A genesis with the defaults for all that is not said.
pub(crate) fn new(
    name: String,
    validators: Vec<Validator>,
    faulty: FaultBound,
    delta_ms: u64,
    fast: bool,
) -> File {
    File {
        format: FORMAT,
        name,
        engine: Engine::DolevStrong,
        fast,
        faulty,
        delta_ms,
        created_ms: now_ms(),
        stamp_bits: 16,
        proof_of_work: None,
        limits: Limits::default(),
        validators,
        senders: Vec::new(),
        records: Vec::new(),
    }
}

/// The genesis of a network that anyone may mine in.
pub(crate) fn open(name: String, delta_ms: u64, parameters: Parameters) -> File {
    File {
        engine: Engine::ProofOfWork,
        proof_of_work: Some(parameters),
        ..new(name, Vec::new(), FaultBound::Third, delta_ms, true)
    }
}

/// Checks a genesis and writes its file, making the folder if need be.
pub(crate) fn write(path: &Path, genesis: &File) -> Outcome {
    genesis.check().map_err(|error| Failure::new(format!("this network cannot be: {error}")))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(genesis_file::write(path, genesis)?)
}

fn show(session: &Session, genesis: &File, text: impl FnOnce(String) -> String) -> Outcome {
    let set = genesis.validator_set();
    let network = genesis.network_id().to_string();
    let shown = Shown { network: network.clone(), quorum: set.quorum(), faulty: set.faulty(), genesis };
    session.output.show(&shown, |_| text(network))
}

fn describe(genesis: &File) -> String {
    if let Some(parameters) = &genesis.proof_of_work {
        return format!(
            "network     {}\nid          {}\ncreated     {}\nengine      proof of work: {} zero bits at the start, a block every {} ms, \
             halved or doubled within {} ms\nempty       {}\nfinal       under {} blocks\n",
            genesis.name,
            genesis.network_id(),
            date(genesis.created_ms),
            parameters.leading_zero_bits,
            parameters.block_interval_ms,
            parameters.half_life_ms,
            if parameters.mine_empty { "blocks are mined too" } else { "blocks are not mined" },
            parameters.depth,
        );
    }
    let set = genesis.validator_set();
    let mut text = format!(
        "network     {}\nid          {}\ncreated     {}\nΔ           {} ms\nvalidators  {}, of which {} may be faulty; {} decide\n",
        genesis.name,
        genesis.network_id(),
        date(genesis.created_ms),
        genesis.delta_ms,
        set.len(),
        set.faulty(),
        set.quorum(),
    );
    for validator in &genesis.validators {
        text.push_str(&format!("  {}  {}\n", validator.key, validator.name));
    }
    text
}

fn validator(text: &str) -> Result<Validator, String> {
    let (name, key) =
        text.split_once('=').ok_or("expected NAME=KEY, with the key that `conclave key show` prints")?;
    let key: PublicKey = key.parse().map_err(|error| format!("the key of {name}: {error}"))?;
    Ok(Validator { name: name.into(), key })
}

/// `third`, `half`, `all-but-one`, or a number.
pub(crate) fn fault_bound(text: &str) -> Result<FaultBound, String> {
    match text {
        "third" => Ok(FaultBound::Third),
        "half" => Ok(FaultBound::Half),
        "all-but-one" => Ok(FaultBound::AllButOne),
        number => number
            .parse()
            .map(FaultBound::Exactly)
            .map_err(|_| "expected third, half, all-but-one or a number of validators".into()),
    }
}
