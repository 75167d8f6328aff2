//! A peer that says what it likes: a swarm over TCP and QUIC that speaks the node's protocols with bytes made by the
//! test. Frames go out as the bytes of a whole substream, so that a test can announce, cut and mix them at will.

use conclave::keys;
use conclave_behaviours::exchange::{self, Framing};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    codec,
    hash::{Hash, NetworkId},
    keys::SecretKey,
    transaction::{self, SharedTransaction},
};
use conclave_protocol::{
    admission::{self, Purpose, Puzzle},
    announcements::Announcement,
    handshake::{Binding, Hello, RefusalReason, Request, Response, Role},
    peer::Peer,
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, gossipsub, identify, noise,
    request_response::{self, Message},
    swarm::{DialError, NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle, dial_opts::DialOpts},
    tcp, yamux,
};
use std::{collections::VecDeque, time::Duration};

/// How long the node may take to react before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A substream that the attacker opens: the name of its protocol without network and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Handshake,
    Sync,
    Consensus,
    ConsensusBulk,
    Transactions,
    TransactionsBulk,
    Admission,
    Peers,
}

impl Lane {
    /// Those that whole networks cannot do without.
    pub(crate) const ALL: [Self; 6] = [
        Self::Handshake,
        Self::Sync,
        Self::Consensus,
        Self::ConsensusBulk,
        Self::Transactions,
        Self::TransactionsBulk,
    ];

    /// Whether what travels here is frames, each behind its length, and not one request.
    pub(crate) fn is_channel(self) -> bool {
        !matches!(self, Self::Handshake | Self::Sync | Self::Admission | Self::Peers)
    }
}

#[derive(NetworkBehaviour)]
struct Protocols {
    identify: identify::Behaviour,
    handshake: exchange::Behaviour,
    sync: exchange::Behaviour,
    consensus: exchange::Behaviour,
    consensus_bulk: exchange::Behaviour,
    transactions: exchange::Behaviour,
    transactions_bulk: exchange::Behaviour,
    admission: exchange::Behaviour,
    peers: exchange::Behaviour,
    gossipsub: Toggle<gossipsub::Behaviour>,
}

/// Gossipsub that knows messages by their author and number, so that it sends the same content as often as it is told.
fn announcer(key: &SecretKey, network: &str) -> gossipsub::Behaviour {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id(format!("/conclave/{network}/announcements/1"), gossipsub::Version::V1_1)
        .validation_mode(gossipsub::ValidationMode::Strict)
        .flood_publish(true)
        .build()
        .unwrap();
    gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Signed(keys::node_identity(key)), config)
        .unwrap()
}

impl Protocols {
    fn new(key: &SecretKey, network: &str, announces: bool) -> Self {
        let spoken = |name: &str, framing: Framing| {
            exchange::behaviour(&exchange::Config {
                name: format!("/conclave/{network}/{name}"),
                max_request_bytes: 1 << 20,
                max_response_bytes: 1 << 20,
                timeout: Duration::from_secs(20),
                max_concurrent: 256,
                framing,
            })
        };
        let exchange = |name| spoken(name, Framing::Length);
        // Frames, or what it likes to put in their place.
        let channel = |name| spoken(name, Framing::Substream);
        let public = keys::node_identity(key).public();
        Self {
            identify: identify::Behaviour::new(identify::Config::new("/conclave/1".into(), public)),
            handshake: exchange("handshake/1"),
            sync: exchange("sync/1"),
            consensus: channel("consensus/1"),
            consensus_bulk: channel("consensus/1/bulk"),
            transactions: channel("transactions/1"),
            transactions_bulk: channel("transactions/1/bulk"),
            admission: exchange("admission/1"),
            peers: exchange("peers/1"),
            gossipsub: announces.then(|| announcer(key, network)).into(),
        }
    }

    fn of(&mut self, lane: Lane) -> &mut exchange::Behaviour {
        match lane {
            Lane::Handshake => &mut self.handshake,
            Lane::Sync => &mut self.sync,
            Lane::Consensus => &mut self.consensus,
            Lane::ConsensusBulk => &mut self.consensus_bulk,
            Lane::Transactions => &mut self.transactions,
            Lane::TransactionsBulk => &mut self.transactions_bulk,
            Lane::Admission => &mut self.admission,
            Lane::Peers => &mut self.peers,
        }
    }
}

