//! What an oracle is told of a run: who did what, as bytes and numbers, nothing of the program's own types.

use conclave_protocol::time::Time;

/// Something that was seen.
#[derive(Clone, Debug)]
pub enum Observation<'a> {
    /// A process started, for the how-many-th time.
    Started {
        /// Whose.
        host: usize,
        /// 1 for the first.
        boot: u32,
    },
    /// A process died.
    Died {
        /// Whose.
        host: usize,
    },
    /// Something of the scenario took place, in words.
    Happened {
        /// What.
        text: &'a str,
    },
    /// A record of a log is durable.
    Logged {
        /// Whose.
        host: usize,
        /// The record.
        record: &'a [u8],
    },
    /// A frame of the consensus protocol leaves.
    Sent {
        /// From whom.
        from: usize,
        /// To whom.
        to: usize,
        /// The frame.
        frame: &'a [u8],
    },
    /// A host opened a height.
    Opened {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
        /// The validator that leads it.
        leader: usize,
    },
    /// A host decided a height, durably: whoever waits for its transactions is told.
    Decided {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
        /// The record, as it is stored.
        record: &'a [u8],
        /// Its proof, as it is stored.
        proof: Option<&'a [u8]>,
        /// Whether this process opened the height itself; otherwise it came by sync or from the log.
        was_opened: bool,
    },
    /// A proof became known.
    Proved {
        /// To which host.
        host: usize,
        /// The height.
        height: u64,
        /// The proof, as it is stored.
        proof: &'a [u8],
    },
    /// A host undid its decisions from a height on.
    RolledBack {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// A host halted at a height (rule P2).
    Halted {
        /// Which host.
        host: usize,
        /// The height.
        height: u64,
    },
    /// A host gave up for good.
    Failed {
        /// Which host.
        host: usize,
        /// Why.
        reason: &'a str,
    },
    /// A host has finished its handshake with another.
    Met {
        /// Which host.
        host: usize,
        /// The other.
        peer: usize,
        /// The validator key that it takes the other to have proved.
        key: Option<[u8; 32]>,
    },
    /// A host blamed another.
    Blamed {
        /// Who blames.
        by: usize,
        /// Whom.
        whom: usize,
        /// Whether it is kept out for it.
        is_fatal: bool,
        /// What for.
        reason: &'a str,
    },
    /// A person handed a transaction to a host.
    Submitted {
        /// Its id.
        transaction: [u8; 32],
    },
    /// That person was told that it is decided.
    Acknowledged {
        /// By which host.
        host: usize,
        /// The transaction's id.
        transaction: [u8; 32],
        /// At which height.
        height: u64,
    },
    /// How much a host holds.
    Holds {
        /// Which host.
        host: usize,
        /// Transactions in its pool.
        pool_transactions: usize,
        /// Their bytes.
        pool_bytes: usize,
        /// Peers that it knows.
        known_peers: usize,
        /// Headers in its tree, where it mines.
        headers: usize,
    },
}

/// An observation and when it was made, in true time.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// When.
    pub at: Time,
    /// What.
    pub what: Observation<'a>,
}
