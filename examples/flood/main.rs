//! Floods the nodes of a network of one's own, to see that they bear it: what `scripts/docker-demo flood` puts into a
//! container. It takes no part in anything, and what it sends is refused.
//!
//! ```text
//! knocks          connections, as many as come up, each held for a moment                            (`knocks.rs`)
//! unstamped       an observer that did its work, then batches of transactions by unknown senders
//!                 without a stamp                                                                     (`member.rs`)
//! forged          another that did its work, then transactions with false signatures
//! announcements   another that did its work, then announcements as fast as its connection takes them
//! ```
//! Each of the last three begins when all are inside (`gathering.rs`), and comes back as the same identity whenever it is thrown out, so what it is told in the end is
//! whether it is kept out. It prints what it did, in JSON.

#![allow(clippy::unwrap_used, missing_docs)]

mod gathering;
mod knocks;
mod member;
#[path = "../../tests/hostile/peer.rs"]
#[allow(dead_code)] // Tests use more of it.
mod peer;

use clap::Parser;
use gathering::Gathering;
use member::{Flood, Member};
use serde::Serialize;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// Floods the nodes of a network of one's own
#[derive(Parser)]
#[command(
    after_help = "Example:\n  flood --genesis genesis.toml --seconds 20 validator-1:7700 validator-2:7700"
)]
struct Arguments {
    /// The network's genesis file
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// How long, once all are inside
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    seconds: u64,
    /// Connections that are held at a time, to each node
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    knocks: usize,
    /// The nodes: where they take connections over TCP
    #[arg(required = true, value_name = "HOST:PORT")]
    nodes: Vec<String>,
}

/// Identities that flood one node.
const MEMBERS: usize = 3;

/// What was done to one node.
#[derive(Serialize)]
struct Attack {
    node: String,
    knocks: knocks::Knocks,
    unstamped: Member,
    forged: Member,
    announcements: Member,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let network = conclave::genesis_file::read(&arguments.genesis).unwrap().network_id();
    let members = arguments.nodes.len() * MEMBERS;
    let gathering = Arc::new(Gathering::new(members, Duration::from_secs(arguments.seconds)));
    let mut attacks = tokio::task::JoinSet::new();
    for node in arguments.nodes {
        let (at_once, gathering) = (arguments.knocks, gathering.clone());
        attacks.spawn(async move {
            let address = resolve(&node).await;
            // Each in a task of its own: what one of them computes must not hold up what the others send.
            let flood = |flood| tokio::spawn(member::flood(network, address, flood, gathering.clone()));
            let floods = [Flood::Unstamped, Flood::Forged, Flood::Announcements].map(flood);
            // All come from one address: the identities would find no room any more.
            while gathering.end().is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let knocks = knocks::flood(address, at_once, &gathering).await;
            let [unstamped, forged, announcements] = floods;
            let (unstamped, forged) = (unstamped.await.unwrap(), forged.await.unwrap());
            Attack { node, knocks, unstamped, forged, announcements: announcements.await.unwrap() }
        });
    }
    let mut done: Vec<Attack> = attacks.join_all().await;
    done.sort_by(|one, other| one.node.cmp(&other.node));
    println!("{}", serde_json::to_string_pretty(&done).unwrap());
}

async fn resolve(node: &str) -> SocketAddr {
    let found = tokio::net::lookup_host(node).await.unwrap_or_else(|error| panic!("{node}: {error}")).next();
    found.unwrap_or_else(|| panic!("{node} has no address"))
}
