//! The messages of the protocol: protobuf on the wire, and the valid types that are made of it.

use super::record::{Record, SignedRecord};
use crate::tracker::{Answer, RefusalReason};
use prost::Message;
use std::{collections::BTreeMap, io};

/// Longest namespace, in bytes.
pub const MAX_NAMESPACE_BYTES: usize = 255;

/// Longest response that is read, in bytes: [`MAX_RECORDS`] records of a usual size.
pub const MAX_RESPONSE_BYTES: usize = 256 << 10;

/// Most records that are asked for, and taken from one response.
pub const MAX_RECORDS: usize = 256;

/// Longest cookie that is kept for a tracker, in bytes.
const MAX_COOKIE_BYTES: usize = 1 << 10;

/// Longest text of a refusal that is kept, in characters.
const MAX_TEXT: usize = 100;

/// Under which name peers register to find each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace(String);

/// Why a text is no namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a namespace has 1 to {MAX_NAMESPACE_BYTES} bytes, found {0}")]
pub struct NamespaceError(pub usize);

impl Namespace {
    /// Before every other: no namespace, but where those of somebody begin.
    pub(crate) fn lowest() -> Self {
        Self(String::new())
    }

    /// The namespace with this name.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn new(name: impl Into<String>) -> Result<Self, NamespaceError> {
        let name = name.into();
        if (1..=MAX_NAMESPACE_BYTES).contains(&name.len()) {
            Ok(Self(name))
        } else {
            Err(NamespaceError(name.len()))
        }
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is asked of a tracker.
#[derive(Clone, Debug)]
pub enum Request {
    /// To be registered, or that it stays so.
    Register {
        /// Under which name.
        namespace: Namespace,
        /// What others are told.
        record: SignedRecord,
        /// For how long.
        ttl_seconds: u64,
    },
    /// To be forgotten.
    Unregister {
        /// Under which name.
        namespace: Namespace,
    },
    /// Who is registered.
    Discover {
        /// Under which name.
        namespace: Namespace,
        /// How many are wanted at most.
        limit: u64,
        /// What the tracker gave with its last answer.
        cookie: Option<Vec<u8>>,
    },
}

/// What a tracker is asked; `None` for a name or record that is missing or cannot be one.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// To be registered.
    Register {
        /// Under which name.
        namespace: Option<Namespace>,
        /// A signed record, not yet read.
        record: Option<Vec<u8>>,
        /// For how many seconds.
        ttl: Option<u64>,
    },
    /// To be forgotten.
    Unregister {
        /// Under which name.
        namespace: Option<Namespace>,
    },
    /// Who is registered.
    Discover {
        /// Under which name.
        namespace: Option<Namespace>,
        /// How many are wanted at most.
        limit: Option<u64>,
        /// What came with the last answer.
        cookie: Option<Vec<u8>>,
    },
}

/// What a tracker answers, checked as far as one message can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Registered.
    Registered {
        /// For how long, if it says so.
        ttl_seconds: Option<u64>,
    },
    /// Who is registered.
    Discovered {
        /// Records, each signed by its peer.
        records: Vec<(Namespace, Record)>,
        /// How many others did not count.
        ignored: usize,
        /// To be shown with the next question.
        cookie: Option<Vec<u8>>,
    },
    /// It will not.
    Refused(String),
    /// Nothing, as is right after `Unregister`.
    Nothing,
}

mod kind {
    pub(super) const REGISTER: i32 = 0;
    pub(super) const REGISTER_RESPONSE: i32 = 1;
    pub(super) const UNREGISTER: i32 = 2;
    pub(super) const DISCOVER: i32 = 3;
    pub(super) const DISCOVER_RESPONSE: i32 = 4;
}

mod status {
    pub(super) const OK: i32 = 0;
    pub(super) const INVALID_NAMESPACE: i32 = 100;
    pub(super) const INVALID_RECORD: i32 = 101;
    pub(super) const NOT_AUTHORIZED: i32 = 200;
    pub(super) const UNAVAILABLE: i32 = 400;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Frame {
    #[prost(int32, optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) register: Option<Registration>,
    #[prost(message, optional, tag = "3")]
    pub(super) registered: Option<Registered>,
    #[prost(message, optional, tag = "4")]
    pub(super) unregister: Option<Unregistration>,
    #[prost(message, optional, tag = "5")]
    pub(super) discover: Option<Discovery>,
    #[prost(message, optional, tag = "6")]
    pub(super) discovered: Option<Discovered>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Registration {
    #[prost(string, optional, tag = "1")]
    pub(super) namespace: Option<String>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) record: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) ttl: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Registered {
    #[prost(int32, optional, tag = "1")]
    pub(super) status: Option<i32>,
    #[prost(string, optional, tag = "2")]
    pub(super) text: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) ttl: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Unregistration {
    #[prost(string, optional, tag = "1")]
    pub(super) namespace: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Discovery {
    #[prost(string, optional, tag = "1")]
    pub(super) namespace: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) limit: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) cookie: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Discovered {
    #[prost(message, repeated, tag = "1")]
    pub(super) registrations: Vec<Registration>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) cookie: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "3")]
    pub(super) status: Option<i32>,
    #[prost(string, optional, tag = "4")]
    pub(super) text: Option<String>,
}

/// The message of a request.
pub(super) fn encode(request: Request) -> Vec<u8> {
    let frame = match request {
        Request::Register { namespace, record, ttl_seconds } => Frame {
            kind: Some(kind::REGISTER),
            register: Some(Registration {
                namespace: Some(namespace.0),
                record: Some(record.0),
                ttl: Some(ttl_seconds),
            }),
            ..Frame::default()
        },
        Request::Unregister { namespace } => Frame {
            kind: Some(kind::UNREGISTER),
            unregister: Some(Unregistration { namespace: Some(namespace.0) }),
            ..Frame::default()
        },
        Request::Discover { namespace, limit, cookie } => Frame {
            kind: Some(kind::DISCOVER),
            discover: Some(Discovery { namespace: Some(namespace.0), limit: Some(limit), cookie }),
            ..Frame::default()
        },
    };
    frame.encode_to_vec()
}

