//! Dials that a caller asked for, and what they are told of them.
//!
//! Such an address is dialled once. Only when somebody answers there is it handed to the logic, which then looks after
//! it as after any other that it was given.

use super::{
    handle::{Dialled, NotDialled},
    network::Network,
};
use conclave_protocol::{known_peers::Source, node::Input, peer::Peer};
use libp2p::{
    Multiaddr, PeerId, TransportError,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};
use std::{collections::BTreeMap, error::Error};
use tokio::sync::oneshot;

/// Most dials at a time that callers wait for.
const MAX_ASKED: usize = 16;

/// Dials in progress, by the connection that may come of them.
#[derive(Default)]
pub(super) struct AskedDials(BTreeMap<ConnectionId, Asked>);

struct Asked {
    address: String,
    reply: oneshot::Sender<Dialled>,
}

impl AskedDials {
    /// Takes note of a dial that is about to begin; false if there are too many, of which the caller is told.
    pub(super) fn begin(
        &mut self,
        connection: ConnectionId,
        address: &Multiaddr,
        reply: oneshot::Sender<Dialled>,
    ) -> bool {
        if self.0.len() >= MAX_ASKED {
            // The caller may have gone meanwhile; so below.
            let _ = reply.send(Err(NotDialled::Busy(MAX_ASKED)));
            return false;
        }
        self.0.insert(connection, Asked { address: address.to_string(), reply });
        true
    }

    /// A connection is there. If it was asked for, the logic is to know the address.
    pub(super) fn succeeded(&mut self, connection: &ConnectionId, id: &PeerId, peer: Peer) -> Option<Input> {
        let Asked { address, reply } = self.0.remove(connection)?;
        let _ = reply.send(Ok(id.to_base58()));
        Some(Input::Found { peer, addresses: vec![address], source: Source::Configured, by: None })
    }

    /// There will be no connection.
    pub(super) fn failed(&mut self, connection: &ConnectionId, error: &DialError) {
        if let Some(asked) = self.0.remove(connection) {
            let _ = asked.reply.send(Err(NotDialled::Failed(reason_of(error))));
        }
    }
}

impl Network {
    /// Dials for a caller, who is told what came of it.
    pub(super) fn dial_for(&mut self, address: Multiaddr, reply: oneshot::Sender<Dialled>) {
        let options = DialOpts::from(address.clone());
        let connection = options.connection_id();
        if self.asked.begin(connection, &address, reply)
            && let Err(error) = self.swarm.dial(options)
        {
            self.asked.failed(&connection, &error);
        }
    }
}

/// Why a dial failed, in a line: of a chain of errors the innermost says it.
fn reason_of(error: &DialError) -> String {
    match error {
        DialError::Transport(errors) => {
            let reasons = errors.iter().map(|(_, error)| match error {
                TransportError::MultiaddrNotSupported(_) => "this node has no such transport".to_owned(),
                TransportError::Other(error) => innermost(error),
            });
            reasons.collect::<Vec<_>>().join("; ")
        }
        DialError::WrongPeerId { obtained, .. } => format!("another node answers there: {obtained}"),
        DialError::LocalPeerId { .. } => "this node itself answers there".to_owned(),
        error => innermost(error),
    }
}

fn innermost(mut error: &(dyn Error + 'static)) -> String {
    loop {
        // An I/O error that was made of another error shows that one, and is not its source.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source()) {
            Some(inner) => error = inner,
            None => return error.to_string(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io;

    fn address() -> Multiaddr {
        "/ip4/127.0.0.1/tcp/1".parse().unwrap()
    }

    #[test]
    fn the_reason_is_what_the_innermost_error_says() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let expected = refused.to_string();
        let wrapped = TransportError::Other(io::Error::other(io::Error::other(refused)));
        let unsupported = TransportError::MultiaddrNotSupported(address());
        let error = DialError::Transport(vec![(address(), wrapped), (address(), unsupported)]);
        assert_eq!(reason_of(&error), format!("{expected}; this node has no such transport"));
    }

    #[test]
    fn callers_are_told_and_only_so_many_can_wait() {
        let mut asked = AskedDials::default();
        let mut answers: Vec<_> = (0..=MAX_ASKED)
            .map(|number| {
                let (reply, answer) = oneshot::channel();
                let connection = ConnectionId::new_unchecked(number);
                assert_eq!(asked.begin(connection, &address(), reply), number < MAX_ASKED);
                answer
            })
            .collect();
        assert_eq!(answers[MAX_ASKED].try_recv(), Ok(Err(NotDialled::Busy(MAX_ASKED))));

        let id = PeerId::random();
        let peer = Peer::from_bytes(&id.to_bytes()).unwrap();
        let input = asked.succeeded(&ConnectionId::new_unchecked(0), &id, peer);
        assert!(matches!(input, Some(Input::Found { source: Source::Configured, .. })));
        assert_eq!(answers[0].try_recv().unwrap(), Ok(id.to_base58()));
        asked.failed(&ConnectionId::new_unchecked(1), &DialError::Aborted);
        assert!(matches!(answers[1].try_recv(), Ok(Err(NotDialled::Failed(_)))));
        assert!(asked.succeeded(&ConnectionId::new_unchecked(99), &id, peer).is_none());
    }
}
