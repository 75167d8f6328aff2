//! What the logic tells those who watch: the log, the metrics, the status and the subscribers of events.

use super::Driver;
use crate::node::{
    block_log::What,
    handle::{NodeEvent, PeerInfo},
    network,
};
use conclave_ledger::block::Decided;
use conclave_protocol::{admission::Outcome, node::Notice};

impl Driver {
    pub(super) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Opened { height, leader } => self.publish(NodeEvent::Opened { height, leader }),
            Notice::Voted { height, value } => self.publish(NodeEvent::Voted { height, value }),
            Notice::Halted { height, closing, quorum } => {
                tracing::warn!(
                    height,
                    closing,
                    quorum,
                    "the height cannot close: too few validators are reachable"
                );
                self.status.halted = Some(height);
                self.metrics.halted.set(1);
                self.publish(NodeEvent::Halted { height, closing, quorum });
            }
            Notice::PeerConnected { peer, validator, height, version } => {
                let Some(id) = network::id_of(&peer) else { return };
                let set = self.node.chain().validators();
                let member = validator.and_then(|key| set.get(set.index_of(&key)?));
                let info = PeerInfo {
                    peer_id: id.to_base58(),
                    validator: member.map(|member| member.validator.key),
                    name: member.map(|member| member.validator.name.clone()),
                    height,
                    version,
                    address: self.network.address_of(&id),
                };
                tracing::info!(peer = info.peer_id, name = info.name, height, "a peer is connected");
                if info.validator.is_some() {
                    self.network.count_no_longer(&peer);
                }
                self.connected.insert(peer, info.clone());
                self.metrics.peers.set(self.connected.len() as i64);
                self.publish(NodeEvent::PeerConnected(info));
            }
            Notice::PeerLost(peer) => {
                let peer_id = network::text_of(&peer);
                tracing::info!(peer = peer_id, "a peer is gone");
                self.connected.remove(&peer);
                self.metrics.peers.set(self.connected.len() as i64);
                self.publish(NodeEvent::PeerLost { peer_id });
            }
            Notice::PeerRefused { peer, reason, by_us } => {
                self.metrics.refused(reason, by_us);
                let peer = network::text_of(&peer);
                if by_us {
                    tracing::warn!(peer, %reason, "refused a peer");
                } else {
                    tracing::warn!(peer, %reason, "a peer refused this node");
                }
                self.publish(NodeEvent::PeerRefused { peer_id: peer, reason: reason.to_string(), by_us });
            }
            Notice::PeerPenalized { peer, severity, reason } => {
                let peer_id = network::text_of(&peer);
                self.metrics.penalized(severity);
                tracing::warn!(peer = peer_id, reason, "a peer is blamed");
                self.publish(NodeEvent::PeerPenalized { peer_id, reason });
            }
            Notice::PeerTransactions { outcome, count } => {
                self.metrics.peer_transactions(outcome.name(), count);
            }
            Notice::Admitted { peer, outcome } => {
                let outcome = match outcome {
                    Outcome::Worked => "worked",
                    Outcome::Remembered => "remembered",
                    Outcome::Exempt => "exempt",
                };
                self.metrics.admission(outcome);
                tracing::debug!(peer = network::text_of(&peer), outcome, "a peer is admitted");
            }
            Notice::AdmittedBy(peer) => {
                tracing::debug!(peer = network::text_of(&peer), "admitted by a peer");
            }
            Notice::NotAdmitted { peer, reason, by_us } => {
                let peer = network::text_of(&peer);
                if by_us {
                    self.metrics.admission(reason.name());
                    tracing::warn!(peer, %reason, "a peer is not admitted");
                } else {
                    tracing::warn!(peer, %reason, "not admitted by a peer");
                }
            }
            Notice::PeersTold { by, count } => {
                tracing::debug!(peer = network::text_of(&by), count, "a peer told of others");
            }
            Notice::RecordsRefused(peer) => {
                self.metrics.records_refused.inc();
                tracing::warn!(peer = network::text_of(&peer), "a peer told of others what does not hold");
            }
            Notice::AddressSilent(address) => {
                tracing::warn!(address, "nobody answers there; it is tried slowly from now on");
            }
            Notice::CatchingUp { height, target } => {
                tracing::info!(height, target, "catching up");
                self.status.catching_up_to = Some(target);
                self.publish(NodeEvent::CatchingUp { height, target });
            }
            Notice::CaughtUp(height) => {
                if self.status.catching_up_to.take().is_some() {
                    tracing::info!(height, "at the tip");
                }
            }
            Notice::Undone(blocks) => {
                let from = blocks.first().map_or(0, |block| block.header.height);
                tracing::info!(
                    from,
                    blocks = blocks.len(),
                    "a branch with more work takes the place of the last blocks"
                );
                for block in blocks.into_iter().rev() {
                    self.metrics.undone_blocks.inc();
                    let decided = Decided::Block(block.clone());
                    self.block_log.note(What::Undone, &decided);
                    self.publish(NodeEvent::Undone(block));
                }
            }
            Notice::BlockRefused { rule } => {
                self.metrics.block_refused(rule);
                tracing::debug!(rule, "a header or block is refused");
            }
            Notice::Diverged(peer) => {
                self.metrics.diverged_peers.inc();
                let peer = network::text_of(&peer);
                tracing::error!(
                    peer,
                    "the chain of a peer parts from this node's further back than this node goes by itself. If most \
                     others have that chain, let this node catch up in a fresh home"
                );
            }
            Notice::Misbehaved { validator, height } => {
                tracing::error!(%validator, height, "a validator signed against itself; the evidence is submitted");
            }
            Notice::Failed(reason) => {
                tracing::error!(reason, "this node no longer takes part");
                self.status.failed = Some(reason);
            }
            Notice::Left => self.has_left = true,
        }
    }
}
