//! What a peer is sent again after a reconnect: everything signed or accepted in this height, in order (rule P1
//! rests on that); but what was decided without a certificate before all that led to it.

use super::{Instance, closing::collect};
use crate::consensus::message::Message;
use conclave_ledger::signed::Value;

impl Instance {
    /// Everything that this node has said in this height, as one sequence of messages.
    pub(in crate::consensus) fn resend(&mut self) -> Vec<Message> {
        let height = self.height();
        let mut messages = Vec::new();
        for block in self.extracted.clone() {
            // The chain first: who has it keeps the body, whoever sends that.
            messages.push(self.chain(&block));
            messages.extend(self.blocks.get(&block).cloned().map(Message::Block));
        }
        // A vote for a block whose body the log does not hold any more is still said, with the leader's signature.
        if let Some(Value::Block(block)) = self.my_vote()
            && !self.extracted.contains(&block)
            && self.chain_signature(self.leader, &block).is_some()
        {
            messages.push(self.chain(&block));
        }
        let votes = self.votes_for(&Value::Skip);
        if self.my_vote() == Some(Value::Skip) {
            messages.push(Message::Skip { height, votes });
        }
        messages.extend(self.relay_certificate());
        messages.extend(self.extracted.clone().iter().filter_map(|block| self.support_message(block)));
        if self.me.is_some_and(|me| self.closings.contains(&me)) {
            messages.push(Message::Closing { height });
        }
        if let Some((value, _)) = self.me.and_then(|me| self.settles.get(&me)) {
            messages.push(Message::Settle { height, value: *value, settles: collect(&self.settles, value) });
        }
        if let Some((value, _)) = self.me.and_then(|me| self.commits.get(&me)) {
            let commit = Message::Commit { height, value: *value, commits: collect(&self.commits, value) };
            // A decision without a certificate comes first: among the votes that were seen since may be those of a certificate
            // that a liar kept back, and who was away must not put it together before it hears of the decision.
            let place = if self.decision.is_some() { 0 } else { messages.len() };
            messages.insert(place, commit);
        }
        messages
    }
}
