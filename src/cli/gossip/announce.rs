//! `conclave gossip announce`: one announcement.

use crate::{
    cli::{
        failure::{Context, Failure, Outcome},
        session::Session,
    },
    gossip_api::client::Client,
};
use clap::Parser;
use conclave_ledger::bytes::from_hex;
use conclave_protocol::announcements::MAX_DATA_BYTES;
use serde::Serialize;
use std::{io::Read, net::SocketAddr, path::PathBuf};

/// Announces data to all who subscribe to its type
#[derive(Parser)]
#[command(
    after_help = "There is no answer: it spreads as far as it gets.\n\nExample:\n  conclave gossip announce 1337 'lunch is ready'\n  conclave gossip announce 1337 --ttl 1 --file menu.pdf"
)]
pub(crate) struct Announce {
    /// Data type, a number up to 65535
    data_type: u16,
    /// The data, as text; without it and without --file it is read from standard input
    data: Option<String>,
    /// The data is hexadecimal
    #[arg(long, requires = "data")]
    hex: bool,
    /// File that holds the data
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    file: Option<PathBuf>,
    /// Hops that it may go: 1 reaches the node's neighbours, 0 everybody
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    ttl: u8,
    /// Gossip API to speak to [default: that of the home]
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
}

/// What was announced.
#[derive(Serialize)]
struct Announced {
    #[serde(rename = "type")]
    data_type: u16,
    ttl: u8,
    bytes: usize,
    address: SocketAddr,
}

impl Announce {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let address = session.gossip_address(self.address)?;
        let (data_type, ttl, data) = (self.data_type, self.ttl, self.data()?);
        let announced = Announced { data_type, ttl, bytes: data.len(), address };
        let mut client = Client::connect(address).await?;
        client.announce(ttl, data_type, data).await?;
        client.hang_up().await?;
        session.output.show(&announced, |announced| {
            let Announced { data_type, bytes, address, .. } = announced;
            format!("announced {bytes} bytes of type {data_type} through {address}")
        })
    }

    fn data(self) -> Outcome<Vec<u8>> {
        // One byte more than fits, so that too much is seen as too much.
        let limit = (MAX_DATA_BYTES + 1) as u64;
        let mut data = Vec::new();
        match (self.data, self.file) {
            (Some(text), _) if self.hex => {
                data = from_hex(&text).map_err(|_| {
                    Failure::new(format!("{text:?} is not hexadecimal"))
                        .advise("Give two digits for each byte, or leave --hex out.")
                })?;
            }
            (Some(text), _) => data = text.into_bytes(),
            (None, Some(path)) => {
                let read =
                    std::fs::File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut data));
                read.context(|| format!("cannot read {}", path.display()))?;
            }
            (None, None) => {
                std::io::stdin().lock().take(limit).read_to_end(&mut data)?;
            }
        }
        Ok(data)
    }
}
