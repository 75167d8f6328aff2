//! What every command is told: the home, the nodes to speak to, and how to print.

use super::{
    failure::{Context, Failure, Outcome},
    output::Output,
    up::network::Network,
};
use crate::{
    client::Client,
    config::{DEFAULT_API_LISTEN, LogFormat, file as config_file, read_token},
    keys::{self, PassphraseSource},
};
use clap::Args;
use conclave_ledger::keys::SecretKey;
use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long one of several nodes has to take a connection before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// Where the help of a command shows what every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The node's folder [default: ~/.conclave, or ./conclave-net where there is only that]
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "CONCLAVE_HOME", value_name = "DIR", hide_env_values = true)]
    home: Option<PathBuf>,
    /// The node to speak to [default: that of the home, else http://127.0.0.1:7780]
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "CONCLAVE_API", value_name = "URL", hide_env_values = true)]
    api: Option<String>,
    /// What to print: text for people or JSON for programs
    #[arg(long, global = true, help_heading = EVERYWHERE, value_enum, default_value_t, value_name = "FORM")]
    output: Output,
    /// Log more; twice for even more
    #[arg(short, long, global = true, help_heading = EVERYWHERE, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log less; twice for even less
    #[arg(short, long, global = true, help_heading = EVERYWHERE, action = clap::ArgAction::Count)]
    quiet: u8,
    /// Form of log lines
    #[arg(long, global = true, help_heading = EVERYWHERE, value_enum, value_name = "FORM")]
    log_format: Option<LogFormat>,
}

/// What every command is told.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The home.
    pub(crate) home: PathBuf,
    /// The home if it was named, by flag or environment.
    pub(crate) named_home: Option<PathBuf>,
    /// How to print.
    pub(crate) output: Output,
    /// How often `-v` was given.
    pub(crate) verbose: u8,
    /// How often `-q` was given.
    pub(crate) quiet: u8,
    /// The form of log lines, if it was given.
    pub(crate) log_format: Option<LogFormat>,
    api: Option<String>,
    /// The node that all commands speak to, if there is one already.
    client: Option<Client>,
}

/// Which key signs.
#[derive(Args, Clone, Debug)]
pub(crate) struct Signer {
    /// Key file that signs [default: the home's validator key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: super::key::PassphraseFlag,
}

impl Session {
    /// What the flags say.
    pub(crate) fn new(global: Global) -> Self {
        let home = global.home.clone().unwrap_or_else(default_home);
        Self {
            home,
            named_home: global.home,
            output: global.output,
            verbose: global.verbose,
            quiet: global.quiet,
            log_format: global.log_format,
            api: global.api,
            client: None,
        }
    }

    /// The same, with all commands speaking to the node of `client`.
    pub(crate) fn attached_to(&self, client: Client) -> Self {
        Self { api: Some(client.url().to_owned()), client: Some(client), ..self.clone() }
    }

