//! Finds decided heights and transactions: the newest at the node's task, the others in the database.
//!
//! What is recent is copied first and the database is read after it, so that a height that moves from one to the
//! other meanwhile is found in one of them.

use super::{
    App,
    problem::Problem,
    types::{NamedKey, ProofInfo, RecordKind, Signer},
};
use crate::{
    node::handle::{NodeView, RecentHeight},
    storage::Snapshot,
};
use axum::http::StatusCode;
use conclave_ledger::{
    block::Decided,
    codec,
    genesis::Genesis,
    hash::{Hash, NetworkId, TransactionId},
    keys::PublicKey,
    proof::Proof,
    signed::Height,
    transaction::SharedTransaction,
    validators::ValidatorSet,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a height that has just been decided may take until it is on disk, from where it is read.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// Names of validators: those of the next height and those of the genesis file.
#[derive(Clone)]
pub(super) struct Names {
    current: Arc<ValidatorSet>,
    genesis: Arc<Genesis>,
}

impl Names {
    pub(super) fn read(view: &NodeView<'_>) -> Self {
        Self { current: view.chain.validators().clone(), genesis: view.chain.genesis().clone() }
    }

    /// The name that goes with a key, if it is that of a validator.
    pub(super) fn of(&self, key: &PublicKey) -> Option<String> {
        let members = self.current.members.iter().map(|member| &member.validator);
        members
            .chain(&self.genesis.validators)
            .find(|validator| validator.key == *key)
            .map(|it| it.name.clone())
    }

    pub(super) fn named(&self, key: PublicKey) -> NamedKey {
        NamedKey { name: self.of(&key), key }
    }
}

/// A decided height, and what is needed to name those who decided it.
pub(super) struct Record {
    pub(super) decided: Arc<Decided>,
    pub(super) proof: Option<Proof>,
    pub(super) set: Option<ValidatorSet>,
    pub(super) names: Names,
    pub(super) tip: Height,
    network: NetworkId,
}

/// Where a transaction was found.
pub(super) enum Found {
    /// In the pool.
    Pending(SharedTransaction),
    /// In a block, at this position.
    Decided(Box<Record>, u32),
}

/// What is copied at the node's task.
struct Copied {
    recent: Vec<RecentHeight>,
    set: Option<ValidatorSet>,
    names: Names,
    tip: Height,
    tip_hash: Hash,
    network: NetworkId,
}

/// The record of `height`.
///
/// # Errors
/// 404 when it is not decided.
pub(super) async fn decided(app: &Arc<App>, height: Height) -> Result<Record, Problem> {
    let start = Instant::now();
    loop {
        let copied = app.handle.read(move |view| {
            let recent = view.recent.get(&height).cloned().into_iter().collect();
            copy(view, recent, Some(height))
        });
        let copied = copied.await?;
        if height == 0 || height > copied.tip {
            let detail = match height {
                0 => "heights count from 1; /v1/genesis shows what is before".into(),
                _ => format!("height {height} is not decided; the last decided height is {}", copied.tip),
            };
            return Err(Problem::not_found(detail));
        }
        let found = on_database(app, move |snapshot| match copied.recent.first().cloned() {
            Some(recent) => Ok(Some(Record::new(recent.decided, recent.proof, copied))),
            None => from_snapshot(snapshot, height, copied),
        });
        if let Some(record) = found.await? {
            return Ok(record);
        }
        // The chain has it, and the log is about to.
        if start.elapsed() > WRITTEN_WITHIN {
            let detail = format!("height {height} is decided, but this node no longer keeps it");
            return Err(Problem::not_found(detail));
        }
        tokio::time::sleep(WRITTEN_WITHIN / 100).await;
    }
}

/// The transaction with this id, if it waits or is decided.
pub(super) async fn transaction(app: &Arc<App>, id: TransactionId) -> Result<Option<Found>, Problem> {
    let start = Instant::now();
    loop {
        let read = app.handle.read(move |view| match view.pool.get(&id) {
            Some(waiting) => Err(waiting.clone()),
            None => Ok(copy(view, view.recent.values().rev().cloned().collect(), None)),
        });
        let copied = match read.await? {
            Err(waiting) => return Ok(Some(Found::Pending(waiting))),
            Ok(copied) => copied,
        };
        match on_database(app, move |snapshot| search(snapshot, &id, copied)).await? {
            Search::Found(mut record, index) => {
                if record.set.is_none() {
                    let height = record.decided.height();
                    record.set = app.handle.read(move |view| view.chain.validators_at(height)).await?;
                }
                return Ok(Some(Found::Decided(record, index)));
            }
            // The chain has heights that the log is about to have, and it may be in one of them.
            Search::Incomplete if start.elapsed() < WRITTEN_WITHIN => {
                tokio::time::sleep(WRITTEN_WITHIN / 100).await;
            }
            Search::Incomplete | Search::Nothing => return Ok(None),
        }
    }
}

/// What a search for a transaction came to.
enum Search {
    Found(Box<Record>, u32),
    Nothing,
    /// The last height is not on disk yet.
    Incomplete,
}

/// Searches the recent heights and then the database, whose older version of a recent height does not count.
fn search(snapshot: &Snapshot, id: &TransactionId, copied: Copied) -> Result<Search, Problem> {
    for recent in &copied.recent {
        if let Some(index) = recent.transactions.iter().position(|transaction| transaction == id) {
            let (decided, proof) = (recent.decided.clone(), recent.proof.clone());
            return Ok(Search::Found(Box::new(Record::new(decided, proof, copied)), index as u32));
        }
    }
    let tip = copied.tip;
    let is_recent = |height| copied.recent.iter().any(|recent| recent.decided.height() == height);
    let place = snapshot.location(&id.0).map_err(database_problem)?;
    if let Some(place) = place.filter(|place| place.height <= tip && !is_recent(place.height)) {
        let record = from_snapshot(snapshot, place.height, copied)?;
        return Ok(record.map_or(Search::Nothing, |record| Search::Found(Box::new(record), place.position)));
    }
    let has_tip = |hash| read_block(snapshot, tip).map(|last| last.is_some_and(|last| last.hash() == hash));
    let is_complete = tip == 0 || is_recent(tip) || has_tip(copied.tip_hash)?;
    Ok(if is_complete { Search::Nothing } else { Search::Incomplete })
}

/// The records from `from` downwards, at most `limit`, each handed to `summarize` before the next is read.
pub(super) async fn newest_first<T: Send + 'static>(
    app: &Arc<App>,
    from: Option<Height>,
    limit: usize,
    summarize: impl Fn(&Decided, &Names) -> T + Send + 'static,
) -> Result<Vec<T>, Problem> {
    let copied = app.handle.read(move |view| {
        let highest = from.unwrap_or(Height::MAX);
        let recent =
            view.recent.range(..=highest).rev().take(limit).map(|(_, recent)| recent.clone()).collect();
        copy(view, recent, None)
    });
    let copied = copied.await?;
    on_database(app, move |snapshot| {
        let first = from.unwrap_or(copied.tip).min(copied.tip);
        let mut recent = copied.recent.iter().peekable();
        let mut summaries = Vec::new();
        for height in (1..=first).rev().take(limit) {
            if let Some(newest) = recent.next_if(|recent| recent.decided.height() == height) {
                summaries.push(summarize(&newest.decided, &copied.names));
                continue;
            }
            match read_block(snapshot, height)? {
                Some(decided) => summaries.push(summarize(&decided, &copied.names)),
                None => break,
            }
        }
        Ok(summaries)
    })
    .await
}

