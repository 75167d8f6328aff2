//! What machines of requests and responses exchange: handshake, admission, peer exchange and sync.

/// A request or a response with the number that pairs them; the number is not on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<Q, A> {
    /// A request.
    Request {
        /// Chosen by the side that sends it, or by the driver for one that came in.
        number: u64,
        /// What is asked.
        request: Q,
    },
    /// A response.
    Response {
        /// Number of the request.
        number: u64,
        /// What is answered.
        response: A,
    },
}
