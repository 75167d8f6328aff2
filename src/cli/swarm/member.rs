//! The loop of a member: events of the swarm to lines, lines of standard input to messages.

use super::{
    JoinSwarm,
    event::Event,
    publishing::{Waiting, lines_of_stdin},
};
use crate::{
    cli::{
        failure::{Context, Failure, Outcome},
        output::Output,
        probe::reason,
    },
    keys,
};
use conclave_behaviours::public_swarm::{self, Behaviour, BehaviourEvent, Config, Messages, Ping};
use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm, gossipsub, identify, kad,
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

/// A peer in somebody else's swarm.
pub(super) struct Member {
    swarm: Swarm<Behaviour>,
    form: Output,
    topics: Vec<String>,
    waiting: Waiting,
    stdin: Option<mpsc::Receiver<Vec<u8>>>,
    /// Messages of others that are still wanted.
    wanted: Option<u64>,
    /// Dials of bootstrap addresses under way.
    dials: BTreeMap<ConnectionId, Multiaddr>,
    /// Size of the Kademlia table as it was last shown.
    known: usize,
}

impl Member {
    /// Starts listening, dialling and subscribing.
    ///
    /// # Errors
    /// When an address or a topic cannot be used, or nobody can be dialled.
    pub(super) fn join(flags: JoinSwarm, form: Output) -> Outcome<Self> {
        let messages = if flags.anonymous { Messages::Anonymous } else { Messages::Signed };
        let config = Config {
            agent: concat!("conclave/", env!("CARGO_PKG_VERSION")).into(),
            ping: Ping::default(),
            kademlia: flags.kademlia,
            serves: !flags.listen.is_empty(),
            messages: (!flags.topics.is_empty()).then_some(messages),
        };
        let swarm = public_swarm::build(keys::node_identity(&keys::generate()?), &config)?;
        let mut waiting = Waiting::default();
        flags.publish.iter().for_each(|text| waiting.add(&flags.topics, text.as_bytes()));
        let mut member = Self {
            swarm,
            form,
            topics: flags.topics,
            waiting,
            stdin: flags.stdin.then(lines_of_stdin),
            wanted: flags.messages,
            dials: BTreeMap::new(),
            known: 0,
        };
        Event::Started { peer: member.swarm.local_peer_id().to_string() }.show(form)?;
        member.subscribe()?;
        for address in flags.listen {
            member.swarm.listen_on(address.clone()).context(|| format!("cannot listen on {address}"))?;
        }
        flags.bootstrap.into_iter().try_for_each(|address| member.dial(address))?;
        Ok(member)
    }

    fn subscribe(&mut self) -> Outcome {
        for topic in &self.topics {
            if let Some(gossipsub) = self.swarm.behaviour_mut().gossipsub.as_mut() {
                gossipsub
                    .subscribe(&gossipsub::IdentTopic::new(topic))
                    .context(|| format!("cannot subscribe to {topic:?}"))?;
            }
        }
        Ok(())
    }

    fn dial(&mut self, address: Multiaddr) -> Outcome {
        let dial = DialOpts::unknown_peer_id().address(address.clone()).build();
        let id = dial.connection_id();
        self.swarm.dial(dial).context(|| format!("cannot dial {address}"))?;
        self.dials.insert(id, address);
        Ok(())
    }