/// Something that the node did.
pub(crate) enum Seen {
    Connected(PeerId),
    DialFailed(String),
    Closed(PeerId),
    Asked(Lane, Vec<u8>, exchange::ResponseChannel),
    Answered(request_response::OutboundRequestId, Lane, Result<Vec<u8>, String>),
    /// The node takes announcements of a topic.
    Subscribed(gossipsub::TopicHash),
}

/// The attacker.
pub(crate) struct Attacker {
    swarm: Swarm<Protocols>,
    pub(crate) key: SecretKey,
    pub(crate) network: NetworkId,
    /// The height of the node that it last did the handshake with.
    pub(crate) their_height: u64,
    /// The height that it says it is at.
    pub(crate) claimed_height: u64,
    unread: VecDeque<Seen>,
}

/// The peer in the form of the machines.
pub(crate) fn peer_of(id: PeerId) -> Peer {
    Peer::from_bytes(&id.to_bytes()).unwrap()
}

impl Attacker {
    /// An attacker with a fresh identity. Needs a runtime.
    pub(crate) fn new(network: NetworkId) -> Self {
        Self::with_key(network, keys::generate().unwrap())
    }

    /// An attacker with this node key, on the protocols of `network`.
    pub(crate) fn with_key(network: NetworkId, key: SecretKey) -> Self {
        Self::made(network, key, false)
    }

    /// An attacker with a fresh identity that publishes announcements, too.
    #[allow(dead_code)] // For `tests/hostile` and `examples/flood`.
    pub(crate) fn announcing(network: NetworkId) -> Self {
        Self::made(network, keys::generate().unwrap(), true)
    }

    fn made(network: NetworkId, key: SecretKey, announces: bool) -> Self {
        let protocols = Protocols::new(&key, &network.to_string()[..16], announces);
        let swarm = SwarmBuilder::with_existing_identity(keys::node_identity(&key))
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_quic()
            .with_behaviour(|_| protocols)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        Self { swarm, key, network, their_height: 0, claimed_height: 0, unread: VecDeque::new() }
    }

    pub(crate) fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// What it is if it says the truth: an observer by its node key.
    pub(crate) fn observer(&self) -> Role {
        Role::Observer(self.key.public())
    }

    /// A `Hello` of this role with a challenge that is not random.
    pub(crate) fn hello(&self, role: Role) -> Hello {
        let (version, challenge) = ("attacker/1".to_owned(), Hash([7; 32]));
        let (network, height) = (self.network, self.claimed_height);
        Hello { network, role, version, height, record: None, challenge }
    }

    // --- What the node does ----------------------------------------------------------------------------------

    async fn next(&mut self) -> Seen {
        loop {
            let event = self.swarm.select_next_some().await;
            if let Some(seen) = translate(event) {
                return seen;
            }
        }
    }

