//! The machine around the table: who is connected, who is dialled, and what is due.

use super::{
    entry::{Entry, Standing, Teller},
    event::{Command, Config, Event, Release},
    places::Places,
    source::Source,
    table::Table,
};
use crate::{
    machine::{Input, Machine, Output},
    network_group::NetworkGroup,
    peer::Peer,
    peer_record::PeerRecord,
    time::Time,
};
use conclave_ledger::keys::PublicKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    time::Duration,
};

/// Connections that are kept over a restart.
pub const ANCHORS: usize = 2;

/// How long an observer may stay for which there is no place, once it is admitted: to ask for addresses.
pub const VISIT: Duration = Duration::from_secs(30);

/// How long it may stay without asking.
pub const ASKS_WITHIN: Duration = Duration::from_secs(3);

/// How long it stays when it was answered, so that the answer gets there.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// Most peers that are kept out of the table.
const MAX_KEPT_OUT: usize = 1024;

/// After this time a dial that led to nothing has failed.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before the second dial of a peer; it doubles each time, with jitter of up to a quarter.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest pause between two dials of a peer.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// How long a peer is left alone that had no place for this node; it doubles each time in a row.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// Longest such pause. A connection that lasted longer was none of those that are ended for want of room.
const LONGEST_FULL_PAUSE: Duration = Duration::from_secs(60);

/// Pause before the finders are asked again while too few peers are known; it doubles each time.
const FIRST_WANT: Duration = Duration::from_secs(2);

/// How long changes of the table are gathered before they are written.
const SAVE_AFTER: Duration = Duration::from_secs(5);

/// A connection whose handshake is done.
pub(super) struct Connection {
    pub(super) since: Time,
    pub(super) dialled: bool,
    pub(super) validator: Option<PublicKey>,
    pub(super) group: NetworkGroup,
    pub(super) record: Option<PeerRecord>,
    pub(super) admitted: bool,
    pub(super) visits_until: Option<Time>,
}

/// The machine.
pub struct KnownPeers {
    pub(super) config: Config,
    pub(super) random: ChaCha20Rng,
    pub(super) table: Table,
    pub(super) connected: BTreeMap<Peer, Connection>,
    pub(super) validators: BTreeSet<PublicKey>,
    pub(super) is_validator: bool,
    kept_out: BTreeMap<Peer, Time>,
    /// A fresh peer that is being met, and whose place it takes.
    replacing: Option<(Peer, Peer)>,
    next_refresh: Time,
    /// When the finders are asked again, and the pause after that.
    next_want: Time,
    want_pause: Duration,
    save_at: Option<Time>,
    pub(super) leaving: bool,
    outputs: VecDeque<Output<Self>>,
}

impl KnownPeers {
    /// A machine that knows nobody.
    pub fn new(config: Config, now: Time) -> Self {
        Self {
            random: ChaCha20Rng::from_seed(config.seed),
            table: Table::new(config.max_known_peers),
            connected: BTreeMap::new(),
            validators: BTreeSet::new(),
            is_validator: false,
            kept_out: BTreeMap::new(),
            replacing: None,
            next_refresh: now + config.refresh_interval,
            next_want: now,
            want_pause: FIRST_WANT,
            save_at: None,
            leaving: false,
            outputs: VecDeque::new(),
            config,
        }
    }

    /// What is known.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Whether a peer is connected, its handshake done.
    pub fn is_connected(&self, peer: &Peer) -> bool {
        self.connected.contains_key(peer)
    }

    /// Whether a peer is being dialled, or met.
    pub fn is_dialled(&self, peer: &Peer) -> bool {
        self.table.get(peer).is_some_and(|entry| entry.dialling_until.is_some())
    }

    /// The longest connections of the kind that may be replaced: they are not.
    pub fn anchors(&self) -> Vec<Peer> {
        let mut held: Vec<(Time, Peer)> = self
            .connected
            .iter()
            .filter(|(_, connection)| connection.dialled && connection.validator.is_none())
            .map(|(peer, connection)| (connection.since, *peer))
            .collect();
        held.sort_unstable();
        held.into_iter().take(ANCHORS).map(|(_, peer)| peer).collect()
    }

