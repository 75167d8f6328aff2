//! Scenarios drawn by seed: what can go wrong, within the assumptions of a promise.

use crate::{
    adversaries::Misbehaviour,
    latency::{Latency, below, between, chance},
    scenario::{Fault, Miners, Promises, Scenario},
};
use conclave_protocol::time::Time;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::{collections::BTreeSet, time::Duration};

/// The assumptions that a scenario keeps, and so what it has to keep in return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// At most `f` validators are faulty in any way, and the network keeps `Δ`: nobody disagrees, and every height ends
    /// in time.
    Synchronous,
    /// With `f < n/3`: at most `f` crashes, and one clean cut at any moment for any time, healed in the end: nobody
    /// disagrees, and everything is decided in the end.
    Partitioned,
    /// With `f < n/3`: any validators are killed at any moment, with or without what their disks had not synced, and
    /// started again: the same.
    Restarted,
    /// Another engine: hosts mine, less than half of them cheat, some are cut off, killed or come late. In the end all
    /// honest ones are on one chain, and everything is on it.
    Mined,
    /// Anything: at most `f` validators cheat, and the network breaks its bound, clocks are wrong, machines come and go.
    /// Certificates are unique all the same, nobody honest signs twice, and nobody honest is accused.
    Chaotic,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Synchronous, Self::Partitioned, Self::Restarted, Self::Chaotic, Self::Mined];

    /// Those of networks of validators.
    pub const OF_VALIDATORS: [Self; 4] =
        [Self::Synchronous, Self::Partitioned, Self::Restarted, Self::Chaotic];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synchronous => "synchronous",
            Self::Partitioned => "partitioned",
            Self::Restarted => "restarted",
            Self::Chaotic => "chaotic",
            Self::Mined => "mined",
        }
    }

    /// Whether something is promised for so many validators and faults.
    pub fn applies(self, validators: usize, faulty: u16, fast: bool) -> bool {
        let is_partition_safe = fast && 3 * usize::from(faulty) < validators;
        match self {
            Self::Synchronous => true,
            Self::Partitioned | Self::Restarted => is_partition_safe,
            Self::Chaotic => fast,
            Self::Mined => 2 * usize::from(faulty) < validators,
        }
    }

    /// A scenario of the family.
    pub fn draw(self, seed: u64, validators: usize, faulty: u16, fast: bool) -> Scenario {
        let mut draw = Draw { random: ChaCha20Rng::seed_from_u64(seed ^ 0xd7a3_11c0), validators, faulty };
        let mut scenario = draw.network(seed, fast);
        match self {
            Self::Synchronous => draw.synchronous(&mut scenario),
            Self::Partitioned => draw.partitioned(&mut scenario),
            Self::Restarted => draw.restarted(&mut scenario),
            Self::Chaotic => draw.chaotic(&mut scenario),
            Self::Mined => draw.mined(&mut scenario),
        }
        scenario.faults.sort_by_key(|(at, _)| *at);
        let last =
            scenario.faults.iter().map(|(at, _)| *at).chain(scenario.load.iter().map(|(at, _)| *at)).max();
        // A faulty leader can waste a height for each transaction, and each of them more than one turn.
        let heights = scenario.load.len() as u32 + 2 * u32::from(faulty) + 4;
        scenario.end =
            last.unwrap_or_default() + scenario.longest_height() * heights + Duration::from_secs(30);
        if let Some(miners) = scenario.miners {
            // Blocks come by chance, and branches of equal length go on.
            scenario.end = last.unwrap_or_default() + miners.interval * 400 + Duration::from_secs(120);
        }
        scenario
    }
}

/// When nodes have found each other, whatever the network.
const WARM: Duration = Duration::from_secs(5);

