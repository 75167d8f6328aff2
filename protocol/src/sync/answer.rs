//! What is answered to a request out of storage.

use super::{MAX_HEIGHTS, MAX_PROOFS, ProvedHeight, ProvedValue, RESPONSE_BYTES, Request, Response};
use conclave_ledger::{codec, signed::Height};

/// The answer to a request of a peer, within the bounds of a response; `read` finds a decided height with its proof.
pub fn respond(request: Request, read: impl Fn(Height) -> Option<ProvedHeight>) -> Response {
    match request {
        Request::Status { height, proofs } => Response::Status { height, proofs },
        Request::Blocks { from, limit } => {
            let (mut heights, mut bytes) = (Vec::new(), 0);
            for height in (from..).take(limit.min(MAX_HEIGHTS) as usize) {
                let Some(proved) = read(height).filter(|_| bytes < RESPONSE_BYTES) else { break };
                bytes += codec::encode(&proved).len();
                heights.push(proved);
            }
            Response::Blocks(heights)
        }
        Request::Proofs { from, limit } => {
            let mut bytes = 0;
            let heights = (from..=Height::MAX).take(limit.min(MAX_PROOFS) as usize);
            let values = heights.filter_map(read).map(|proved| ProvedValue {
                height: proved.decided.height(),
                value: proved.decided.value(),
                proof: proved.proof,
            });
            let within = values.take_while(|value| {
                bytes += codec::encode(value).len();
                bytes < RESPONSE_BYTES
            });
            Response::Proofs(within.collect())
        }
        Request::Block { height, hash } => {
            let block = read(height).and_then(|proved| proved.decided.block().cloned());
            Response::Block(block.filter(|block| block.hash() == hash))
        }
    }
}
