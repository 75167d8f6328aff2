//! Announcements: gossipsub behind a gate, one topic for each data type.
//!
//! ```text
//! connected ─► nothing: what the peer opens is accepted but not read, and gossipsub does not know of the peer
//! open(peer), when its handshake is done and its admission settled
//!           ─► gossipsub is told that the peer has connected; subscriptions are exchanged, the mesh forms
//! close(peer), or the connection closes ─► gossipsub is told that it has gone; another connection takes over
//! ```
//! **The gate** takes the place of gossipsub's own black list, which would lose the subscriptions that a peer announces
//! before its handshake is done on our side: gossipsub says them once for each peer that connects. Here it sees a peer
//! from the moment the gate opens, over one connection at a time, so they are said anew on every connection that
//! takes over, and a peer whose handshake is not done can neither be heard nor hear.
//!
//! **Signed.** Messages carry their author and its signature, because an origin's rate can only be held against a name
//! that nobody else can use. So announcements are not anonymous: they name the node that published them. A message's id
//! is the hash of its bytes, so the same bytes from two authors are one message; unless the author asks for an id that
//! holds its name, because each author's message goes to that author's neighbours only. The first byte says which.
//!
//! **Strict.** Validation by the user of this behaviour before anything is forwarded ([`Behaviour::answer`], once for
//! every [`Event::First`]); only topics of this network, and a bounded number of them; only messages of topics that are
//! subscribed to; bounded frames. No peer exchange: gossipsub dials nobody. Scores decide on the mesh; where a peer
//! lives is no part of them, because several honest nodes may share an address.
//!
//! - `behaviour.rs`: connections, and what goes in and out. `gate.rs`: the handler. `setup.rs`: gossipsub's
//!   configuration. `topics.rs`: names. `intake.rs`: every copy that comes in.

mod behaviour;
mod gate;
mod intake;
mod setup;
mod topics;

pub use behaviour::{Acceptance, Behaviour, Event, NotPublished};
pub use setup::Config;
