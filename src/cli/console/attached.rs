//! A node and its console in one terminal: `conclave run --console`.
//!
//! The node runs on the thread that it has to itself, the console on another; they speak over the node's API, as with
//! any other console. Log lines go to a file in the home. When the console ends, the node leaves its peers and stops;
//! when the node stops, so does the console, and the terminal is as it was.

use super::port;
use crate::{
    cli::{
        failure::{Context, Failure, Outcome},
        init, logging, output,
        session::Session,
    },
    client::Client,
    config::{Layer, NodeConfig, environment, file},
    keys, node,
};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::{
    io::IsTerminal,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// File in the home that log lines go to.
const LOG: &str = "log";

/// How long the node has to begin to serve its API.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How often it is asked whether it does.
const LOOK: Duration = Duration::from_millis(50);

/// Sees to what a node needs that was told nothing: a node key in its home, and a port, for which whoever sits at the
/// terminal is asked. What comes of it is remembered in the configuration of a home that has none.
///
/// # Errors
/// When the configuration cannot be read, or the home not written.
pub(crate) fn prepare(home: &Path, mut flags: Layer) -> Outcome<Layer> {
    let environment = environment::read(|name| std::env::var(name).ok())?;
    let configured = file::read(home)?;
    let below = [&environment, &configured];
    if flags.node_key.is_none() && below.iter().all(|layer| layer.node_key.is_none()) {
        make_node_key(home)?;
    }
    let is_given = flags.network.listen.is_some() || below.iter().any(|layer| layer.network.listen.is_some());
    if is_given || !std::io::stdin().is_terminal() {
        return Ok(flags);
    }
    let port = port::ask(std::io::stdin().lock(), std::io::stdout(), port::is_free)?;
    let listen = port::listen(port);
    let has_api = flags.api.listen.is_some() || below.iter().any(|layer| layer.api.listen.is_some());
    let api_listen = (!has_api).then(|| port::api_listen(port));
    if !home.join(file::FILE_NAME).exists() {
        let listen = Some(listen.iter().map(ToString::to_string).collect());
        init::write_config(home, &file::Template { listen, api_listen, ..file::Template::default() })?;
        output::line(&format!("{} remembers the port", home.join(file::FILE_NAME).display()))?;
    }
    flags.network.listen = Some(listen);
    flags.api.listen = flags.api.listen.or(api_listen);
    Ok(flags)
}

/// Makes a node key where there is none.
fn make_node_key(home: &Path) -> Outcome {
    let path = home.join("keys/node.key");
    if path.exists() {
        return Ok(());
    }
    let key = keys::generate()?;
    keys::create(&path, &key, None)?;
    let peer_id = keys::node_identity(&key).public().to_peer_id();
    output::line(&format!("made {}: this node's peer id is {peer_id}", path.display()))
}

/// Runs a node with a console.
///
/// # Errors
/// When the node does not start or had to stop, or a command of a script failed.
pub(crate) async fn run_with_node(mut config: NodeConfig, session: &Session) -> Outcome {
    let log = config.home.join(LOG);
    logging::start_in_file(&config.log, &log)?;
    if std::io::stdin().is_terminal() {
        output::line(&format!("log lines go to {}", log.display()))?;
        config.stops_on_interrupt = false;
    }
    config.api.listen = reachable(config.api.listen)?;
    let token = config.api.token.as_ref().map(|token| token.as_str().to_owned());
    let client = Client::new(&format!("http://{}", client_address(config.api.listen)), token.as_deref())?;
    let terminal = Terminal::remember();
    let (ended, mut console) = oneshot::channel();
    let attached = session.attached_to(client.clone());
    thread::spawn(move || {
        // Without a receiver the node has stopped before.
        let _ = ended.send(converse(&attached, &client));
        stop();
    });
    let ran =
        node::run(config).await.context(|| format!("the node in {} has stopped", session.home.display()));
    match console.try_recv() {
        Ok(outcome) => ran.and(outcome),
        Err(_) => {
            terminal.restore();
            ran
        }
    }
}

/// The console, from the moment at which the node can be asked something.
fn converse(session: &Session, client: &Client) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            started = tokio::time::timeout(START_WITHIN, serving(client)) => {
                let seconds = START_WITHIN.as_secs();
                let late = || Failure::new(format!("the node does not serve its API after {seconds} s"));
                started.map_err(|_| late().advise(format!("See the file {LOG} in its home.")))?;
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        super::run(session, client).await
    });
    // A thread that still searches a stamp, say, must not hold up the end.
    runtime.shutdown_background();
    outcome
}

/// Waits until the node answers.
async fn serving(client: &Client) {
    while client.alive().await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks this process to stop, as a supervisor would.
fn stop() {
    // This process exists, so it can be signalled.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
}

/// The API's address, with a port that is free instead of 0, which only the node would know.
fn reachable(mut address: SocketAddr) -> Outcome<SocketAddr> {
    if address.port() == 0 {
        let holder =
            TcpListener::bind(address).context(|| format!("cannot listen on {address} for the API"))?;
        address = holder.local_addr()?;
    }
    Ok(address)
}

/// Where a program on this machine reaches what listens on `address`.
fn client_address(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let is_v4 = address.is_ipv4();
        address.set_ip(if is_v4 {
            Ipv4Addr::LOCALHOST.into()
        } else {
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
        });
    }
    address
}

/// The terminal as it was, if there is one: a console that is cut short leaves it as line editing needs it.
struct Terminal(Option<Termios>);

impl Terminal {
    fn remember() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }

    /// Makes it that again: its modes, and no marks around what is pasted (xterm's mode 2004). The line that was being
    /// edited is left.
    fn restore(self) {
        if let Some(attributes) = self.0 {
            // It may be gone.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &attributes);
            let _ = output::line("\x1b[?2004l");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_reached_from_this_machine() {
        for (listen, reached) in [
            ("127.0.0.1:7780", "127.0.0.1:7780"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.7:1", "192.0.2.7:1"),
        ] {
            assert_eq!(client_address(listen.parse().unwrap()).to_string(), reached);
        }
        assert_ne!(reachable("127.0.0.1:0".parse().unwrap()).unwrap().port(), 0);
    }

    #[test]
    fn a_home_without_a_node_key_gets_one_and_keeps_it() {
        let home = tempfile::tempdir().unwrap();
        let flags = || Layer { node_key: None, ..Layer::default() };
        prepare(home.path(), flags()).unwrap();
        let path = home.path().join("keys/node.key");
        let first = std::fs::read(&path).unwrap();
        prepare(home.path(), flags()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }
}
