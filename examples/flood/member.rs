//! An observer that did the work it was asked for, and then sends too much of one thing.

use crate::gathering::Gathering;
use crate::peer::{Attacker, Lane, framed, peer_of, unstamped};
use conclave::chat::{DATA_TYPE, Said};
use conclave_ledger::{
    bytes::Bytes,
    codec,
    hash::NetworkId,
    keys::SecretKey,
    transaction::{SharedTransaction, Transaction, find_stamp},
};
use conclave_protocol::{
    admission::{self, Purpose, Puzzle, Response},
    announcements::Announcement,
    dissemination,
};
use libp2p::PeerId;
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// What it sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Transactions by an unknown sender, without the stamp that is asked for.
    Unstamped,
    /// Transactions with a stamp, and a signature that is not their sender's.
    Forged,
    /// Announcements.
    Announcements,
}

/// What became of it.
#[derive(Default, Serialize)]
pub(crate) struct Member {
    /// Its peer id.
    peer_id: String,
    /// Messages sent while it was connected.
    sent: u64,
    /// How often it got in.
    entered: u64,
    /// How often it was thrown out.
    thrown_out: u64,
    /// How often it was not let in, by what it was told.
    refused: BTreeMap<String, u64>,
    /// Whether the last thing that it was told is that it may not come in.
    kept_out: bool,
}

/// Pause between two attempts to get in.
const PAUSE: Duration = Duration::from_millis(500);

/// Transactions in a batch.
const BATCH: usize = 64;

/// Batches that are prepared: signing takes longer than sending.
const BATCHES: usize = 512;

/// Announcements that are prepared.
const ANNOUNCEMENTS: usize = 16_384;

/// Announcements between two looks at what the node does.
const BURST: usize = 64;

/// Length of what is said in an announcement.
const TEXT_BYTES: usize = 900;

/// How far ahead of the node's height a transaction expires.
const EXPIRES_AFTER: u64 = 900;

/// Bits of a stamp: more than any of the networks that this is for asks for.
const STAMP_BITS: u8 = 18;

