//! Archives of a small network: good, cut, and with every single byte changed.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::archive::{
    export::{Snapshot, export},
    format::Writer,
};
use conclave_ledger::{
    applications::{
        Payload,
        polls::{self, Electorate},
    },
    genesis::{Engine, Limits},
    keys::SecretKey,
    signed::{Kind, SignatureSet, Slot},
    tally::{Choice, Method, Tally},
    transaction::{Request, SharedTransaction, Transaction},
    validators::{FaultBound, Validator},
};

const VALIDATORS: u8 = 4;
const START: u64 = 1_700_000_000_000;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(crate) fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis {
        format: conclave_ledger::genesis::FORMAT,
        name: "test".into(),
        engine: Engine::DolevStrong,
        fast: true,
        faulty: FaultBound::Third,
        delta_ms: 500,
        created_ms: START,
        stamp_bits: 16,
        proof_of_work: None,
        limits: Limits::default(),
        validators: (0..VALIDATORS)
            .map(|number| Validator { name: format!("v{number}"), key: secret(number).public() })
            .collect(),
        senders: Vec::new(),
        records: Vec::new(),
    })
}

/// A chain that decides whatever it is given.
pub(crate) struct Network {
    chain: Chain,
    decided: Vec<Decided>,
    proofs: Vec<Proof>,
}

impl Network {
    fn new() -> Self {
        Self { chain: Chain::new(genesis()), decided: Vec::new(), proofs: Vec::new() }
    }

    fn certificate(&self, height: Height, value: &Value) -> Proof {
        let slot = Slot { network: self.chain.network(), height };
        let votes = (0..VALIDATORS - 1).map(|number| {
            let index = self.chain.validators().index_of(&secret(number).public()).unwrap();
            (index, slot.sign(&secret(number), Kind::Vote, value))
        });
        Proof::Certificate(votes.collect::<SignatureSet>())
    }

    fn decide(&mut self, decided: Decided) {
        let proof = self.certificate(decided.height(), &decided.value());
        self.chain.apply(&decided, None, &NothingKnown, true).unwrap();
        self.decided.push(decided);
        self.proofs.push(proof);
    }

    fn skip(&mut self) {
        let skip = self.chain.skip();
        self.decide(Decided::Skip(skip));
    }

    fn transaction(&self, sender: u8, payload: polls::Payload) -> Transaction {
        let request = Request {
            network: self.chain.network(),
            sender: secret(sender).public(),
            expires: self.chain.next_height() + 10,
            payload: Payload::Poll(payload),
        };
        request.sign(&secret(sender))
    }

    fn block(&mut self, transactions: &[Transaction]) {
        let first_unproven = self.chain.tip().block_height.max(1) as usize;
        let proofs = self.proofs[first_unproven - 1..].to_vec();
        let now = START + 1000 * self.chain.next_height();
        let shared: Vec<SharedTransaction> = transactions.iter().cloned().map(Into::into).collect();
        let (block, _) = self.chain.propose(self.chain.leader(), now, proofs, &shared).unwrap();
        assert_eq!(block.transactions.len(), transactions.len(), "a transaction was refused");
        self.decide(Decided::Block(Arc::new(block)));
    }

    pub(crate) fn decided(&self) -> &[Decided] {
        &self.decided
    }

    /// The same chain as it was at `height`: what a node knows that was cut off then.
    pub(crate) fn until(&self, height: Height) -> Self {
        let mut earlier = Self::new();
        self.decided[..height as usize].iter().for_each(|decided| earlier.decide(decided.clone()));
        earlier
    }

    pub(crate) fn archive(&self) -> Vec<u8> {
        let at = |height: Height| height as usize - 1;
        export::<_, Infallible>(
            &Snapshot::of(&self.chain),
            |height| Ok(self.decided.get(at(height)).cloned()),
            |height| Ok(self.proofs.get(at(height)).cloned()),
            Vec::new(),
            |_| {},
        )
        .unwrap()
    }
}

