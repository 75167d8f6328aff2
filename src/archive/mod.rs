//! The archive: everything that a network has decided, as one stream that anybody can check.
//!
//! ```text
//! conclave archive 1\n                               the version of the format
//! length (u32, big-endian) ‖ entry (canonical CBOR)  as often as there are entries:
//!
//!   begin   format, network id, first and last height
//!   height  the record of a decided height: a block or a skip    ┐ once for each height, ascending
//!   …                                                            ┘
//!   tip     last height, its hash, the state's hash after it, proofs of the heights since the last block
//!   end     number of heights, SHA-256 of every byte before this entry's length
//! ```
//! The proof of a height travels in the next block, so all nodes write the same bytes up to the tip; what the tip
//! adds is this node's own knowledge of heights that no block follows yet.
//!
//! - [`mod@format`]: the entries, written and read within bounds.
//! - [`mod@export`]: from a database or a running node's heights to a stream.
//! - [`mod@verify`]: from a stream and the genesis file to a [`Report`], or the height and the rule that is broken.
//! - [`recount`]: the tallies once more, from the ballots in the blocks alone.
//! - [`receipts`]: what submitters were told, against what the stream holds.
//! - [`mod@import`]: a verified stream into a fresh home.

pub mod export;
pub mod format;
pub mod import;

pub mod receipts;
pub mod recount;
pub mod verify;

pub use export::{ExportError, Snapshot, export};
pub use format::{FormatError, Reader, Writer};

pub use import::{ImportError, import};
pub use receipts::{Receipt, ReceiptError, Receipts};
pub use recount::CountedPoll;
pub use verify::{Report, VerifyError, replay, verify};
