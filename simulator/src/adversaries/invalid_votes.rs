//! Invalid votes: with its own words come signatures that are broken, of another height, for blocks that nobody has,
//! under other validators' names, and second votes.
//!
//! Second votes are evidence; the others are lies that everybody can see, for which it is disconnected.

use super::{Adversary, Moment, forge::unknown_block, moment::consensus};
use conclave_ledger::{
    keys::Signature,
    signed::{Height, Kind, SignatureSet, Value},
    validators::ValidatorIndex,
};
use conclave_protocol::{consensus::Message, node::Effect, peer::Peer};
use std::collections::BTreeSet;

/// See the module.
#[derive(Default)]
pub(super) struct InvalidVotes {
    height: Height,
    /// Who has had the height's lie.
    told: BTreeSet<Peer>,
}

/// A message that carries a vote of the adversary, with what it says of the leader's signature.
struct Said {
    height: Height,
    value: Value,
    votes: SignatureSet,
    endorsements: SignatureSet,
}

impl Said {
    fn of(message: Message) -> Option<Self> {
        match message {
            Message::Chain { height, block, votes, endorsements } => {
                Some(Self { height, value: Value::Block(block), votes, endorsements })
            }
            Message::Skip { height, votes } => {
                Some(Self { height, value: Value::Skip, votes, endorsements: SignatureSet::default() })
            }
            _ => None,
        }
    }

    fn message(self) -> Message {
        let Self { height, value, votes, endorsements } = self;
        match value {
            Value::Block(block) => Message::Chain { height, block, votes, endorsements },
            Value::Skip => Message::Skip { height, votes },
        }
    }

    /// The same with another signature of this signer.
    fn with_vote(mut self, signer: ValidatorIndex, signature: Signature) -> Self {
        self.votes = self.votes.iter().filter(|(index, _)| *index != signer).map(|(i, s)| (i, *s)).collect();
        self.votes.insert(signer, signature);
        self
    }
}

/// One of the lies.
fn lie(said: Said, at: &mut Moment<'_>) -> Option<Message> {
    let (me, height, value) = (at.index()?, said.height, said.value);
    let members = at.set().len();
    let own = *at.sign(height, Kind::Vote, value).get(me)?;
    Some(match at.below(6) {
        // Broken: a bit of it is wrong.
        0 => {
            let mut broken = own;
            broken.0[at.below(Signature::LENGTH)] ^= 1 << at.below(8);
            said.with_vote(me, broken).message()
        }
        // Of another height.
        1 => {
            let other = *at.sign(height.saturating_add(1), Kind::Vote, value).get(me)?;
            said.with_vote(me, other).message()
        }
        // Under the name of another validator.
        2 => {
            let other = (usize::from(me) + 1 + at.below(members.saturating_sub(1))) % members.max(1);
            said.with_vote(other as ValidatorIndex, own).message()
        }
        // Under a name that no validator has.
        3 => said.with_vote(members as ValidatorIndex, own).message(),
        // A chain on a block that nobody has, without its leader's word for it unless it is the leader itself.
        4 => {
            let block = unknown_block(at);
            let votes = at.sign(height, Kind::Vote, Value::Block(block));
            Message::Chain { height, block, votes, endorsements: SignatureSet::default() }
        }
        // A second vote.
        _ => match value {
            Value::Block(_) => Message::Skip { height, votes: at.sign(height, Kind::Vote, Value::Skip) },
            Value::Skip => {
                let proposed = at.coalition.height(height).blocks.keys().next().copied()?;
                let known = at.coalition.height(height).set(Kind::Vote, Value::Block(proposed));
                let second = *at.sign(height, Kind::Vote, Value::Block(proposed)).get(me)?;
                let value = Value::Block(proposed);
                Said { height, value, votes: known, endorsements: SignatureSet::default() }
                    .with_vote(me, second)
                    .message()
            }
        },
    })
}

impl Adversary for InvalidVotes {
    fn effect(&mut self, effect: Effect, at: &mut Moment<'_>) -> Vec<Effect> {
        let Some((peer, message)) = at.sends(&effect) else { return vec![effect] };
        at.coalition.learn(&message);
        if self.height != message.height() {
            self.height = message.height();
            self.told.clear();
        }
        let said = if self.told.contains(&peer) { None } else { Said::of(message) };
        let lie = said.and_then(|said| lie(said, at));
        self.told.extend(lie.is_some().then_some(peer));
        [effect].into_iter().chain(lie.map(|lie| consensus(peer, &lie))).collect()
    }

    fn overhear(&mut self, input: &conclave_protocol::node::Input, at: &mut Moment<'_>) -> Vec<Effect> {
        at.learn(input);
        Vec::new()
    }
}