/// A poll, a skip, two ballots of three voters (one votes twice), the close, and a skip after the last block.
pub(crate) fn network() -> Network {
    let mut network = Network::new();
    let open = network.transaction(
        0,
        polls::Payload::OpenPoll {
            title: "Lunch".into(),
            options: vec!["Soup".into(), "Bread".into()],
            method: Method::ChooseOne,
            electorate: Electorate::Keys(vec![secret(10).public(), secret(11).public(), secret(12).public()]),
            opens: START,
            closes: START + 1_000_000,
            revote: true,
        },
    );
    let poll = open.id();
    network.block(&[open]);
    network.skip();
    let cast = |network: &Network, voter, option| {
        network.transaction(voter, polls::Payload::CastBallot { poll, choice: Choice::One(option) })
    };
    let ballots = [cast(&network, 10, 0), cast(&network, 11, 1)];
    network.block(&ballots);
    let again = [cast(&network, 10, 1)];
    network.block(&again);
    let close = network.transaction(0, polls::Payload::ClosePoll { poll });
    network.block(&[close]);
    network.skip();
    network
}

fn check(archive: &[u8]) -> Result<Report, VerifyError> {
    verify(genesis(), archive, |_, _| {})
}

#[test]
fn a_good_archive_is_reported_with_its_recounted_tally() {
    let network = network();
    let report = check(&network.archive()).unwrap();
    assert_eq!((report.heights, report.blocks, report.skips), (6, 4, 2));
    assert_eq!((report.transactions, report.ballots, report.open_polls), (5, 3, 0));
    assert_eq!((report.tip, report.state), (network.chain.tip().hash, network.chain.state_hash()));
    let [poll] = report.polls.as_slice() else { panic!("{:?}", report.polls) };
    let Tally::ChooseOne { ballots, counts, .. } = &poll.tally else { panic!("{:?}", poll.tally) };
    assert_eq!((*ballots, counts.as_slice(), poll.closed_at), (2, [0, 2].as_slice(), 5));
}

#[test]
fn the_archive_of_a_chain_without_heights_is_good() {
    assert_eq!(check(&Network::new().archive()).unwrap().heights, 0);
}

#[test]
fn every_height_is_handed_over_with_its_own_proof() {
    let network = network();
    let mut kept = Vec::new();
    let keep = |decided: &Decided, proof: Option<&Proof>, _: &Applied| {
        kept.push((decided.clone(), proof.cloned().unwrap()));
        Ok::<_, Infallible>(())
    };
    replay(genesis(), network.archive().as_slice(), |_, _| {}, keep).unwrap();
    let expected: Vec<_> = network.decided.iter().cloned().zip(network.proofs.iter().cloned()).collect();
    assert_eq!(kept, expected);
}

#[test]
fn every_changed_byte_is_refused() {
    let archive = network().archive();
    for at in 0..archive.len() {
        let mut changed = archive.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(check(&changed).is_err(), "byte {at} of {}", archive.len());
    }
}

#[test]
fn an_archive_that_is_cut_or_goes_on_is_refused() {
    let archive = network().archive();
    for length in 0..archive.len() {
        assert!(matches!(check(&archive[..length]), Err(VerifyError::Format { .. })), "{length} bytes");
    }
    let longer = [archive.as_slice(), &[0]].concat();
    assert!(matches!(check(&longer), Err(VerifyError::Format { error: FormatError::Trailing(_), .. })));
}

#[test]
fn garbage_and_other_networks_are_named() {
    let garbage = check(&[7; 4000]).unwrap_err().to_string();
    assert!(garbage.contains("not an archive"), "{garbage}");
    let mut announced = super::super::format::MAGIC.to_vec();
    announced.extend([0xff; 4]);
    assert!(check(&announced).unwrap_err().to_string().contains("allowed"));
    let other = Genesis { name: "other".into(), ..(*genesis()).clone() };
    let error = verify(Arc::new(other), network().archive().as_slice(), |_, _| {}).unwrap_err();
    assert!(matches!(error, VerifyError::Network { .. }), "{error}");
}