impl Record {
    fn new(decided: Arc<Decided>, proof: Option<Proof>, copied: Copied) -> Self {
        let Copied { set, names, tip, network, .. } = copied;
        Self { decided, proof, set, names, tip, network }
    }

    /// The validators of the height, as far as this node knows them: they may have changed since.
    pub(super) fn validators(&self) -> Option<ValidatorSet> {
        self.set.clone().or_else(|| {
            let (height, value) = (self.decided.height(), self.decided.value());
            let set = self.names.genesis.validator_set();
            self.proof.as_ref()?.verify(self.network, height, &value, &set).ok().map(|()| set)
        })
    }

    /// Its leader, if it decided a block.
    pub(super) fn leader(&self) -> Option<NamedKey> {
        leader(&self.decided, &self.names)
    }

    /// Its proof with the names of those who signed; `None` while this node does not have it.
    pub(super) fn proof_info(&self) -> Option<ProofInfo> {
        let proof = self.proof.clone()?;
        let set = self.validators();
        let signers = proof.signatures().signers().map(|index| Signer {
            index,
            validator: set.as_ref().and_then(|set| set.get(index)).map(|member| NamedKey {
                name: Some(member.validator.name.clone()),
                key: member.validator.key,
            }),
        });
        let signers = signers.collect();
        let (network, height, value) = (self.network, self.decided.height(), self.decided.value());
        Some(ProofInfo { network, height, value, proof, signers })
    }
}

/// The leader of a decided block.
pub(super) fn leader(decided: &Decided, names: &Names) -> Option<NamedKey> {
    decided.block().map(|block| names.named(block.header.leader))
}

/// Whether a record is a block or a skip.
pub(super) fn kind(decided: &Decided) -> RecordKind {
    match decided {
        Decided::Block(_) => RecordKind::Block,
        Decided::Skip(_) => RecordKind::Skip,
    }
}

fn copy(view: &NodeView<'_>, recent: Vec<RecentHeight>, height: Option<Height>) -> Copied {
    Copied {
        recent,
        set: height.and_then(|height| view.chain.validators_at(height)),
        names: Names::read(view),
        tip: view.chain.tip().height,
        tip_hash: view.chain.tip().hash,
        network: view.chain.network(),
    }
}

fn from_snapshot(snapshot: &Snapshot, height: Height, copied: Copied) -> Result<Option<Record>, Problem> {
    let Some(decided) = read_block(snapshot, height)? else { return Ok(None) };
    let proof = match snapshot.proof(height).map_err(database_problem)? {
        Some(bytes) => Some(codec::decode(&bytes, usize::MAX).map_err(database_problem)?),
        None => None,
    };
    Ok(Some(Record::new(Arc::new(decided), proof, copied)))
}

fn read_block(snapshot: &Snapshot, height: Height) -> Result<Option<Decided>, Problem> {
    match snapshot.block(height).map_err(database_problem)? {
        Some(bytes) => codec::decode(&bytes, usize::MAX).map(Some).map_err(database_problem),
        None => Ok(None),
    }
}

fn database_problem(error: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the database cannot be read: {error}"))
}

/// Runs `query` where it may block.
async fn on_database<T: Send + 'static>(
    app: &Arc<App>,
    query: impl FnOnce(&Snapshot) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let database = app.handle.database().clone();
    blocking(move || query(&database.snapshot().map_err(database_problem)?)).await?
}

/// Runs `work` on a thread that may block or compute for long.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("answering failed: {error}"))
    })
}
