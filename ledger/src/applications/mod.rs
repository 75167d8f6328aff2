//! The ledger's applications, and the registry that names them.
//!
//! An application is one module here and one line in the registry at the end of this file. It brings the payloads
//! that it understands, the rules under which they are refused, and what they do to the state. Everything else,
//! from the wire to `verify`, goes through the registry.

pub mod evidence;
pub mod governance;
pub mod polls;
pub mod records;

use crate::{genesis::Genesis, hash::TransactionId, keys::PublicKey, signed::Height, state::View};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The height in which something happens.
#[derive(Clone, Copy)]
pub struct HeightContext<'a> {
    /// The network's definition.
    pub genesis: &'a Genesis,
    /// The height that is being decided.
    pub height: Height,
    /// The block's timestamp in milliseconds since 1970; for a skip, that of the last block.
    pub timestamp: u64,
    /// Who leads the height.
    pub leader: PublicKey,
}

/// Who asks for something, where and when.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The height.
    pub at: HeightContext<'a>,
    /// The transaction's id.
    pub transaction: TransactionId,
    /// Who signed it.
    pub sender: PublicKey,
}

/// One application of the ledger.
pub trait Application {
    /// What it can be asked.
    type Payload: Clone + std::fmt::Debug + PartialEq + Eq + Serialize + DeserializeOwned;
    /// Its rules, one variant for each that a request can break.
    type Refusal: std::error::Error + Clone + PartialEq + Eq;

    /// Writes what the application has at the start of the network.
    fn begin(_genesis: &Genesis, _state: &mut View<'_>) {}

    /// Whether `payload` may be applied in this state.
    ///
    /// # Errors
    /// The first rule that it breaks.
    fn check(payload: &Self::Payload, context: &Context<'_>, state: &View<'_>) -> Result<(), Self::Refusal>;

    /// Whether the request alone breaks the rule, whatever the state: who passes it on has not checked it.
    fn is_final(_refusal: &Self::Refusal) -> bool {
        false
    }

    /// Applies a payload that [`Application::check`] has let through in the same state.
    fn apply(payload: &Self::Payload, context: &Context<'_>, state: &mut View<'_>);

    /// What happens at the end of every height, block or skip.
    fn end_height(_at: &HeightContext<'_>, _state: &mut View<'_>) {}

    /// Whether the application knows `sender`, who then needs no stamp.
    fn knows(_sender: &PublicKey, _state: &View<'_>) -> bool {
        false
    }
}

macro_rules! registry {
    ($($(#[$doc:meta])* $name:ident => $application:ty,)+) => {
        /// What a transaction asks, by application.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Payload {
            $($(#[$doc])* $name(<$application as Application>::Payload),)+
        }

        /// The rule of an application that a request breaks.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error(transparent)] $name(<$application as Application>::Refusal),)+
        }

        impl Refusal {
            /// Whether the request alone breaks the rule, whatever the state.
            pub fn is_final(&self) -> bool {
                match self {
                    $(Self::$name(refusal) => <$application>::is_final(refusal),)+
                }
            }
        }

        /// Lets every application write what it has at the start of the network.
        pub fn begin(genesis: &Genesis, state: &mut View<'_>) {
            $(<$application>::begin(genesis, state);)+
        }

        /// Whether `payload` may be applied.
        ///
        /// # Errors
        /// The rule that it breaks.
        pub fn check(payload: &Payload, context: &Context<'_>, state: &View<'_>) -> Result<(), Refusal> {
            match payload {
                $(Payload::$name(payload) => {
                    <$application>::check(payload, context, state).map_err(Refusal::$name)
                })+
            }
        }

        /// Applies a payload that [`check`] has let through in the same state.
        pub fn apply(payload: &Payload, context: &Context<'_>, state: &mut View<'_>) {
            match payload {
                $(Payload::$name(payload) => <$application>::apply(payload, context, state),)+
            }
        }

        /// What the applications do at the end of every height.
        pub fn end_height(at: &HeightContext<'_>, state: &mut View<'_>) {
            $(<$application>::end_height(at, state);)+
        }

        /// Whether any application knows `sender`.
        pub fn knows(sender: &PublicKey, state: &View<'_>) -> bool {
            $(<$application>::knows(sender, state))||+
        }
    };
}

registry! {
    /// Records on the log.
    Record => records::Records,
    /// Polls and their ballots.
    Poll => polls::Polls,
    /// Changes of the validator set and the limits.
    Governance => governance::Governance,
    /// Proofs of double votes and double proposals.
    Evidence => evidence::Evidences,
}
