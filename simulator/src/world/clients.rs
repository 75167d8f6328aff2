//! The people who submit transactions: they ask another node when they get no answer, and do not go before they are
//! told that their transaction is decided.

use super::{World, event::Event, host::validator_key};
use crate::{latency::below, observation::Observation, scenario::Scenario};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    hash::{NetworkId, TransactionId},
    pool::PoolError,
    signed::Height,
    transaction::{Request, Transaction},
};
use conclave_protocol::node::Input;
use std::collections::BTreeMap;

/// Height after which no transaction of a simulation can be included: as far ahead as a genesis file allows.
const EXPIRES: Height = 1000;

struct Client {
    transaction: Transaction,
    id: TransactionId,
    /// At whose node it waits for an answer.
    waits_at: Option<usize>,
    tries: u32,
    is_served: bool,
}

/// All of them, one for each transaction.
pub(super) struct Clients {
    clients: Vec<Client>,
    numbers: BTreeMap<TransactionId, usize>,
}

impl Clients {
    pub(super) fn new(scenario: &Scenario, network: NetworkId) -> Self {
        let clients: Vec<Client> = (0..scenario.load.len())
            .map(|number| {
                let mut data = vec![0; scenario.payload.max(8)];
                data[..8].copy_from_slice(&(number as u64).to_be_bytes());
                let payload = Payload::Record(Record { kind: "simulated".into(), data: Bytes(data) });
                // An honest validator's key is known to the ledger and outlives the run.
                let honest: Vec<usize> = scenario.honest().collect();
                let key =
                    validator_key(honest.get(number % honest.len().max(1)).copied().unwrap_or_default());
                let request = Request { network, sender: key.public(), expires: EXPIRES, payload };
                let transaction = request.sign(&key);
                let id = transaction.id();
                Client { transaction, id, waits_at: None, tries: 0, is_served: false }
            })
            .collect();
        let numbers = clients.iter().enumerate().map(|(number, client)| (client.id, number)).collect();
        Self { clients, numbers }
    }

    /// Whether all of them have their answers.
    pub(super) fn are_served(&self) -> bool {
        self.clients.iter().all(|client| client.is_served)
    }
}

impl World<'_> {
    /// A client submits its transaction, or asks again.
    pub(super) fn submit(&mut self, number: usize) {
        let client = &self.clients.clients[number];
        if client.is_served {
            return;
        }
        let (id, transaction, tries) = (client.id, client.transaction.clone(), client.tries);
        let up: Vec<usize> = self.honest().filter(|host| self.hosts[*host].is_up()).collect();
        let wanted = self.scenario.load.get(number).map(|(_, host)| *host).filter(|host| up.contains(host));
        let drawn = up.get(below(up.len() as u64, &mut self.random) as usize).copied();
        let host = if tries == 0 { wanted.or(drawn) } else { drawn };
        self.queue.put(self.now + self.scenario.delta * 8, Event::Submit(number));
        let Some(host) = host else { return };
        if tries == 0 {
            self.observe(Observation::Submitted { transaction: id.0 });
        }
        self.clients.clients[number].tries += 1;
        self.clients.clients[number].waits_at = Some(host);
        let decided = self.hosts[host].process.as_ref().and_then(|process| process.decided.get(&id).copied());
        match decided {
            Some(height) => self.serve(number, host, height),
            None => {
                let ticket = number as u64;
                self.input(host, Input::Submit { ticket, transactions: vec![transaction.into()] });
            }
        }
    }

    /// A node's answer to a submission.
    pub(super) fn submitted(&mut self, ticket: u64, verdicts: &[Result<TransactionId, PoolError>]) {
        let refused = verdicts
            .iter()
            .any(|verdict| verdict.as_ref().is_err_and(|error| !matches!(error, PoolError::AlreadyWaiting)));
        if refused && let Some(client) = self.clients.clients.get_mut(ticket as usize) {
            client.waits_at = None;
        }
    }

    /// A node has decided transactions: those who wait for them there are told.
    pub(super) fn acknowledge(&mut self, host: usize, height: Height, decided: &[TransactionId]) {
        for id in decided {
            if let Some(process) = &mut self.hosts[host].process {
                process.decided.insert(*id, height);
            }
            if let Some(number) = self.clients.numbers.get(id).copied()
                && self.clients.clients[number].waits_at == Some(host)
            {
                self.serve(number, host, height);
            }
        }
    }

    /// A node has undone its decisions from a height on.
    pub(super) fn forget_from(&mut self, host: usize, height: Height) {
        if let Some(process) = &mut self.hosts[host].process {
            process.decided.retain(|_, decided| *decided < height);
        }
    }

    fn serve(&mut self, number: usize, host: usize, height: Height) {
        let client = &mut self.clients.clients[number];
        if !client.is_served {
            client.is_served = true;
            let transaction = client.id.0;
            self.observe(Observation::Acknowledged { host, transaction, height });
        }
    }
}
