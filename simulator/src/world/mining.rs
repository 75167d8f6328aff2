//! The search for proofs of work: by chance, for as long as it would take.
//!
//! Hashes would cost what virtual time saves, so the target is met by one in some [`EASIEST_BITS`] powers of two, and
//! a host finds a nonce after a time that is drawn, exponentially distributed as in any search without memory.

use super::{World, event::Event};
use crate::{mining::network::exponential, scenario::Miners};
use conclave_ledger::{
    block::Header,
    proof_of_work::{Parameters, SealSearch},
};
use conclave_protocol::node::Input;
use std::time::Duration;

/// Zero bits that hashes begin with: so few that a nonce is at hand, so many that most hashes are none.
pub(crate) const EASIEST_BITS: u8 = 6;

/// Attempts of a search, many more than so few bits need.
const ATTEMPTS: u64 = 1 << 16;

/// So long that the target stays the easiest however the blocks come.
const HALF_LIFE_MS: u64 = 31_536_000_000;

/// What the genesis file says of mining.
pub(super) fn parameters(miners: &Miners) -> Parameters {
    Parameters {
        leading_zero_bits: EASIEST_BITS,
        block_interval_ms: (miners.interval.as_millis() as u64).max(1),
        half_life_ms: HALF_LIFE_MS,
        mine_empty: false,
        depth: miners.depth,
    }
}

impl World<'_> {
    /// A host searches for the nonce of this header, and of no other any more.
    pub(super) fn mine(&mut self, number: usize, ticket: u64, header: Box<Header>) {
        let Some(miners) = self.scenario.miners else { return };
        let mean = miners.interval * self.hosts.len() as u32;
        let takes = Duration::from_micros(exponential(mean.as_micros() as f64, &mut self.random));
        let host = &mut self.hosts[number];
        let boot = host.boot;
        if let Some(process) = &mut host.process {
            process.work = Some((ticket, header));
            self.queue.put(self.now + takes, Event::Mined { host: number, boot, ticket });
        }
    }

    /// A search has taken as long as it had to.
    pub(super) fn mined(&mut self, number: usize, boot: u32, ticket: u64) {
        if !self.is_running(number, boot) {
            return;
        }
        let process = self.hosts[number].process.as_mut();
        let Some((_, header)) = process.and_then(|one| one.work.take_if(|(of, _)| *of == ticket)) else {
            return; // It was given up.
        };
        let nonce = SealSearch::new(&header).and_then(|mut search| search.find(0, ATTEMPTS));
        if let Some(nonce) = nonce {
            self.input(number, Input::Mined { ticket, nonce });
        }
    }
}