/// Reads a response from the bytes of its message.
pub(super) fn decode(bytes: &[u8]) -> io::Result<Response> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let frame = Frame::decode(bytes).map_err(|error| wrong(&error.to_string()))?;
    match (frame.kind, frame.registered, frame.discovered) {
        (Some(kind::REGISTER_RESPONSE), Some(answer), _) => refusal(answer.status, answer.text)
            .map_or(Ok(Response::Registered { ttl_seconds: answer.ttl }), Ok),
        (Some(kind::DISCOVER_RESPONSE), _, Some(answer)) => match refusal(answer.status, answer.text) {
            Some(refused) => Ok(refused),
            None if answer.cookie.as_ref().is_some_and(|cookie| cookie.len() > MAX_COOKIE_BYTES) => {
                Err(wrong("the cookie is too long"))
            }
            None => Ok(discovered(answer.registrations, answer.cookie)),
        },
        _ => Err(wrong("it is no response of the rendezvous protocol")),
    }
}

fn refusal(code: Option<i32>, text: Option<String>) -> Option<Response> {
    let code = code.unwrap_or(status::OK);
    let name = match code {
        status::OK => return None,
        status::INVALID_NAMESPACE => "invalid namespace",
        status::INVALID_RECORD => "invalid signed peer record",
        102 => "invalid time to live",
        103 => "invalid cookie",
        status::NOT_AUTHORIZED => "not authorized",
        300 => "internal error",
        status::UNAVAILABLE => "unavailable",
        _ => "unknown status",
    };
    let said: String = text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    let text = if said.is_empty() { format!("{name} ({code})") } else { format!("{name} ({code}): {said}") };
    Some(Response::Refused(text))
}

/// Reads a request from the bytes of its message.
pub(crate) fn decode_request(bytes: &[u8]) -> io::Result<Incoming> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let frame = Frame::decode(bytes).map_err(|error| wrong(&error.to_string()))?;
    let named = |name: Option<String>| name.and_then(|name| Namespace::new(name).ok());
    match (frame.kind, frame.register, frame.unregister, frame.discover) {
        (Some(kind::REGISTER), Some(asked), _, _) => {
            Ok(Incoming::Register { namespace: named(asked.namespace), record: asked.record, ttl: asked.ttl })
        }
        (Some(kind::UNREGISTER), _, Some(asked), _) => {
            Ok(Incoming::Unregister { namespace: named(asked.namespace) })
        }
        (Some(kind::DISCOVER), _, _, Some(asked)) => Ok(Incoming::Discover {
            namespace: named(asked.namespace),
            limit: asked.limit,
            cookie: asked.cookie,
        }),
        _ => Err(wrong("it is no request of the rendezvous protocol")),
    }
}

/// The message of a tracker's answer.
pub(crate) fn encode_answer(answer: Answer) -> Vec<u8> {
    let registered = |status, text, ttl| Frame {
        kind: Some(kind::REGISTER_RESPONSE),
        registered: Some(Registered { status: Some(status), text, ttl }),
        ..Frame::default()
    };
    let discovered = |registrations, cookie, status, text| Frame {
        kind: Some(kind::DISCOVER_RESPONSE),
        discovered: Some(Discovered { registrations, cookie, status: Some(status), text }),
        ..Frame::default()
    };
    let frame = match answer {
        Answer::Registered { ttl_seconds } => registered(status::OK, None, Some(ttl_seconds)),
        Answer::NotRegistered(reason) => registered(status_of(reason), Some(reason.to_string()), None),
        Answer::Discovered { namespace, records, cookie } => {
            let registration = |(record, ttl)| Registration {
                namespace: Some(namespace.clone()),
                record: Some(record),
                ttl: Some(ttl),
            };
            discovered(records.into_iter().map(registration).collect(), Some(cookie), status::OK, None)
        }
        Answer::NotDiscovered(reason) => {
            discovered(Vec::new(), None, status_of(reason), Some(reason.to_string()))
        }
    };
    frame.encode_to_vec()
}

fn status_of(reason: RefusalReason) -> i32 {
    match reason {
        RefusalReason::InvalidNamespace => status::INVALID_NAMESPACE,
        RefusalReason::NotSigned => status::INVALID_RECORD,
        RefusalReason::NotAuthorized => status::NOT_AUTHORIZED,
        RefusalReason::PeerFull
        | RefusalReason::BlockFull
        | RefusalReason::TrackerFull
        | RefusalReason::TooOften => status::UNAVAILABLE,
    }
}

/// The newest record of each peer and namespace, up to [`MAX_RECORDS`].
fn discovered(registrations: Vec<Registration>, cookie: Option<Vec<u8>>) -> Response {
    let said = registrations.len();
    let mut found = BTreeMap::new();
    for registration in registrations.into_iter().take(MAX_RECORDS) {
        let namespace = registration.namespace.and_then(|name| Namespace::new(name).ok());
        let record = registration.record.and_then(|bytes| Record::read(&bytes).ok());
        let Some((namespace, record)) = namespace.zip(record) else { continue };
        let key = (namespace, record.peer);
        let older = found.get(&key).is_none_or(|known: &Record| known.sequence < record.sequence);
        if older {
            found.insert(key, record);
        }
    }
    let ignored = said - found.len();
    let records = found.into_iter().map(|((namespace, _), record)| (namespace, record)).collect();
    Response::Discovered { records, ignored, cookie }
}