    /// Runs until it is enough, or Ctrl-C or SIGTERM.
    ///
    /// # Errors
    /// When nobody was met, or fewer messages came than were wanted.
    pub(super) async fn run(mut self, duration: Option<Duration>) -> Outcome {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let end = Instant::now() + duration.unwrap_or(Duration::from_secs(365 * 86_400));
        let mut met = 0_u64;
        while self.wanted != Some(0) {
            tokio::select! {
                event = self.swarm.select_next_some() => {
                    met += u64::from(matches!(event, SwarmEvent::ConnectionEstablished { .. }));
                    self.event(event)?;
                }
                line = next_line(&mut self.stdin), if self.waiting.has_room() => match line {
                    Some(line) => {
                        self.waiting.add(&self.topics, &line);
                        self.publish()?;
                    }
                    None => self.stdin = None,
                },
                () = tokio::time::sleep_until(end) => break,
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            }
        }
        match self.wanted {
            Some(missing @ 1..) => {
                Err(Failure::new(format!("time is up, and {missing} messages are missing")))
            }
            _ if met == 0 => Err(Failure::new("time is up, and no peer was met")
                .advise("Check the addresses with `conclave probe`, or wait longer with --for.")),
            _ => Ok(()),
        }
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Outcome {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                let id = *self.swarm.local_peer_id();
                let address = address.with_p2p(id).unwrap_or_else(|address| address).to_string();
                Event::Listening { address }.show(self.form)
            }
            SwarmEvent::ConnectionEstablished {
                peer_id, connection_id, endpoint, num_established, ..
            } => {
                self.dials.remove(&connection_id);
                if num_established.get() > 1 {
                    return Ok(());
                }
                let address = endpoint.get_remote_address().to_string();
                Event::Connected { peer: peer_id.to_string(), address, dialled: endpoint.is_dialer() }
                    .show(self.form)
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                Event::Disconnected { peer: peer_id.to_string() }.show(self.form)
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.dial_failed(connection_id, &error)
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                let ignored_addresses = self.swarm.behaviour_mut().learn(peer_id, &info);
                Event::Identified {
                    peer: peer_id.to_string(),
                    agent: info.agent_version,
                    protocols: info.protocols.iter().map(ToString::to_string).collect(),
                    addresses: info.listen_addrs.iter().map(ToString::to_string).collect(),
                    ignored_addresses,
                }
                .show(self.form)
            }
            SwarmEvent::Behaviour(BehaviourEvent::Kademlia(event)) => self.kademlia(&event),
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(event)) => self.gossip(event),
            _ => Ok(()),
        }
    }

    /// A failed dial of a bootstrap address is worth a line; those of Kademlia, which tries many, are not.
    fn dial_failed(&mut self, id: ConnectionId, error: &DialError) -> Outcome {
        let Some(address) = self.dials.remove(&id) else { return Ok(()) };
        Event::Unreachable { address: address.to_string(), reason: reason(error) }.show(self.form)
    }

    fn kademlia(&mut self, event: &kad::Event) -> Outcome {
        if !matches!(event, kad::Event::RoutingUpdated { .. } | kad::Event::OutboundQueryProgressed { .. }) {
            return Ok(());
        }
        let Some(kademlia) = self.swarm.behaviour_mut().kademlia.as_mut() else { return Ok(()) };
        let peers = kademlia.kbuckets().map(|bucket| bucket.num_entries()).sum();
        if peers == self.known {
            return Ok(());
        }
        self.known = peers;
        Event::Kademlia { peers }.show(self.form)
    }

    fn gossip(&mut self, event: gossipsub::Event) -> Outcome {
        match event {
            gossipsub::Event::Message { propagation_source, message, .. } => {
                self.wanted = self.wanted.map(|wanted| wanted - 1);
                let hex = || conclave_ledger::bytes::to_hex(&message.data);
                let text = std::str::from_utf8(&message.data).ok().map(String::from);
                Event::Message {
                    topic: message.topic.into_string(),
                    author: message.source.map(|author| author.to_string()),
                    from: propagation_source.to_string(),
                    hex: text.is_none().then(hex),
                    text,
                }
                .show(self.form)
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                Event::Subscribed { peer: peer_id.to_string(), topic: topic.into_string() }
                    .show(self.form)?;
                self.publish()
            }
            gossipsub::Event::Unsubscribed { peer_id, topic } => {
                Event::Unsubscribed { peer: peer_id.to_string(), topic: topic.into_string() }.show(self.form)
            }
            _ => Ok(()),
        }
    }

    /// Publishes what somebody wants.
    fn publish(&mut self) -> Outcome {
        let Some(gossipsub) = self.swarm.behaviour_mut().gossipsub.as_mut() else { return Ok(()) };
        let mut events = Vec::new();
        self.waiting.offer(|topic, message| {
            let published = gossipsub.publish(gossipsub::IdentTopic::new(topic), message.to_vec());
            let topic = topic.to_owned();
            match published {
                Ok(_) => events.push(Event::Published { topic, bytes: message.len() }),
                Err(
                    gossipsub::PublishError::NoPeersSubscribedToTopic
                    | gossipsub::PublishError::AllQueuesFull(_),
                ) => return true,
                Err(error) => {
                    let reason = match error {
                        gossipsub::PublishError::MessageTooLarge => {
                            format!("a message has at most {} bytes", public_swarm::MAX_MESSAGE_BYTES)
                        }
                        gossipsub::PublishError::Duplicate => "it was published before".into(),
                        error => error.to_string(),
                    };
                    events.push(Event::NotPublished { topic, reason });
                }
            }
            false
        });
        events.iter().try_for_each(|event| event.show(self.form))
    }
}

/// The next line of standard input; never where it is not read.
async fn next_line(stdin: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match stdin {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}