/// Comes, waits for the others, floods, and comes again, until the flood is over.
pub(crate) async fn flood(
    network: NetworkId,
    address: SocketAddr,
    flood: Flood,
    gathering: Arc<Gathering>,
) -> Member {
    let mut attacker = match flood {
        Flood::Announcements => Attacker::announcing(network),
        Flood::Unstamped | Flood::Forged => Attacker::new(network),
    };
    let mut member = Member { peer_id: attacker.id().to_string(), ..Member::default() };
    let address = format!("/ip4/{}/tcp/{}", address.ip(), address.port());
    while !gathering.is_over() {
        match enter(&mut attacker, &address).await {
            Ok(peer) => {
                (member.entered, member.kept_out) = (member.entered + 1, false);
                if member.entered == 1 {
                    gathering.enter();
                }
                let thrown_out = send(&mut attacker, peer, flood, &gathering, &mut member.sent).await;
                member.thrown_out += u64::from(thrown_out);
            }
            Err(reason) => {
                member.kept_out = true;
                *member.refused.entry(reason).or_default() += 1;
                attacker.disconnect().await;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    member
}

/// Handshake, then the work that is asked for.
async fn enter(attacker: &mut Attacker, address: &str) -> Result<PeerId, String> {
    let node = attacker.dial(address).await.map_err(|_| "no connection".to_owned())?;
    let (role, key) = (attacker.observer(), attacker.key.clone());
    let entered =
        attacker.try_enter(node, role, &key).await.map_err(|_| "the connection was ended".to_owned())?;
    entered.map_err(|reason| reason.to_string())?;
    loop {
        let (lane, bytes, channel) =
            attacker.asked_or_closed(node).await.ok_or("the connection was ended")?;
        if lane != Lane::Admission {
            continue;
        }
        match codec::decode(&bytes, 1 << 10) {
            Ok(admission::Request::Challenge { nonce, bits, .. }) => {
                attacker.answer(lane, channel, codec::encode(&Response::Accepted));
                let solution = work(attacker.network, node, attacker.id(), nonce, bits).await;
                let shown = codec::encode(&admission::Request::Solution { nonce, solution });
                let answer = attacker.ask(node, Lane::Admission, shown).await;
                match codec::decode(&answer.map_err(|_| "the connection was ended")?, 1 << 10) {
                    Ok(Response::Admitted) => {}
                    Ok(Response::Refused(reason)) => return Err(reason.to_string()),
                    other => return Err(format!("{other:?}")),
                }
            }
            Ok(admission::Request::Welcome) => {
                attacker.answer(lane, channel, codec::encode(&Response::Accepted))
            }
            other => return Err(format!("{other:?}")),
        }
        return Ok(node);
    }
}

async fn work(network: NetworkId, verifier: PeerId, prover: PeerId, nonce: u64, bits: u8) -> u64 {
    let (verifier, prover) = (peer_of(verifier), peer_of(prover));
    let puzzle = Puzzle { purpose: Purpose::Admission, network, verifier, prover, nonce, bits };
    let search = move || puzzle.search().attempt(0, u64::MAX).expect("half of all numbers would do");
    tokio::task::spawn_blocking(search).await.unwrap()
}

/// Sends until it is thrown out, which is true, or until the flood is over.
async fn send(
    attacker: &mut Attacker,
    node: PeerId,
    flood: Flood,
    gathering: &Gathering,
    sent: &mut u64,
) -> bool {
    let (network, key) = (attacker.network, attacker.key.clone());
    let expires = attacker.their_height + EXPIRES_AFTER;
    let prepared = tokio::task::spawn_blocking(move || prepare(flood, network, &key, expires)).await.unwrap();
    while gathering.end().is_none() {
        if attacker.closed_within(node, Duration::from_millis(50)).await {
            return true;
        }
    }
    let mut number = 0;
    while !gathering.is_over() {
        number += 1;
        match &prepared {
            Prepared::Batches(batches) => {
                attacker.send(node, Lane::Transactions, batches[number % batches.len()].clone());
                *sent += BATCH as u64;
            }
            Prepared::Announcements(all) => {
                for announcement in all.chunks(BURST).nth(number % (all.len() / BURST)).unwrap() {
                    // Nobody is subscribed in the first moment, and the queue is full whenever the node slows down.
                    *sent += u64::from(attacker.publish(announcement).is_ok());
                }
            }
            // Their stamps take so long that they are made one by one.
            Prepared::Nothing => {
                let transaction = unstamped(network, expires, number, 1)[0].clone();
                let transaction = tokio::task::spawn_blocking(move || forged(&transaction)).await.unwrap();
                attacker.send(node, Lane::Transactions, frame(vec![transaction]));
                *sent += 1;
            }
        }
        if attacker.closed_within(node, Duration::from_millis(2)).await {
            return true;
        }
    }
    false
}

/// What is ready before the flood begins.
enum Prepared {
    Batches(Vec<Vec<u8>>),
    Announcements(Vec<Announcement>),
    Nothing,
}

fn prepare(flood: Flood, network: NetworkId, key: &SecretKey, expires: u64) -> Prepared {
    match flood {
        Flood::Unstamped => {
            let batch = |number| frame(unstamped(network, expires, number, BATCH));
            Prepared::Batches((0..BATCHES).map(batch).collect())
        }
        Flood::Announcements => {
            let announcement = |number| {
                let text = format!("{number:0>TEXT_BYTES$}");
                let data = Said::new(network, key, now_ms(), text).unwrap().encode();
                Announcement { ttl: 0, data_type: DATA_TYPE, data: Bytes(data) }
            };
            Prepared::Announcements((0..ANNOUNCEMENTS).map(announcement).collect())
        }
        Flood::Forged => Prepared::Nothing,
    }
}

/// The same with the stamp that is asked for, and a signature that is not its sender's.
fn forged(transaction: &SharedTransaction) -> SharedTransaction {
    let mut forged = Transaction::clone(transaction);
    forged.stamp = find_stamp(&transaction.id(), STAMP_BITS, 0, u64::MAX);
    forged.signature.0[7] ^= 1;
    forged.into()
}

fn frame(transactions: Vec<SharedTransaction>) -> Vec<u8> {
    framed(&codec::encode(&dissemination::Message::Transactions(transactions)))
}

fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}
