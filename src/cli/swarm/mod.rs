//! `conclave swarm`: an ordinary peer in other people's libp2p swarm.
//!
//! - `event.rs`: what is printed. `publishing.rs`: messages that wait for somebody who wants them.
//! - `member.rs`: the loop.

mod event;
mod member;
mod publishing;

use super::{
    failure::{Failure, Outcome},
    logging,
    multiaddr::multiaddr,
    probe::seconds,
    session::Session,
};
use clap::Parser;
use libp2p::{Multiaddr, StreamProtocol};
use std::time::Duration;

/// Joins another libp2p swarm as an ordinary peer: shows its peers and messages, publishes
///
/// Runs until Ctrl-C, or until --for or --messages says that it is enough. With --output json each line is one JSON
/// object whose "event" says what it is.
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  conclave swarm --bootstrap /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW… --topic chat\n  \
                  echo hello | conclave swarm --bootstrap /ip4/192.0.2.7/tcp/4001 --topic chat --stdin --for 10\n  \
                  conclave swarm --kademlia /ipfs/kad/1.0.0 --bootstrap \
                  /dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN --for 30"
)]
pub(crate) struct JoinSwarm {
    /// Multiaddr of a peer to begin with; may be given several times; /dnsaddr names stand for all their peers
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddr)]
    bootstrap: Vec<Multiaddr>,
    /// Multiaddr to listen on; may be given several times [default: none]. A peer that listens serves Kademlia, too
    #[arg(long, value_name = "MULTIADDR", value_parser = multiaddr)]
    listen: Vec<Multiaddr>,
    /// Takes part in the Kademlia table of this protocol, such as /ipfs/kad/1.0.0, and finds peers by it
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    kademlia: Option<StreamProtocol>,
    /// Gossipsub topic whose messages are shown; may be given several times
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Message to publish on every topic as soon as somebody there takes it; may be given several times
    #[arg(long, value_name = "TEXT", requires = "topics")]
    publish: Vec<String>,
    /// Publishes each line of standard input
    #[arg(long, requires = "topics")]
    stdin: bool,
    /// Publishes without author and signature, for swarms that want it so
    #[arg(long)]
    anonymous: bool,
    /// Stops after this time, in seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    duration: Option<f64>,
    /// Stops after this many messages of others
    #[arg(long, value_name = "N", requires = "topics", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
}

fn protocol(text: &str) -> Result<StreamProtocol, String> {
    StreamProtocol::try_from_owned(text.to_owned()).map_err(|_| {
        format!("{text:?} is no name of a protocol: it begins with a slash, like /ipfs/kad/1.0.0")
    })
}

impl JoinSwarm {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        if self.bootstrap.is_empty() && self.listen.is_empty() {
            return Err(Failure::new(
                "there is nobody to meet: neither an address to dial nor one to listen on",
            )
            .advise("Give --bootstrap with the multiaddr of a peer, or --listen to be found by others."));
        }
        logging::start(&logging::of_command(session))?;
        let duration = self.duration.map(Duration::from_secs_f64);
        member::Member::join(self, session.output)?.run(duration).await
    }
}
