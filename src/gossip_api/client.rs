//! A small client of the gossip API.

use super::message::{FromModule, Notification, ReadError};
use conclave_protocol::announcements::MAX_DATA_BYTES;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// How long the node may take to read what was written before the connection ends.
const HANG_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the client cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("nothing takes connections at {0}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// The connection broke.
    #[error("the connection to the gossip API broke")]
    Broken(#[from] std::io::Error),
    /// The node said something else.
    #[error("what listens there does not speak the gossip API")]
    NotTheApi(#[source] ReadError),
    /// More data than fits.
    #[error("{0} bytes of data, more than the {MAX_DATA_BYTES} that an announcement holds")]
    TooMuchData(usize),
    /// No data.
    #[error("an announcement without data: it needs at least one byte")]
    NoData,
}

/// A connection to a node's gossip API.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    /// Connects to the API at `address`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> Result<Self, ClientError> {
        let failed = |error| ClientError::Connect(address, error);
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    /// Announces data. There is no answer: it spreads as far as it gets.
    ///
    /// # Errors
    /// When there is no data, too much of it, or no connection any more.
    pub async fn announce(&mut self, ttl: u8, data_type: u16, data: Vec<u8>) -> Result<(), ClientError> {
        match data.len() {
            0 => Err(ClientError::NoData),
            length if length > MAX_DATA_BYTES => Err(ClientError::TooMuchData(length)),
            _ => self.send(&FromModule::Announce { ttl, data_type, data }).await,
        }
    }

    /// Subscribes to a data type.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn notify(&mut self, data_type: u16) -> Result<(), ClientError> {
        self.send(&FromModule::Notify { data_type }).await
    }

    /// Says whether a notification is well-formed.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn validate(&mut self, id: u16, valid: bool) -> Result<(), ClientError> {
        self.send(&FromModule::Validation { id, valid }).await
    }

    /// The next notification; `None` when the node has hung up.
    ///
    /// # Errors
    /// When the connection is gone, or the node says something else.
    pub async fn next(&mut self) -> Result<Option<Notification>, ClientError> {
        Notification::read(&mut self.reader).await.map_err(|error| match error {
            ReadError::Broken(error) => ClientError::Broken(error),
            other => ClientError::NotTheApi(other),
        })
    }

    async fn send(&mut self, message: &FromModule) -> Result<(), ClientError> {
        Ok(self.writer.write_all(&message.encode()).await?)
    }

    /// Hangs up, once the node has read everything.
    ///
    /// # Errors
    /// When the connection broke before that.
    pub async fn hang_up(mut self) -> Result<(), ClientError> {
        self.writer.shutdown().await?;
        let mut rest = Vec::new();
        let mut reader = self.reader.take(1 << 20);
        // What the node still says is of no interest; that it hangs up, too, shows that it has read to the end.
        let ended = tokio::time::timeout(HANG_UP_TIMEOUT, reader.read_to_end(&mut rest)).await;
        ended.map_or(Ok(()), |ended| Ok(ended.map(drop)?))
    }
}
