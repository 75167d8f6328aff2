//! Connections without a word.

use crate::gathering::Gathering;
use serde::Serialize;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinSet};

/// Pause between two connections of one hand, so that the flooder's own processor is not what ends its flood.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection is held that the other side does not end.
const HELD: Duration = Duration::from_secs(1);

/// What became of them.
#[derive(Default, Serialize)]
pub(crate) struct Knocks {
    /// Connections that were made.
    made: u64,
    /// Of these, ended by the node at once.
    ended: u64,
    /// Attempts that failed.
    failed: u64,
}

/// Connects again and again, `at_once` at a time.
pub(crate) async fn flood(address: SocketAddr, at_once: usize, gathering: &Arc<Gathering>) -> Knocks {
    let mut all = JoinSet::new();
    for _ in 0..at_once {
        all.spawn(knock(address, gathering.clone()));
    }
    let mut sum = Knocks::default();
    for one in all.join_all().await {
        sum.made += one.made;
        sum.ended += one.ended;
        sum.failed += one.failed;
    }
    sum
}

async fn knock(address: SocketAddr, gathering: Arc<Gathering>) -> Knocks {
    let mut knocks = Knocks::default();
    while !gathering.is_over() {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            knocks.failed += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        knocks.made += 1;
        let mut bytes = [0; 256];
        let read = async { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
        if tokio::time::timeout(HELD, read).await.is_ok() {
            knocks.ended += 1;
        }
        tokio::time::sleep(PAUSE).await;
    }
    knocks
}