    /// The first thing seen that `wanted` takes; the others wait.
    async fn wait<T>(&mut self, what: &str, mut wanted: impl FnMut(Seen) -> Result<T, Seen>) -> T {
        for _ in 0..self.unread.len() {
            match self.unread.pop_front().map(&mut wanted) {
                Some(Ok(found)) => return found,
                Some(Err(other)) => self.unread.push_back(other),
                None => {}
            }
        }
        let search = async {
            loop {
                match wanted(self.next().await) {
                    Ok(found) => return found,
                    Err(other) => self.unread.push_back(other),
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
    }

    /// Dials; the peer id of who answers, or why nobody does.
    pub(crate) async fn dial(&mut self, address: &str) -> Result<PeerId, String> {
        let options = DialOpts::from(address.parse::<Multiaddr>().unwrap());
        match self.swarm.dial(options) {
            Ok(()) => {}
            Err(DialError::DialPeerConditionFalse(_)) => return Err("connected already".into()),
            Err(error) => return Err(error.to_string()),
        }
        self.wait("a dial ends", |seen| match seen {
            Seen::Connected(peer) => Ok(Ok(peer)),
            Seen::DialFailed(reason) => Ok(Err(reason)),
            other => Err(other),
        })
        .await
    }

    /// Waits until somebody dials.
    #[allow(dead_code)] // For `tests/meeting`.
    pub(crate) async fn visited(&mut self) -> PeerId {
        self.wait("a node dials", |seen| match seen {
            Seen::Connected(peer) => Ok(peer),
            other => Err(other),
        })
        .await
    }

    /// Waits until no connection to the peer is left.
    pub(crate) async fn closed(&mut self, peer: PeerId) {
        self.wait("the node closes the connection", |seen| match seen {
            Seen::Closed(closed) if closed == peer => Ok(()),
            other => Err(other),
        })
        .await;
        self.unread.clear();
    }

    /// The next request that the node sends.
    pub(crate) async fn asked(&mut self) -> (Lane, Vec<u8>, exchange::ResponseChannel) {
        self.wait("the node asks", |seen| match seen {
            Seen::Asked(lane, bytes, channel) => Ok((lane, bytes, channel)),
            other => Err(other),
        })
        .await
    }

    /// What the node does next, for as long as it takes.
    #[allow(dead_code)] // For `tests/meeting`.
    pub(crate) async fn seen(&mut self) -> Seen {
        match self.unread.pop_front() {
            Some(seen) => seen,
            None => self.next().await,
        }
    }

    /// The next request that the node sends, or nothing when it ends the connection.
    #[allow(dead_code)] // For `examples/flood`.
    pub(crate) async fn asked_or_closed(
        &mut self,
        peer: PeerId,
    ) -> Option<(Lane, Vec<u8>, exchange::ResponseChannel)> {
        self.wait("the node asks, or ends the connection", |seen| match seen {
            Seen::Asked(lane, bytes, channel) => Ok(Some((lane, bytes, channel))),
            Seen::Closed(closed) if closed == peer => Ok(None),
            other => Err(other),
        })
        .await
    }

    /// Listens on loopback; the address with the peer id.
    pub(crate) async fn listen(&mut self) -> String {
        self.swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = self.swarm.select_next_some().await {
                return address.with_p2p(self.id()).unwrap().to_string();
            }
        }
    }

    // --- What the attacker does ------------------------------------------------------------------------------

    /// Sends bytes as a whole substream; the answer is seen later.
    pub(crate) fn send(
        &mut self,
        peer: PeerId,
        lane: Lane,
        bytes: Vec<u8>,
    ) -> request_response::OutboundRequestId {
        self.swarm.behaviour_mut().of(lane).send_request(&peer, bytes)
    }

    /// Answers what the node asked.
    pub(crate) fn answer(&mut self, lane: Lane, channel: exchange::ResponseChannel, bytes: Vec<u8>) {
        // A node that has gone meanwhile is seen to have.
        let _ = self.swarm.behaviour_mut().of(lane).send_response(channel, bytes);
    }

    /// Ends all connections.
    #[allow(dead_code)] // For `examples/flood`.
    pub(crate) async fn disconnect(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // One that has gone meanwhile is what is wanted.
            let _ = self.swarm.disconnect_peer_id(peer);
            self.closed(peer).await;
        }
        self.unread.clear();
    }

    /// Sends bytes as a whole substream and waits for the answer.
    pub(crate) async fn ask(&mut self, peer: PeerId, lane: Lane, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let number = self.send(peer, lane, bytes);
        self.wait("an answer, or its failure", |seen| match seen {
            Seen::Answered(answered, from, answer) if (answered, from) == (number, lane) => Ok(answer),
            other => Err(other),
        })
        .await
    }

    /// Asks in the handshake's own words.
    pub(crate) async fn shake(&mut self, peer: PeerId, request: &Request) -> Result<Response, String> {
        let bytes = self.ask(peer, Lane::Handshake, codec::encode(request)).await?;
        codec::decode(&bytes, 1 << 20).map_err(|error| error.to_string())
    }

    /// The proof that `key` makes of `role` for what the node said.
    pub(crate) fn proof(&self, peer: PeerId, theirs: &Hello, role: Role, key: &SecretKey) -> Request {
        let (prover, verifier) = (peer_of(self.id()), peer_of(peer));
        let binding = Binding { network: self.network, challenge: theirs.challenge, prover, verifier, role };
        Request::Proof { signature: binding.sign(key) }
    }

    /// Says `Hello` in this role; what the node answers.
    pub(crate) async fn greet(&mut self, peer: PeerId, role: Role) -> Result<Hello, RefusalReason> {
        self.try_greet(peer, role).await.unwrap_or_else(|error| panic!("an answer to a hello: {error}"))
    }

    async fn try_greet(&mut self, peer: PeerId, role: Role) -> Result<Result<Hello, RefusalReason>, String> {
        match self.shake(peer, &Request::Hello(self.hello(role))).await? {
            Response::Hello(theirs) => Ok(Ok(theirs)),
            Response::Refused(reason) => Ok(Err(reason)),
            other => Err(format!("{other:?}")),
        }
    }

    /// The whole handshake, as honest as any.
    pub(crate) async fn enter(
        &mut self,
        peer: PeerId,
        role: Role,
        key: &SecretKey,
    ) -> Result<(), RefusalReason> {
        self.try_enter(peer, role, key).await.unwrap_or_else(|error| panic!("an answer: {error}"))
    }

    /// The same where the connection may break: the outer error.
    pub(crate) async fn try_enter(
        &mut self,
        peer: PeerId,
        role: Role,
        key: &SecretKey,
    ) -> Result<Result<(), RefusalReason>, String> {
        let theirs = match self.try_greet(peer, role).await? {
            Ok(theirs) => theirs,
            Err(reason) => return Ok(Err(reason)),
        };
        self.their_height = theirs.height;
        let proof = self.proof(peer, &theirs, role, key);
        for request in [proof, Request::Done] {
            match self.shake(peer, &request).await? {
                Response::Proof { .. } | Response::Done => {}
                Response::Refused(reason) => return Ok(Err(reason)),
                Response::Hello(hello) => return Err(format!("{hello:?}")),
            }
        }
        Ok(Ok(()))
    }

    /// The whole way in: handshake, and the work that the node asks for.
    #[allow(dead_code)] // Not in every test binary.
    pub(crate) async fn be_admitted(&mut self, peer: PeerId, bits: u8) -> Result<(), String> {
        let (role, key) = (self.observer(), self.key.clone());
        self.try_enter(peer, role, &key).await?.map_err(|reason| reason.to_string())?;
        loop {
            let (lane, bytes, channel) = self.asked().await;
            if lane != Lane::Admission {
                continue;
            }
            let shown = self.solve(peer, &bytes, channel, bits).ok_or("no challenge")?;
            let answer = self.ask(peer, Lane::Admission, shown).await?;
            return match codec::decode(&answer, 1 << 10) {
                Ok(admission::Response::Admitted) => Ok(()),
                other => Err(format!("{other:?}")),
            };
        }
    }

    /// Accepts a challenge; what is to be shown for it.
    pub(crate) fn solve(
        &mut self,
        peer: PeerId,
        challenge: &[u8],
        channel: exchange::ResponseChannel,
        bits: u8,
    ) -> Option<Vec<u8>> {
        let Ok(admission::Request::Challenge { nonce, .. }) = codec::decode(challenge, 1 << 10) else {
            return None;
        };
        self.answer(Lane::Admission, channel, codec::encode(&admission::Response::Accepted));
        let solution = work(Purpose::Admission, self.network, (peer, self.id()), nonce, bits);
        Some(codec::encode(&admission::Request::Solution { nonce, solution }))
    }

    /// Waits until the node says that it takes announcements of this type.
    #[allow(dead_code)] // For `tests/hostile`.
    pub(crate) async fn subscribed(&mut self, data_type: u16) {
        let name = self.topic(data_type).hash();
        self.wait("the node subscribes", |seen| match seen {
            Seen::Subscribed(topic) if topic == name => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// Publishes an announcement to whoever takes its type, whether that was done before or not.
    #[allow(dead_code)] // For `tests/hostile` and `examples/flood`.
    pub(crate) fn publish(&mut self, announcement: &Announcement) -> Result<(), String> {
        // The first byte says that the message is known by its bytes alone.
        let bytes = [&[0], announcement.encode().as_slice()].concat();
        let topic = self.topic(announcement.data_type);
        let gossipsub = self.swarm.behaviour_mut().gossipsub.as_mut().unwrap();
        gossipsub.publish(topic, bytes).map(drop).map_err(|error| error.to_string())
    }

    fn topic(&self, data_type: u16) -> gossipsub::IdentTopic {
        let network = &self.network.to_string()[..16];
        gossipsub::IdentTopic::new(format!("/conclave/{network}/announcements/{data_type}/1"))
    }

    /// Lets the swarm work until the connection to the peer is closed, or for this long; whether it is closed.
    #[allow(dead_code)] // For `tests/hostile` and `examples/flood`.
    pub(crate) async fn closed_within(&mut self, peer: PeerId, time: Duration) -> bool {
        let is_end = |seen: &Seen| matches!(seen, Seen::Closed(closed) if *closed == peer);
        if self.unread.drain(..).any(|seen| is_end(&seen)) {
            return true;
        }
        let end = async { while !is_end(&self.next().await) {} };
        tokio::time::timeout(time, end).await.is_ok()
    }
}

/// A frame of a channel: its length, then its bytes.
#[allow(dead_code)] // For `tests/hostile` and `examples/flood`.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    [(body.len() as u32).to_be_bytes().as_slice(), body].concat()
}

/// So many transactions by somebody unknown, which have no stamp; others for each `number`.
#[allow(dead_code)] // For `tests/hostile` and `examples/flood`.
pub(crate) fn unstamped(
    network: NetworkId,
    expires: u64,
    number: usize,
    count: usize,
) -> Vec<SharedTransaction> {
    let key = SecretKey::from_seed([5; 32]);
    let transaction = |item: usize| {
        let data = [number.to_be_bytes(), item.to_be_bytes()].concat();
        let payload = Payload::Record(Record { kind: "flood".into(), data: Bytes(data) });
        transaction::Request { network, sender: key.public(), expires, payload }.sign(&key).into()
    };
    (0..count).map(transaction).collect()
}

/// The work that a node asks for.
pub(crate) fn work(
    purpose: Purpose,
    network: NetworkId,
    (verifier, prover): (PeerId, PeerId),
    nonce: u64,
    bits: u8,
) -> u64 {
    let (verifier, prover) = (peer_of(verifier), peer_of(prover));
    Puzzle { purpose, network, verifier, prover, nonce, bits }.search().attempt(0, 1 << 24).unwrap()
}

fn translate(event: SwarmEvent<ProtocolsEvent>) -> Option<Seen> {
    match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => Some(Seen::Connected(peer_id)),
        SwarmEvent::OutgoingConnectionError { error, .. } => Some(Seen::DialFailed(error.to_string())),
        SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => Some(Seen::Closed(peer_id)),
        SwarmEvent::Behaviour(event) => match event {
            ProtocolsEvent::Handshake(event) => exchange_seen(Lane::Handshake, event),
            ProtocolsEvent::Sync(event) => exchange_seen(Lane::Sync, event),
            ProtocolsEvent::Consensus(event) => exchange_seen(Lane::Consensus, event),
            ProtocolsEvent::ConsensusBulk(event) => exchange_seen(Lane::ConsensusBulk, event),
            ProtocolsEvent::Transactions(event) => exchange_seen(Lane::Transactions, event),
            ProtocolsEvent::TransactionsBulk(event) => exchange_seen(Lane::TransactionsBulk, event),
            ProtocolsEvent::Admission(event) => exchange_seen(Lane::Admission, event),
            ProtocolsEvent::Peers(event) => exchange_seen(Lane::Peers, event),
            ProtocolsEvent::Identify(_) => None,
            ProtocolsEvent::Gossipsub(event) => match event {
                gossipsub::Event::Subscribed { topic, .. } => Some(Seen::Subscribed(topic)),
                _ => None,
            },
        },
        _ => None,
    }
}

fn exchange_seen(lane: Lane, event: exchange::Event) -> Option<Seen> {
    match event {
        exchange::Event::Message { message: Message::Request { request, channel, .. }, .. } => {
            Some(Seen::Asked(lane, request, channel))
        }
        exchange::Event::Message { message: Message::Response { request_id, response }, .. } => {
            Some(Seen::Answered(request_id, lane, Ok(response)))
        }
        exchange::Event::OutboundFailure { request_id, error, .. } => {
            Some(Seen::Answered(request_id, lane, Err(error.to_string())))
        }
        _ => None,
    }
}