/// Writes the archive anew with its entries changed: the digest at the end is right again, so what refuses it is a
/// rule, not the digest.
fn rewritten(network: &Network, change: impl Fn(&mut Entry)) -> Vec<u8> {
    let bytes = network.archive();
    let mut reader = Reader::new(bytes.as_slice()).unwrap();
    let mut writer = Writer::new(Vec::new()).unwrap();
    loop {
        let mut entry = reader.read().unwrap();
        if let Entry::End { heights, .. } = entry {
            return writer.finish(heights).unwrap();
        }
        change(&mut entry);
        writer.write(&entry).unwrap();
    }
}

#[test]
fn a_forger_who_mends_the_digest_is_refused_at_the_height_and_by_the_rule() {
    type Change = fn(&mut Entry);
    fn block_at(entry: &mut Entry, height: Height) -> Option<&mut conclave_ledger::block::Block> {
        match entry {
            Entry::Height(Decided::Block(block)) if block.header.height == height => {
                Some(Arc::make_mut(block))
            }
            _ => None,
        }
    }
    let changes: [(&str, Change, &str); 9] = [
        (
            "a ballot for another option",
            |entry| {
                if let Some(block) = block_at(entry, 3) {
                    let mut ballot = Transaction::clone(&block.transactions[0]);
                    if let Payload::Poll(polls::Payload::CastBallot { choice, .. }) =
                        &mut ballot.request.payload
                    {
                        *choice = Choice::One(1);
                    }
                    block.transactions[0] = ballot.into();
                }
            },
            "height 3: the transactions are not those of the header",
        ),
        (
            "a ballot left out",
            |entry| {
                if let Some(block) = block_at(entry, 3) {
                    block.transactions.pop();
                }
            },
            "height 3: the transactions are not those of the header",
        ),
        (
            "a ballot left out, the header mended",
            |entry| {
                if let Some(block) = block_at(entry, 3) {
                    block.transactions.pop();
                    block.header.transactions =
                        conclave_ledger::block::Block::transactions_root(&block.transactions);
                }
            },
            "height 4: the record follows",
        ),
        (
            "a signature of a voter",
            |entry| {
                if let Some(block) = block_at(entry, 3) {
                    let mut forged = Transaction::clone(&block.transactions[0]);
                    forged.signature.0[5] ^= 1;
                    block.transactions[0] = forged.into();
                    block.header.transactions =
                        conclave_ledger::block::Block::transactions_root(&block.transactions);
                }
            },
            "height 3: transaction 0",
        ),
        (
            "a later block",
            |entry| {
                if let Some(block) = block_at(entry, 5) {
                    block.header.timestamp += 1;
                }
            },
            "height 6: the record follows",
        ),
        (
            "another state",
            |entry| {
                if let Some(block) = block_at(entry, 4) {
                    block.header.state = Hash([1; 32]);
                }
            },
            "height 4: the state hash",
        ),
        (
            "a proof with a vote less",
            |entry| {
                if let Entry::Tip(tip) = entry {
                    let few = tip.proofs[1]
                        .signatures()
                        .iter()
                        .take(2)
                        .map(|(index, signature)| (index, *signature));
                    tip.proofs[1] = Proof::Certificate(few.collect());
                }
            },
            "height 6: its proof: 2 signatures",
        ),
        (
            "the proof of another height",
            |entry| {
                if let Entry::Tip(tip) = entry {
                    tip.proofs.swap(0, 1);
                }
            },
            "height 5: its proof",
        ),
        (
            "the state after the last height",
            |entry| {
                if let Entry::Tip(tip) = entry {
                    tip.state = Hash([1; 32]);
                }
            },
            "height 6: the tip's state hash",
        ),
    ];
    let network = network();
    for (what, change, message) in changes {
        let error = check(&rewritten(&network, change)).unwrap_err().to_string();
        assert!(error.contains(message), "{what}: {error}");
    }
    assert!(check(&rewritten(&network, |_| {})).is_ok());
}

#[test]
fn a_tally_that_is_not_that_of_the_ballots_is_found() {
    let network = network();
    let mut recount = Recount::default();
    for decided in &network.decided {
        let Decided::Block(block) = decided else { continue };
        let mut block = block.as_ref().clone();
        if block.header.height == 3 {
            block.transactions.pop();
        }
        recount.read(&block);
    }
    assert!(recount.compare(&network.chain.view()).is_err());
}
