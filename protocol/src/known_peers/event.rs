//! What the machine is told, and what it tells.

use super::source::Source;
use crate::{network_group::NetworkGroup, peer::Peer, peer_record::PeerRecord, time::Time};
use conclave_ledger::keys::PublicKey;
use std::{collections::BTreeSet, time::Duration};

/// Configuration of the machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub peer: Peer,
    /// Connections that an observer keeps up by dialling (default 8), as far as
    /// [`Places`](super::Places) allow. Validators keep none besides each other.
    pub target_connections: usize,
    /// Observers that stay connected because they dialled this node (default 64), likewise.
    pub max_observers: usize,
    /// Most connections at a time, whoever dialled (default 512). The swarm refuses what is more.
    pub max_connections: usize,
    /// Time between two refreshments (default 10 min).
    pub refresh_interval: Duration,
    /// Failures in a row after which a peer is dropped (default 10).
    pub max_attempts: u32,
    /// Most peers in the table (default 1024).
    pub max_known_peers: usize,
    /// Seed of the choices; never twice the same.
    pub seed: [u8; 32],
}

/// What the node tells the machine.
#[derive(Clone, Debug)]
pub enum Command {
    /// A finder found a peer.
    Found {
        /// Whom.
        peer: Peer,
        /// Multiaddrs.
        addresses: Vec<String>,
        /// Which finder.
        source: Source,
        /// Which tracker, if it was one.
        by: Option<Peer>,
    },
    /// A peer told of another.
    Told {
        /// Who told.
        by: Peer,
        /// What the other signed.
        record: PeerRecord,
        /// The validator that it is, as it is said.
        validator: Option<PublicKey>,
    },
    /// A peer finished its handshake.
    Met {
        /// Whom.
        peer: Peer,
        /// The validator key that it proved.
        validator: Option<PublicKey>,
        /// Whether this node dialled it.
        dialled: bool,
        /// Where the connection goes to or comes from.
        group: NetworkGroup,
        /// Where it can be reached, in its own signed words.
        record: Option<PeerRecord>,
    },
    /// Both sides are content: no work is due any more, in either direction.
    Admitted {
        /// Who.
        peer: Peer,
    },
    /// An admitted peer asks this node for others, which takes work to answer.
    Asks {
        /// Who.
        peer: Peer,
    },
    /// It is answered.
    Answered {
        /// Who.
        peer: Peer,
    },
    /// A dial of [`Event::Dial`] failed, or the connection that came of it was closed before the handshake was done.
    DialFailed {
        /// Whom.
        peer: Peer,
    },
    /// A handshake or an admission was refused.
    Refused {
        /// The peer.
        peer: Peer,
        /// Whether only for want of room, which is nobody's fault.
        for_want_of_room: bool,
    },
    /// A peer lied or sent what no honest node sends.
    KeptOut {
        /// Whom.
        peer: Peer,
        /// Until when.
        until: Time,
    },
    /// Who decides from now on.
    Validators {
        /// The validators besides this node.
        others: BTreeSet<PublicKey>,
        /// Whether this node is one: then it dials validators only.
        includes_this: bool,
    },
    /// This node leaves: nobody is dialled any more.
    Leave,
}

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Another takes its place, or it is of no use.
    NotNeeded,
    /// There are as many observers as there may be.
    Full,
}

/// What the machine tells the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Dial a peer, answered by [`Command::Met`], [`Command::DialFailed`] or [`Command::Refused`].
    Dial {
        /// Whom.
        peer: Peer,
        /// Its multiaddrs, without `/p2p/…`.
        addresses: Vec<String>,
    },
    /// End a connection.
    Release {
        /// To whom.
        peer: Peer,
        /// Why.
        why: Release,
    },
    /// Ask the finders for more, and this peer.
    WantPeers {
        /// A connected peer, if there is one.
        ask: Option<Peer>,
    },
    /// The table has changed: write it down.
    Save,
}