struct Draw {
    random: ChaCha20Rng,
    validators: usize,
    faulty: u16,
}

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        below(bound as u64, &mut self.random) as usize
    }

    fn moment(&mut self, from: Duration, lasts: Duration) -> Time {
        Time::after_start(from + between(Duration::ZERO, lasts, &mut self.random))
    }

    /// A network that keeps `Δ`, which bounds a message and the pull of the block that it names: one way and a sync before
    /// it, the moment that a block is waited for, and there and back once more.
    fn network(&mut self, seed: u64, fast: bool) -> Scenario {
        let mut scenario = Scenario::quiet(seed, self.validators, self.faulty);
        scenario.fast = fast;
        scenario.delta = Duration::from_millis([100, 500, 500, 2000][self.below(4)]);
        let most = scenario.delta / [5, 8, 20, 100][self.below(4)];
        scenario.latency = match self.below(3) {
            0 => Latency::Constant(most),
            1 => Latency::Uniform { least: Duration::ZERO, most },
            _ => Latency::Uniform { least: most / 2, most },
        };
        if most <= scenario.delta / 8 && self.below(2) == 0 {
            scenario.loss = 50;
            scenario.retransmission = scenario.delta / 40;
        }
        if self.below(3) == 0 {
            scenario.duplication = 100;
        }
        scenario.disk = (Duration::from_micros(100), scenario.delta / [40, 200, 1000][self.below(3)]);
        scenario.clock_drift = [0, 50, 200][self.below(3)];
        scenario.clock_offset = scenario.delta / [2, 10, 100][self.below(3)];
        let transactions = 1 + self.below(4);
        scenario.load = (0..transactions)
            .map(|_| {
                let at = self.moment(WARM, scenario.delta * 6);
                (at, self.below(self.validators))
            })
            .collect();
        scenario
    }

    /// Distinct validators among those from `first` on.
    fn some(&mut self, count: usize, first: usize) -> BTreeSet<usize> {
        let mut all: Vec<usize> = (first..self.validators).collect();
        let mut chosen = BTreeSet::new();
        while chosen.len() < count && !all.is_empty() {
            let index = self.below(all.len());
            chosen.insert(all.swap_remove(index));
        }
        chosen
    }

    /// So many validators that misbehave in these ways, twins first.
    fn cheats(&mut self, scenario: &mut Scenario, budget: usize, kinds: &[Misbehaviour]) {
        scenario.twins = if self.below(3) == 0 { self.below(budget + 1) } else { 0 };
        let others = self.some(budget - scenario.twins, scenario.twins);
        // Sometimes all of them do the same, sometimes each something else.
        let common = kinds[self.below(kinds.len())];
        let together = self.below(2) == 0;
        scenario.adversaries = others
            .into_iter()
            .map(|number| {
                let kind = if together { common } else { kinds[self.below(kinds.len())] };
                (number, kind)
            })
            .collect();
    }

    fn synchronous(&mut self, scenario: &mut Scenario) {
        let budget = usize::from(self.faulty);
        let crashes = if self.below(4) == 0 { self.below(budget + 1) } else { 0 };
        // Nothing is promised to who was away and is shown a certificate that was kept back (see `docs/reliability.md`).
        let shows_late =
            |kind: &Misbehaviour| matches!(kind, Misbehaviour::LateCertificate | Misbehaviour::Improvise);
        let kinds = Misbehaviour::OF_VALIDATORS.into_iter().filter(|kind| crashes == 0 || !shows_late(kind));
        self.cheats(scenario, budget - crashes, &kinds.collect::<Vec<_>>());
        let free: BTreeSet<usize> = scenario.honest().collect();
        let mut victims = self.some(self.validators, 0);
        victims.retain(|host| free.contains(host));
        for host in victims.into_iter().take(crashes) {
            self.outage(scenario, host);
        }
        scenario.promises = Promises::SYNCHRONOUS;
    }

    /// A host dies at some moment, and may come back.
    fn outage(&mut self, scenario: &mut Scenario, host: usize) {
        let at = self.moment(WARM, scenario.delta * 12);
        let loses_unsynced = self.below(2) == 0;
        scenario.faults.push((at, Fault::Crash { host, loses_unsynced }));
        // With f ≥ n/2 whoever was away has to believe those who were not, which is no matter of the protocol.
        if 2 * usize::from(self.faulty) < self.validators && self.below(4) > 0 {
            let lasts = between(Duration::ZERO, scenario.delta * 20, &mut self.random);
            scenario.faults.push((at + lasts, Fault::Restart { host }));
        }
    }

    fn partitioned(&mut self, scenario: &mut Scenario) {
        let at = self.moment(WARM, scenario.delta * 14);
        let lasts = between(Duration::ZERO, scenario.delta * 60, &mut self.random);
        let size = 1 + self.below(self.validators - 1);
        let side = self.some(size, 0);
        let breaks_after = (self.below(2) == 0).then(|| between(Duration::ZERO, lasts, &mut self.random));
        scenario.faults.push((at, Fault::Cut { side, breaks_after }));
        scenario.faults.push((at + lasts, Fault::Heal));
        let crashes = self.below(usize::from(self.faulty) + 1);
        for host in self.some(crashes, 0) {
            self.outage(scenario, host);
        }
        self.bring_back(scenario);
        scenario.promises = Promises::PARTITIONED;
    }

    fn restarted(&mut self, scenario: &mut Scenario) {
        let all = chance(300, &mut self.random);
        let count = if all { self.validators } else { 1 + self.below(self.validators) };
        for host in self.some(count, 0) {
            self.outage(scenario, host);
            if self.below(4) == 0 {
                self.outage(scenario, host);
            }
        }
        self.bring_back(scenario);
        scenario.promises = Promises::PARTITIONED;
    }

    /// In the end everybody is there.
    fn bring_back(&mut self, scenario: &mut Scenario) {
        let last = scenario.faults.iter().map(|(at, _)| *at).max().unwrap_or_default();
        for host in 0..self.validators {
            scenario.faults.push((last + scenario.delta, Fault::Restart { host }));
        }
    }

    /// The others mine on while one side is cut off, and while one host is down; some begin with nothing when the others
    /// have a chain.
    fn mined(&mut self, scenario: &mut Scenario) {
        let latency = scenario.latency.most().max(Duration::from_millis(1));
        let interval = latency * [4, 10, 40][self.below(3)];
        scenario.miners = Some(Miners { interval, depth: self.below(4) as u64 });
        let cheats = self.below(usize::from(self.faulty) + 1);
        let common = Misbehaviour::OF_MINERS[self.below(Misbehaviour::OF_MINERS.len())];
        let together = self.below(2) == 0;
        for number in self.some(cheats, 0) {
            let drawn = Misbehaviour::OF_MINERS[self.below(Misbehaviour::OF_MINERS.len())];
            scenario.adversaries.push((number, if together { common } else { drawn }));
        }
        let lasts = interval * 40;
        let transactions = 2 + self.below(8);
        scenario.load =
            (0..transactions).map(|_| (self.moment(WARM, lasts), self.below(self.validators))).collect();
        if self.below(2) == 0 {
            let at = self.moment(WARM, lasts);
            let size = 1 + self.below(self.validators - 1);
            let side = self.some(size, 0);
            let breaks_after = (self.below(2) == 0).then(|| interval * self.below(10) as u32);
            scenario.faults.push((at, Fault::Cut { side, breaks_after }));
            let until = between(Duration::ZERO, interval * 20, &mut self.random);
            scenario.faults.push((at + until, Fault::Heal));
        }
        let victim = self.some(1, 0);
        for host in victim.into_iter().filter(|_| self.below(3) == 0).collect::<Vec<_>>() {
            let at = if self.below(2) == 0 {
                Time::after_start(Duration::from_micros(1))
            } else {
                self.moment(WARM, lasts)
            };
            let loses_unsynced = self.below(2) == 0;
            scenario.faults.push((at, Fault::Crash { host, loses_unsynced }));
            scenario.faults.push((Time::after_start(WARM + lasts), Fault::Restart { host }));
        }
        scenario.promises = Promises::MINED;
    }

    fn chaotic(&mut self, scenario: &mut Scenario) {
        let budget = usize::from(self.faulty);
        let cheats = self.below(budget + 1);
        self.cheats(scenario, cheats, &Misbehaviour::OF_VALIDATORS);
        let most = scenario.delta * [1, 2, 6][self.below(3)];
        scenario.latency = Latency::Uniform { least: Duration::ZERO, most };
        scenario.loss = 200;
        scenario.retransmission = scenario.delta / 2;
        scenario.disk = (Duration::from_micros(100), scenario.delta * [0, 1, 3][self.below(3)]);
        scenario.clock_drift = 100_000;
        scenario.clock_offset = scenario.delta * 3;
        for _ in 0..self.below(5) {
            let host = self.below(self.validators);
            match self.below(4) {
                0 => {
                    let at = self.moment(WARM, scenario.delta * 20);
                    let lasts = between(Duration::ZERO, scenario.delta * 8, &mut self.random);
                    scenario.faults.push((at, Fault::Pause { host, lasts }));
                }
                1 => {
                    let at = self.moment(WARM, scenario.delta * 20);
                    let size = self.below(self.validators);
                    let side = self.some(size, 0);
                    let breaks_after = Some(scenario.delta * self.below(10) as u32);
                    scenario.faults.push((at, Fault::Cut { side, breaks_after }));
                    let lasts = between(Duration::ZERO, scenario.delta * 20, &mut self.random);
                    scenario.faults.push((at + lasts, Fault::Heal));
                }
                _ => self.outage(scenario, host),
            }
        }
        scenario.promises = Promises::NONE;
    }
}
