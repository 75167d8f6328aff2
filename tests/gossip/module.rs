//! A module as others write it: bytes by hand over a socket, nothing of this project.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a message may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Module {
    stream: TcpStream,
}

/// A NOTIFICATION: message id, data type, data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Notified {
    pub(crate) id: [u8; 2],
    pub(crate) data_type: u16,
    pub(crate) data: Vec<u8>,
}

impl Module {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// A module that has subscribed.
    pub(crate) fn notified_of(address: SocketAddr, data_type: u16) -> Self {
        let mut module = Self::connect(address);
        let [high, low] = data_type.to_be_bytes();
        module.write(&[0x00, 0x08, 0x01, 0xf5, 0x00, 0x00, high, low]);
        module
    }

    /// Announces and hangs up at once.
    pub(crate) fn announce(address: SocketAddr, ttl: u8, data_type: u16, data: &[u8]) {
        Self::connect(address).say(ttl, data_type, data);
    }

    /// Announces.
    pub(crate) fn say(&mut self, ttl: u8, data_type: u16, data: &[u8]) {
        let [size_high, size_low] = (data.len() as u16 + 8).to_be_bytes();
        let [high, low] = data_type.to_be_bytes();
        let mut message = vec![size_high, size_low, 0x01, 0xf4, ttl, 0x00, high, low];
        message.extend(data);
        self.write(&message);
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next notification.
    pub(crate) fn next(&mut self) -> Notified {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head).unwrap();
        let [size_high, size_low, 0x01, 0xf6, id_high, id_low, high, low] = head else {
            panic!("no notification: {head:02x?}");
        };
        let mut data = vec![0; usize::from(u16::from_be_bytes([size_high, size_low])) - 8];
        self.stream.read_exact(&mut data).unwrap();
        Notified { id: [id_high, id_low], data_type: u16::from_be_bytes([high, low]), data }
    }

    pub(crate) fn validate(&mut self, notified: &Notified, valid: bool) {
        let [high, low] = notified.id;
        self.write(&[0x00, 0x08, 0x01, 0xf7, high, low, 0x00, u8::from(valid)]);
    }

    /// The next notification, called valid; its data.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let notified = self.next();
        self.validate(&notified, true);
        notified.data
    }

    /// Waits for the node to hang up; says how much it still sent.
    pub(crate) fn wait_closed(&mut self) -> usize {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => rest.len(),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => rest.len(),
            Err(error) => panic!("the node has not hung up: {error}"),
        }
    }

    /// Says that nothing more will come, and goes on listening.
    pub(crate) fn end(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
}