    /// Records of peers that were met, for a peer that asks: validators first, the others by chance.
    pub fn choose(&mut self, limit: usize, asker: &Peer) -> Vec<(PeerRecord, Option<PublicKey>)> {
        let mut good: Vec<(bool, u32, PeerRecord, Option<PublicKey>)> = Vec::new();
        for (peer, entry) in self.table.iter() {
            if let Some(record) = &entry.record
                && entry.met
                && entry.failures == 0
                && peer != asker
                && !record.addresses().is_empty()
            {
                let key = match entry.standing {
                    Standing::Validates(key) => Some(key),
                    _ => None,
                };
                good.push((key.is_none(), self.random.next_u32(), record.clone(), key));
            }
        }
        good.sort_unstable_by_key(|(is_observer, chance, ..)| (*is_observer, *chance));
        good.into_iter().take(limit).map(|(_, _, record, key)| (record, key)).collect()
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    fn changed(&mut self, now: Time) {
        self.save_at.get_or_insert(now + SAVE_AFTER);
    }

    // --- What is heard ---------------------------------------------------------------------------------------

    /// The entry of a peer, if it may have one.
    fn entry(
        &mut self,
        peer: Peer,
        teller: Teller,
        group: NetworkGroup,
        met: bool,
        now: Time,
    ) -> Option<&mut Entry> {
        let is_kept_out = self.kept_out.get(&peer).is_some_and(|until| now < *until);
        if peer == self.config.peer || is_kept_out {
            return None;
        }
        let (before, connected) = (self.table.get(&peer).is_some(), &self.connected);
        self.table.entry(peer, (teller, group), met, now, |peer| connected.contains_key(peer))?;
        if !before {
            // Who told of somebody new may soon know of more.
            self.want_pause = FIRST_WANT;
        }
        self.changed(now);
        self.table.get_mut(&peer)
    }

    fn found(&mut self, peer: Peer, addresses: Vec<String>, (source, teller): (Source, Teller), now: Time) {
        let group = addresses.first().map_or(NetworkGroup::Other, |address| NetworkGroup::of(address));
        if let Some(entry) = self.entry(peer, teller, group, false, now) {
            entry.sources.insert(source);
            entry.heard = now;
            entry.take_addresses(&peer, addresses);
        }
    }

    fn told(&mut self, by: Peer, record: PeerRecord, validator: Option<PublicKey>, now: Time) {
        let peer = record.peer();
        let Some(group) = record.addresses().first().map(|address| NetworkGroup::of(address)) else { return };
        if let Some(entry) = self.entry(peer, Teller::Peer(by), group, false, now) {
            entry.sources.insert(Source::PeerExchange);
            entry.heard = now;
            entry.take_record(record);
            if let (Standing::Unknown, Some(key)) = (entry.standing, validator) {
                entry.standing = Standing::SaidToValidate(key);
            }
        }
    }

    // --- Connections -----------------------------------------------------------------------------------------

    fn met(&mut self, peer: Peer, connection: Connection) {
        let (dialled, validator, now) = (connection.dialled, connection.validator, connection.since);
        self.connected.insert(peer, connection);
        self.table.get_mut(&peer).into_iter().for_each(|entry| entry.dialling_until = None);
        if dialled || validator.is_some() {
            self.enter(peer, now);
        }
        let is_configured =
            self.table.get(&peer).is_some_and(|entry| entry.sources.contains(&Source::Configured));
        if self.is_validator && dialled && validator.is_none() && !is_configured {
            return self.release(peer, Release::NotNeeded, now);
        }
        let Places { settled, visitors, .. } = self.places();
        if !dialled && validator.is_none() && self.incoming().count() > settled + visitors {
            self.release(peer, Release::Full, now);
        }
    }

    /// How the connections of this node are divided now.
    pub(super) fn places(&self) -> Places {
        if self.is_validator {
            return Places::of_validator(&self.config, self.validators.len());
        }
        let dialled = self.connected.values().filter(|connection| connection.dialled).count();
        Places::of_observer(&self.config, dialled)
    }

    /// Observers that dialled this node.
    fn incoming(&self) -> impl Iterator<Item = &Connection> {
        self.connected.values().filter(|connection| !connection.dialled && connection.validator.is_none())
    }

    /// Puts a connected peer into the table.
    fn enter(&mut self, peer: Peer, now: Time) {
        let Some(Connection { dialled, validator, group, record, .. }) = self.connected.get(&peer) else {
            return;
        };
        let (dialled, validator, group, record) = (*dialled, *validator, *group, record.clone());
        if let Some(entry) = self.entry(peer, Teller::Peer(peer), group, true, now) {
            if !dialled {
                entry.sources.insert(Source::Incoming);
            }
            (entry.met, entry.failures, entry.dialling_until) = (true, 0, None);
            (entry.heard, entry.group) = (now, group);
            entry.standing = validator.map_or(Standing::Observes, Standing::Validates);
            record.into_iter().for_each(|record| entry.take_record(record));
        }
    }

    fn admitted(&mut self, peer: Peer, now: Time) {
        let settled = self.incoming().filter(|one| one.admitted && one.visits_until.is_none()).count();
        let is_full = settled >= self.places().settled;
        let Some(connection) = self.connected.get_mut(&peer) else { return };
        if std::mem::replace(&mut connection.admitted, true) {
            return;
        }
        let is_observer = !connection.dialled && connection.validator.is_none();
        if is_observer && is_full {
            connection.visits_until = Some(now + ASKS_WITHIN);
        }
        self.enter(peer, now);
        if let Some((_, old)) = self.replacing.take_if(|(fresh, _)| *fresh == peer) {
            self.release(old, Release::NotNeeded, now);
        }
    }

    /// A visitor may stay until then.
    fn visits_until(&mut self, peer: &Peer, until: Time) {
        let visit = self.connected.get_mut(peer).and_then(|connection| connection.visits_until.as_mut());
        visit.into_iter().for_each(|visit| *visit = until);
    }

    fn release(&mut self, peer: Peer, why: Release, now: Time) {
        self.connected.remove(&peer);
        if let Some(entry) = self.table.get_mut(&peer) {
            entry.next_dial = now + self.config.refresh_interval;
            entry.anchor = false;
        }
        self.emit(Event::Release { peer, why });
    }

    fn disconnected(&mut self, peer: Peer, now: Time) {
        if let Some(connection) = self.connected.remove(&peer) {
            self.want_pause = FIRST_WANT;
            self.next_want = self.next_want.min(now + FIRST_WANT);
            let pause = self.pause(0);
            if let Some(entry) = self.table.get_mut(&peer) {
                entry.next_dial = entry.next_dial.max(now + pause);
                if now.since(connection.since) > LONGEST_FULL_PAUSE {
                    entry.full = 0;
                }
            }
        }
    }

    /// A dial, a handshake or an admission led to nothing.
    fn failed(&mut self, peer: Peer, for_want_of_room: bool, now: Time) {
        self.replacing.take_if(|(fresh, _)| *fresh == peer);
        let (failures, full) = self.table.get(&peer).map_or((0, 0), |entry| (entry.failures, entry.full));
        let pause = if for_want_of_room {
            FULL_PAUSE.saturating_mul(1 << full.min(16)).min(LONGEST_FULL_PAUSE)
        } else {
            self.pause(failures)
        };
        let Some(entry) = self.table.get_mut(&peer) else { return };
        entry.dialling_until = None;
        entry.anchor = false;
        entry.next_dial = entry.next_dial.max(now + pause);
        if for_want_of_room {
            entry.full = entry.full.saturating_add(1);
            return;
        }
        entry.failures += 1;
        let is_configured = entry.sources.contains(&Source::Configured);
        if entry.failures >= self.config.max_attempts && !is_configured {
            self.table.remove(&peer);
        }
        self.changed(now);
    }

    fn keep_out(&mut self, peer: Peer, until: Time, now: Time) {
        self.kept_out.retain(|_, until| now < *until);
        if self.kept_out.len() < MAX_KEPT_OUT {
            self.kept_out.insert(peer, until);
        }
        let is_configured = |entry: &Entry| entry.sources.contains(&Source::Configured);
        if !self.table.get(&peer).is_some_and(is_configured) {
            self.table.remove(&peer);
        }
        self.changed(now);
    }

    fn pause(&mut self, failures: u32) -> Duration {
        let pause = FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(LONGEST_RETRY);
        pause + pause.mul_f64(f64::from(self.random.next_u32()) / f64::from(u32::MAX) / 4.0)
    }

    // --- What is due -----------------------------------------------------------------------------------------

    pub(super) fn dial_due(&mut self, now: Time) {
        let places = self.free_places();
        if self.leaving || places == 0 {
            return;
        }
        let mut left = places;
        for peer in self.candidates(now) {
            // Each dial of somebody may make the next one unwanted.
            if left == 0 {
                break;
            }
            left -= 1;
            self.dial(peer, now);
        }
        if left > 0 && self.wants_peers() && self.next_want <= now {
            self.want(now);
        }
    }

    fn dial(&mut self, peer: Peer, now: Time) {
        if let Some(entry) = self.table.get_mut(&peer) {
            entry.dialling_until = Some(now + DIAL_TIMEOUT);
            let addresses = entry.addresses.clone();
            self.emit(Event::Dial { peer, addresses });
        }
    }

    /// Asks the finders and one of the connected peers.
    fn want(&mut self, now: Time) {
        let admitted = self.connected.iter().filter(|(_, connection)| connection.admitted);
        let whom: Vec<Peer> = admitted.map(|(peer, _)| *peer).collect();
        let ask = (!whom.is_empty()).then(|| whom[self.random.next_u32() as usize % whom.len()]);
        self.emit(Event::WantPeers { ask });
        self.next_want = now + self.want_pause;
        self.want_pause = (self.want_pause * 2).min(self.config.refresh_interval);
    }

    fn refresh(&mut self, now: Time) {
        self.next_refresh = now + self.config.refresh_interval;
        if self.leaving {
            return;
        }
        self.want(now);
        let anchors = self.anchors();
        let replaceable = self.connected.iter().filter(|(peer, connection)| {
            connection.dialled && connection.validator.is_none() && !anchors.contains(peer)
        });
        let replaceable: Vec<Peer> = replaceable.map(|(peer, _)| *peer).collect();
        if self.is_validator || replaceable.is_empty() || self.free_places() > 0 {
            return;
        }
        let old = replaceable[self.random.next_u32() as usize % replaceable.len()];
        // Somebody in another part of the network comes first; between equals, chance decides.
        let candidates = self.candidates(now);
        let is_observer =
            |peer: &Peer| self.table.get(peer).is_some_and(|entry| entry.standing.key().is_none());
        if let Some(fresh) = candidates.into_iter().find(is_observer) {
            self.replacing = Some((fresh, old));
            self.dial(fresh, now);
        }
    }

    /// Ends the visits that are over and the dials that led to nothing.
    fn expire(&mut self, now: Time) {
        let is_over = |connection: &Connection| connection.visits_until.is_some_and(|until| until <= now);
        let over = self.connected.iter().filter(|(_, connection)| is_over(connection));
        let over: Vec<Peer> = over.map(|(peer, _)| *peer).collect();
        over.into_iter().for_each(|peer| self.release(peer, Release::Full, now));
        let late = self.table.iter().filter(|(_, entry)| entry.dialling_until.is_some_and(|at| at <= now));
        let late: Vec<Peer> = late.map(|(peer, _)| *peer).collect();
        late.into_iter().for_each(|peer| self.failed(peer, false, now));
    }

    fn command(&mut self, command: Command, now: Time) {
        match command {
            Command::Found { peer, addresses, source, by } => {
                let teller = by.map_or(Teller::Finder(source), Teller::Tracker);
                self.found(peer, addresses, (source, teller), now);
            }
            Command::Told { by, record, validator } => self.told(by, record, validator, now),
            Command::Met { peer, validator, dialled, group, record } => {
                let (since, admitted, visits_until) = (now, false, None);
                self.met(
                    peer,
                    Connection { since, dialled, validator, group, record, admitted, visits_until },
                );
            }
            Command::Admitted { peer } => self.admitted(peer, now),
            Command::Asks { peer } => self.visits_until(&peer, now + VISIT),
            Command::Answered { peer } => self.visits_until(&peer, now + ANSWER_GRACE),
            Command::DialFailed { peer } => self.failed(peer, false, now),
            Command::Refused { peer, for_want_of_room } => self.failed(peer, for_want_of_room, now),
            Command::KeptOut { peer, until } => self.keep_out(peer, until, now),
            Command::Validators { others, includes_this } => {
                (self.validators, self.is_validator) = (others, includes_this);
            }
            Command::Leave => self.leaving = true,
        }
    }
}

impl Machine for KnownPeers {
    /// It speaks to nobody itself.
    type Message = Infallible;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, input: Input<Self>, now: Time) {
        match input {
            // Told by command, with what is known of the peer.
            Input::Connected(_) => {}
            Input::Disconnected(peer) => self.disconnected(peer, now),
            Input::Received(_, never) => match never {},
            Input::Command(command) => self.command(command, now),
        }
        self.dial_due(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.expire(now);
        if self.next_refresh <= now {
            self.refresh(now);
        }
        if self.save_at.take_if(|at| *at <= now).is_some() {
            self.emit(Event::Save);
        }
        self.dial_due(now);
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let visits = self.connected.values().filter_map(|connection| connection.visits_until).min();
        let dials = self.table.iter().filter_map(|(_, entry)| entry.dialling_until).min();
        let want = self.wants_peers().then_some(self.next_want);
        let refresh = (!self.leaving).then_some(self.next_refresh);
        [visits, dials, want, refresh, self.save_at, self.next_dial()].into_iter().flatten().min()
    }
}
