//! Configuration and bounds of the machine.

use crate::token_bucket::Rate;
use std::time::Duration;

/// How long a topic stays subscribed after its last subscriber has left: longer than modules take to be restarted.
pub const LINGER: Duration = Duration::from_secs(15);

/// Least that a message costs of a bucket, in bytes: what its signature, its frame and its handling are worth.
pub const LEAST_COST: u64 = 1024;

/// Most buckets kept for origins, and as many twice for peers.
pub const MAX_BUCKETS: usize = 4096;

/// Most contents that are known again; the oldest is forgotten first.
pub const MAX_KNOWN: usize = 65_536;

/// Most messages whose senders are counted; the oldest is forgotten first.
pub const MAX_COUNTED: usize = 8192;

/// Most senders that are remembered, each once for each message; the oldest messages are forgotten first. Fewer for one
/// message would let those who come late send it again and again without blame.
pub(super) const MAX_SENDERS: usize = 65_536;

/// Most bytes of data in validation at a time.
pub const MAX_CHECKED_BYTES: usize = 32 << 20;

/// Most messages that carry one content, which differ by their TTL, waiting for its validation.
pub(super) const MAX_VARIANTS: usize = 16;

/// Most data types that are subscribed to, lingering ones included. Peers accept as many of each other.
pub const MAX_TYPES: usize = 128;

/// Most notifications that a module leaves unanswered; one that goes beyond is disconnected.
pub const MAX_UNANSWERED: usize = 4096;

/// Most messages that wait to be published.
pub const MAX_WAITING: usize = 4096;

/// Most bytes that wait to be published.
pub const MAX_WAITING_BYTES: usize = 16 << 20;

/// Configuration of the machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long the modules have for an answer (default 60 s).
    pub validation_timeout: Duration,
    /// How long a content is known again (default 120 s); at least twice the validation timeout, because a message may
    /// wait that long at two nodes on its way back.
    pub duplicate_window: Duration,
    /// Most announcements in validation at a time (default 1024); more are dropped without blame.
    pub cache_size: usize,
    /// What one origin may publish, in bytes (default 256 KiB a second, 4 MiB at once).
    pub origin: Rate,
    /// What one peer may bring that nobody brought before, in bytes (default 4 MiB a second, 32 MiB at once).
    pub peer: Rate,
    /// What one peer may send in all, in bytes (default 16 MiB a second, 64 MiB at once): more than any mesh brings.
    pub copies: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            validation_timeout: Duration::from_secs(60),
            duplicate_window: Duration::from_secs(120),
            cache_size: 1024,
            origin: Rate { per_second: 256 << 10, capacity: 4 << 20 },
            peer: Rate { per_second: 4 << 20, capacity: 32 << 20 },
            copies: Rate { per_second: 16 << 20, capacity: 64 << 20 },
        }
    }
}

impl Config {
    /// The configuration with its duplicate window at the least that it has to be.
    pub(super) fn checked(mut self) -> Self {
        self.duplicate_window = self.duplicate_window.max(self.validation_timeout * 2);
        self
    }
}
