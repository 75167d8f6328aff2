//! What is simulated: a network, what goes wrong in it, and what must hold all the same.

use crate::{adversaries::Misbehaviour, latency::Latency};
use conclave_protocol::{rules::Rules, time::Time};
use std::{collections::BTreeSet, time::Duration};

/// Everything that a run depends on. The same scenario gives the same run, to the byte.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Seed of everything that is drawn during the run.
    pub seed: u64,
    /// `n`.
    pub validators: usize,
    /// `f` of the genesis file.
    pub faulty: u16,
    /// Where the hosts are miners instead: how they mine. The other engine decides otherwise.
    pub miners: Option<Miners>,
    /// Whether heights may finish by certificate; otherwise textbook Dolev–Strong.
    pub fast: bool,
    /// `Δ` of the genesis file.
    pub delta: Duration,
    /// How long packets take.
    pub latency: Latency,
    /// Packets of a thousand that are lost and sent again by the transport, which holds back what follows them.
    pub loss: u16,
    /// How long the transport waits before it sends a lost packet again.
    pub retransmission: Duration,
    /// Frames of a thousand that arrive twice.
    pub duplication: u16,
    /// How long a sync of a log takes at least and at most.
    pub disk: (Duration, Duration),
    /// Largest difference of a host's calendar clock from true time, either way.
    pub clock_offset: Duration,
    /// Largest error of a host's monotonic clock, in millionths, either way.
    pub clock_drift: u32,
    /// Validators, from 0, that run twice with one key: two correct nodes that know different others.
    pub twins: usize,
    /// Validators that misbehave, by number.
    pub adversaries: Vec<(usize, Misbehaviour)>,
    /// When a transaction is submitted, and at which validator's node.
    pub load: Vec<(Time, usize)>,
    /// Bytes of data in each transaction.
    pub payload: usize,
    /// What happens to hosts and the network, ascending by time.
    pub faults: Vec<(Time, Fault)>,
    /// When the run ends, whatever is left to do.
    pub end: Time,
    /// What must hold.
    pub promises: Promises,
    /// The rules that the nodes keep: all of them.
    pub rules: Rules,
}

/// Hosts that mine, each with the same hash rate, which is so much that the easiest target there is gives the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miners {
    /// Time between two blocks of all of them together, on average, while there is something to mine for.
    pub interval: Duration,
    /// Blocks over the one that holds something before it is final.
    pub depth: u64,
}

/// Something that happens to hosts or the network. Hosts are numbered like validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process dies.
    Crash {
        /// Whose.
        host: usize,
        /// Whether the machine goes down with it, so that what its disk has not synced is lost.
        loses_unsynced: bool,
    },
    /// A process that died is started again.
    Restart {
        /// Whose.
        host: usize,
    },
    /// A process is stopped for a while, as by SIGSTOP or a machine that is suspended.
    Pause {
        /// Whose.
        host: usize,
        /// For how long.
        lasts: Duration,
    },
    /// The network is cut in two.
    Cut {
        /// The hosts on one side.
        side: BTreeSet<usize>,
        /// After this time the connections across the cut are given up; what was under way on them is lost. Without it
        /// they outlast the cut, and what was sent meanwhile arrives after it.
        breaks_after: Option<Duration>,
    },
    /// The network is whole again.
    Heal,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Crash { host, loses_unsynced: false } => write!(f, "the process of v{host} is killed"),
            Self::Crash { host, loses_unsynced: true } => {
                write!(f, "the machine of v{host} goes down with what its disk has not synced")
            }
            Self::Restart { host } => write!(f, "v{host} is started if it is down"),
            Self::Pause { host, lasts } => write!(f, "v{host} is stopped for {lasts:?}"),
            Self::Cut { side, breaks_after } => {
                write!(f, "the network is cut: {side:?} are on one side")?;
                breaks_after.map_or(Ok(()), |after| write!(f, ", connections are given up after {after:?}"))
            }
            Self::Heal => f.write_str("the network is whole again"),
        }
    }
}

/// What the protocol promises under the assumptions that a scenario keeps (see `docs/consensus.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promises {
    /// No two honest nodes decide differently, and no decision is undone.
    pub agreement: bool,
    /// Every height that an honest node opens is decided within the bound of the protocol.
    pub bounded_heights: bool,
    /// At the end every transaction is decided everywhere.
    pub progress: bool,
}

impl Promises {
    /// At most `f` faulty, and the network keeps `Δ`.
    pub const SYNCHRONOUS: Self = Self { agreement: true, bounded_heights: true, progress: true };

    /// `f < n/3`, crashes and clean cuts, healed in the end.
    pub const PARTITIONED: Self = Self { agreement: true, bounded_heights: false, progress: true };

    /// Miners, of whom more than half are honest: in the end there is one chain, with everything.
    pub const MINED: Self = Self { agreement: false, bounded_heights: false, progress: true };

    /// Nothing but what holds always: certificates are unique, nobody honest signs twice or is accused.
    pub const NONE: Self = Self { agreement: false, bounded_heights: false, progress: false };
}

impl Scenario {
    /// A network without faults: one transaction, constant latency.
    pub fn quiet(seed: u64, validators: usize, faulty: u16) -> Self {
        let delta = Duration::from_millis(500);
        Self {
            seed,
            validators,
            faulty,
            miners: None,
            fast: true,
            delta,
            latency: Latency::Constant(Duration::from_millis(5)),
            loss: 0,
            retransmission: Duration::from_millis(50),
            duplication: 0,
            disk: (Duration::from_micros(200), Duration::from_micros(200)),
            clock_offset: Duration::ZERO,
            clock_drift: 0,
            twins: 0,
            adversaries: Vec::new(),
            load: vec![(Time::after_start(Duration::from_secs(1)), 0)],
            payload: 32,
            faults: Vec::new(),
            end: Time::after_start(Duration::from_secs(120)),
            promises: Promises::SYNCHRONOUS,
            rules: Rules::default(),
        }
    }

    /// The longest that a height may take once it is open: `(f + 3)·2Δ`, or `(f + 1)·2Δ` in plain mode.
    pub fn longest_height(&self) -> Duration {
        let windows = u32::from(self.faulty) + if self.fast { 3 } else { 1 };
        self.delta * 2 * windows
    }

    /// Validators that keep the rules.
    pub fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.validators).filter(|number| {
            *number >= self.twins && !self.adversaries.iter().any(|(adversary, _)| adversary == number)
        })
    }
}