    /// The node to speak to.
    ///
    /// # Errors
    /// When its URL or token cannot be used.
    pub(crate) fn client(&self) -> Outcome<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let urls = self.urls(&[])?;
        // Of the nodes of an `up` home some may be down: any that takes connections will do.
        let url = urls.iter().filter(|_| urls.len() > 1).find(|url| is_listening(url)).unwrap_or(&urls[0]);
        self.client_of(url)
    }

    /// The node at a URL.
    ///
    /// # Errors
    /// When the URL or the token cannot be used.
    pub(crate) fn client_of(&self, url: &str) -> Outcome<Client> {
        let token = self.token()?;
        Client::new(url, token.as_deref()).context(|| format!("cannot use the node {url:?}"))
    }

    /// The URLs of the nodes to speak to, at least one: those named, else --api, else all of an `up` home, else that
    /// of the home's configuration.
    ///
    /// # Errors
    /// When a file of the home cannot be read.
    pub(crate) fn urls(&self, named: &[String]) -> Outcome<Vec<String>> {
        if !named.is_empty() {
            return Ok(named.to_vec());
        }
        if let Some(url) = &self.api {
            return Ok(vec![url.clone()]);
        }
        if let Some(network) = Network::read(&self.home)? {
            return Ok(network.nodes.iter().map(|node| node.api.clone()).collect());
        }
        let listen = config_file::read(&self.home)?.api.listen.unwrap_or(DEFAULT_API_LISTEN);
        Ok(vec![format!("http://{listen}")])
    }

    /// The address of the node's gossip API: the one named, else that of the home.
    ///
    /// # Errors
    /// When the home's node has none.
    pub(crate) fn gossip_address(&self, named: Option<SocketAddr>) -> Outcome<SocketAddr> {
        if let Some(address) = named {
            return Ok(address);
        }
        let of_network = Network::read(&self.home)?.and_then(|network| network.nodes.first()?.gossip);
        let address = match of_network {
            Some(address) => Some(address),
            None => config_file::read(&self.home)?.gossip.listen,
        };
        address.ok_or_else(|| {
            Failure::new(format!("the node of {} has no gossip API", self.home.display())).advise(
                "Give the node one (gossip.listen, or run --gossip-listen 127.0.0.1:7001), or name another with \
                 --address.",
            )
        })
    }

    /// The secret of the node's API: from the environment, else from the home's configuration.
    fn token(&self) -> Outcome<Option<String>> {
        if let Ok(token) = std::env::var("CONCLAVE_API_TOKEN") {
            return Ok(Some(token));
        }
        match config_file::read(&self.home)?.api.token_file {
            Some(path) => Ok(Some(read_token(&path)?.as_str().to_owned())),
            None => Ok(None),
        }
    }

    /// The genesis file: the one named, else that of the home.
    pub(crate) fn genesis_path(&self, named: Option<PathBuf>) -> PathBuf {
        named.unwrap_or_else(|| self.home.join("genesis.toml"))
    }

    /// The key that signs.
    ///
    /// # Errors
    /// When it cannot be read or unlocked.
    pub(crate) fn signing_key(&self, signer: &Signer) -> Outcome<SecretKey> {
        if let Some(path) = &signer.key {
            return Ok(keys::load(path, &signer.passphrase.source())?);
        }
        let homes = match Network::read(&self.home)? {
            Some(network) => network.nodes.first().map(|node| self.home.join(&node.name)),
            None => Some(self.home.clone()),
        };
        let path = homes.unwrap_or_default().join("keys/validator.key");
        if !path.exists() {
            return Err(Failure::new(format!(
                "there is no key to sign with: {} does not exist",
                path.display()
            ))
            .advise("Name a key file with --key, or make one with `conclave key new FILE`."));
        }
        Ok(keys::load(&path, &signer.passphrase.source())?)
    }

    /// The key in a file, or a fresh one that is written there.
    ///
    /// # Errors
    /// When it cannot be read, unlocked or written.
    pub(crate) fn key_or_fresh(&self, path: &Path, passphrases: &PassphraseSource) -> Outcome<SecretKey> {
        if path.exists() {
            return Ok(keys::load(path, passphrases)?);
        }
        let key = keys::generate()?;
        keys::create(path, &key, None)?;
        Ok(key)
    }
}

/// Whether somebody takes connections at `http://host:port`.
fn is_listening(url: &str) -> bool {
    let host = url.strip_prefix("http://").map(|host| host.trim_end_matches('/'));
    let addresses = host.and_then(|host| host.to_socket_addrs().ok());
    let listens = |address| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok();
    addresses.is_some_and(|mut addresses| addresses.any(listens))
}

/// `~/.conclave`, unless there is none but an `up` network in this folder.
fn default_home() -> PathBuf {
    let own = std::env::home_dir().unwrap_or_else(|| PathBuf::from(".")).join(".conclave");
    let local = PathBuf::from(super::up::DEFAULT_HOME);
    if !own.exists() && Network::is_in(&local) { local } else { own }
}
