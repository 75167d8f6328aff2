//! How long messages take.

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::time::Duration;

/// How long a packet takes one way, between which hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Evenly distributed between two bounds, anew for each packet.
    Uniform {
        /// The least.
        least: Duration,
        /// The most.
        most: Duration,
    },
    /// Hosts sit in the regions of a matrix in turn; each packet takes up to a twentieth longer than the matrix says.
    Regions(&'static Regions),
}

/// Places, and how long a packet takes one way between them.
#[derive(Debug, PartialEq, Eq)]
pub struct Regions {
    /// Their names.
    pub names: &'static [&'static str],
    /// Round trips in milliseconds, row by row.
    pub round_trip_ms: &'static [&'static [u32]],
    /// Where the figures come from.
    pub source: &'static str,
}

impl Regions {
    /// The region of a host.
    pub fn of(&self, host: usize) -> usize {
        host % self.names.len().max(1)
    }

    /// One way between two hosts, without jitter.
    pub fn one_way(&self, from: usize, to: usize) -> Duration {
        let row = self.round_trip_ms.get(self.of(from));
        let round_trip = row.and_then(|row| row.get(self.of(to))).copied().unwrap_or_default();
        Duration::from_micros(u64::from(round_trip) * 500)
    }
}

impl Latency {
    /// How long one packet takes.
    pub fn draw(&self, from: usize, to: usize, random: &mut ChaCha20Rng) -> Duration {
        match self {
            Self::Constant(latency) => *latency,
            Self::Uniform { least, most } => between(*least, *most, random),
            Self::Regions(regions) => {
                let one_way = regions.one_way(from, to);
                between(one_way, one_way + one_way / 20, random)
            }
        }
    }

    /// The most that one packet can take.
    pub fn most(&self) -> Duration {
        match self {
            Self::Constant(latency) => *latency,
            Self::Uniform { most, .. } => *most,
            Self::Regions(regions) => {
                let slowest = regions.round_trip_ms.iter().flat_map(|row| row.iter()).max().copied();
                Duration::from_micros(u64::from(slowest.unwrap_or_default()) * 525)
            }
        }
    }
}

/// Evenly distributed between two bounds, both included.
pub fn between(least: Duration, most: Duration, random: &mut ChaCha20Rng) -> Duration {
    let (least, most) = (least.as_micros() as u64, most.as_micros() as u64);
    Duration::from_micros(least + below(most.saturating_sub(least) + 1, random))
}

/// Evenly distributed below a bound; 0 for the bound 0.
pub fn below(bound: u64, random: &mut ChaCha20Rng) -> u64 {
    if bound == 0 { 0 } else { random.next_u64() % bound }
}

/// True in so many of a thousand cases.
pub fn chance(per_mille: u16, random: &mut ChaCha20Rng) -> bool {
    per_mille > 0 && below(1000, random) < u64::from(per_mille)
}

/// Five regions of a large cloud across the world.
///
/// Average round trips as tabulated in *AWS Regions* (acomputerscientistlearnsaws.blogspot.com, April 2017), both
/// directions averaged and rounded to milliseconds; within a region 1 ms is assumed.
pub static FIVE_REGIONS: Regions = Regions {
    names: &["N. Virginia", "Oregon", "Ireland", "Tokyo", "Sydney"],
    round_trip_ms: &[
        &[1, 88, 81, 145, 230],
        &[88, 1, 137, 89, 162],
        &[81, 137, 1, 212, 310],
        &[145, 89, 212, 1, 104],
        &[230, 162, 310, 104, 1],
    ],
    source: "AWS Regions, acomputerscientistlearnsaws.blogspot.com, April 2017",
};
