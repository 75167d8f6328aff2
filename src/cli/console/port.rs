//! Picking a port for a node that was told none.

use crate::{
    cli::failure::{Context, Outcome},
    config::{DEFAULT_API_LISTEN, DEFAULT_LISTEN},
};
use libp2p::Multiaddr;
use std::{
    io::{BufRead, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
};

/// The port of [`DEFAULT_LISTEN`].
const DEFAULT_PORT: u16 = 7700;

/// How far the API's port is from that for other nodes, unless it is given.
const API_DISTANCE: u16 = DEFAULT_API_LISTEN.port() - DEFAULT_PORT;

/// Asks for the port on which other nodes reach this one, until it gets one that is free; the default where nothing is
/// answered, or where nobody is left to answer.
///
/// # Errors
/// When the terminal cannot be read or written.
pub(super) fn ask(
    mut answers: impl BufRead,
    mut out: impl Write,
    is_free: impl Fn(u16) -> bool,
) -> Outcome<u16> {
    loop {
        write!(out, "Port on which other nodes reach this one [{DEFAULT_PORT}]: ")?;
        out.flush()?;
        let mut answer = String::new();
        let length = answers.read_line(&mut answer).context(|| "cannot read the port".into())?;
        let problem = match answer.trim() {
            "" if length == 0 => return Ok(DEFAULT_PORT),
            "" if is_free(DEFAULT_PORT) => return Ok(DEFAULT_PORT),
            "" => format!("port {DEFAULT_PORT} is in use: choose another"),
            text => match text.parse() {
                Ok(0) | Err(_) => format!("{text:?} is no port: write a number from 1 to 65535"),
                Ok(port) if is_free(port) => return Ok(port),
                Ok(port) => format!("port {port} is in use: choose another"),
            },
        };
        writeln!(out, "{problem}")?;
    }
}

/// Whether nobody listens there yet, neither by TCP nor by UDP.
pub(super) fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::UNSPECIFIED, port);
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

/// The addresses of [`DEFAULT_LISTEN`] with another port.
pub(super) fn listen(port: u16) -> Vec<Multiaddr> {
    let with_port = |text: &str| {
        let text = text.replace(&DEFAULT_PORT.to_string(), &port.to_string());
        text.parse().expect("the defaults are multiaddrs, and a port is a port")
    };
    DEFAULT_LISTEN.into_iter().map(with_port).collect()
}

/// The API's address beside that port: as far from it as the defaults are from each other.
pub(super) fn api_listen(port: u16) -> SocketAddr {
    let port = port.checked_add(API_DISTANCE).unwrap_or(port - API_DISTANCE);
    SocketAddr::new(DEFAULT_API_LISTEN.ip(), port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asked(answers: &str, free: impl Fn(u16) -> bool) -> (u16, String) {
        let mut out = Vec::new();
        let port = ask(answers.as_bytes(), &mut out, free).unwrap();
        (port, String::from_utf8(out).unwrap())
    }

    #[test]
    fn it_asks_until_it_has_a_port_that_is_free() {
        assert_eq!(asked("\n", |_| true), (7700, "Port on which other nodes reach this one [7700]: ".into()));
        assert_eq!(asked("", |_| false).0, 7700);
        let (port, text) = asked("x\n0\n70000\n\n7701\n7702\n", |port| port > 7701);
        assert_eq!(port, 7702);
        for problem in
            ["\"x\" is no port", "\"0\" is no", "\"70000\" is no", "7700 is in use", "7701 is in use"]
        {
            assert!(text.contains(problem), "{problem}: {text}");
        }
    }

    #[test]
    fn a_port_is_free_until_somebody_listens() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(holder.local_addr().unwrap().port()));
    }

    #[test]
    fn addresses_follow_the_port() {
        assert_eq!(listen(DEFAULT_PORT).iter().map(Multiaddr::to_string).collect::<Vec<_>>(), DEFAULT_LISTEN);
        assert_eq!(listen(9)[1].to_string(), "/ip4/0.0.0.0/udp/9/quic-v1");
        assert_eq!(api_listen(DEFAULT_PORT), DEFAULT_API_LISTEN);
        assert_eq!((api_listen(8000).port(), api_listen(65_500).port()), (8080, 65_420));
    }
}
