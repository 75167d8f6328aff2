//! What is answered to a peer: out of the tree, or where that does not reach, out of storage.

use super::message::{
    MAX_BLOCKS_ASKED, MAX_HEADERS_ANSWERED, MAX_LOCATOR, Place, RESPONSE_BYTES, Request, Response,
};
use conclave_ledger::{
    block::{Block, Header},
    proof_of_work::Tree,
    signed::Height,
    transaction::SharedTransaction,
};
use std::sync::Arc;

/// The answer out of the tree; `None` where storage has to be asked.
pub(super) fn respond_from(tree: &Tree, request: &Request) -> Option<Response> {
    match request {
        Request::Headers(locator) => {
            let locator: Vec<_> =
                locator.iter().take(MAX_LOCATOR).map(|place| (place.height, place.hash)).collect();
            let headers = tree.headers_after(&locator, MAX_HEADERS_ANSWERED)?;
            Some(Response::Headers(headers.iter().map(|header| header.as_ref().clone()).collect()))
        }
        Request::Blocks(places) => {
            let blocks =
                places.iter().take(MAX_BLOCKS_ASKED).map(|place| tree.valid_block(&place.hash).cloned());
            Some(Response::Blocks(as_many_as_fit(blocks.collect::<Option<Vec<_>>>()?)))
        }
        Request::Transactions { block, indexes } => {
            Some(Response::Transactions(transactions(tree.valid_block(&block.hash)?, indexes)))
        }
    }
}

/// The answer out of storage, within the bounds of a response; `read` finds a block of the chain by its height.
pub fn respond(request: &Request, read: impl Fn(Height) -> Option<Arc<Block>>) -> Response {
    let at = |place: &Place| read(place.height).filter(|block| block.hash() == place.hash);
    match request {
        Request::Headers(locator) => {
            let common = locator.iter().take(MAX_LOCATOR).find(|place| at(place).is_some());
            let from = common.map_or(0, |place| place.height).saturating_add(1);
            let blocks = (from..).take(MAX_HEADERS_ANSWERED).map_while(&read);
            let mut headers: Vec<Header> = Vec::new();
            for block in blocks {
                // The chain may change while it is read.
                if headers.last().is_some_and(|last| last.hash() != block.header.parent) {
                    break;
                }
                headers.push(block.header.clone());
            }
            Response::Headers(headers)
        }
        Request::Blocks(places) => {
            Response::Blocks(as_many_as_fit(places.iter().take(MAX_BLOCKS_ASKED).filter_map(at)))
        }
        Request::Transactions { block, indexes } => {
            Response::Transactions(at(block).map_or_else(Vec::new, |block| transactions(&block, indexes)))
        }
    }
}

fn as_many_as_fit(blocks: impl IntoIterator<Item = Arc<Block>>) -> Vec<Arc<Block>> {
    let mut bytes = 0;
    let fits = |block: &Arc<Block>| {
        let fits = bytes < RESPONSE_BYTES;
        bytes += block.transactions.iter().map(SharedTransaction::size).sum::<usize>();
        fits
    };
    blocks.into_iter().take_while(fits).collect()
}

/// All that are asked for, or none.
fn transactions(block: &Block, indexes: &[u32]) -> Vec<SharedTransaction> {
    let ascend = indexes.windows(2).all(|pair| pair[0] < pair[1]);
    let found = indexes.iter().map(|index| block.transactions.get(*index as usize).cloned());
    found.collect::<Option<Vec<_>>>().filter(|_| ascend).unwrap_or_default()
}
