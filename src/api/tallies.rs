//! Tallies of polls, computed outside the node's task and kept.
//!
//! A final tally never changes. A preliminary one is counted again when the chain has grown, but never more often
//! than [`PAUSE_FACTOR`] times what copying the ballots took: so asking for the tally of a poll with a million
//! ballots costs the node's task a few per cent of its time at most, however many ask. One tally is computed at a
//! time.

use super::{App, lookup::blocking, problem::Problem};
use crate::node::handle::NodeView;
use conclave_ledger::{
    applications::polls::{self, PollView},
    hash::Hash,
    signed::Height,
    state::key,
    tally::{Choice, Tally},
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// Most tallies that are kept; one takes up to 8 MB (a thousand options in order).
const KEPT: usize = 8;

/// A preliminary tally is kept for at least that many times what copying its ballots took.
const PAUSE_FACTOR: u32 = 20;

/// The tallies that are kept, the last computed at the end.
#[derive(Default)]
pub(super) struct Tallies(tokio::sync::Mutex<VecDeque<Kept>>);

/// A tally, and until when it is as good as a new one.
#[derive(Clone)]
pub(super) struct Kept {
    poll: Hash,
    /// Whether it never changes any more.
    pub(super) is_final: bool,
    /// Up to which height ballots are counted.
    pub(super) height: Height,
    /// The names of the options.
    pub(super) options: Vec<String>,
    /// The result.
    pub(super) tally: Arc<Tally>,
    keep_until: Instant,
}

/// What is copied at the node's task.
struct Copied {
    poll: PollView,
    height: Height,
    votes: Votes,
    /// Whether a closing, if there is one, has as many confirmations as the network asks for.
    is_confirmed: bool,
    took: Duration,
}

enum Votes {
    Counted(Tally),
    Choices(Vec<Choice>),
    NothingNew,
}

impl Tallies {
    /// The tally of a poll.
    ///
    /// # Errors
    /// 404 when there is no such poll.
    pub(super) async fn of(app: &App, poll: Hash) -> Result<Kept, Problem> {
        let mut kept = app.tallies.0.lock().await;
        let before = kept.iter().find(|kept| kept.poll == poll).cloned();
        if let Some(fresh) = before.as_ref().filter(|kept| kept.is_final || Instant::now() < kept.keep_until)
        {
            return Ok(fresh.clone());
        }
        let counted_at = before.as_ref().map(|kept| kept.height);
        let copied = app.handle.read(move |view| copy(view, &poll, counted_at)).await?;
        let copied = copied.ok_or_else(|| super::handlers::polls::unknown(&poll))?;
        if let (Votes::NothingNew, Some(before)) = (&copied.votes, before) {
            return Ok(before);
        }
        let new = blocking(move || compute(copied)).await??;
        kept.retain(|kept| kept.poll != poll);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(new.clone());
        Ok(new)
    }
}

fn copy(view: &NodeView<'_>, poll: &Hash, counted_at: Option<Height>) -> Option<Copied> {
    let start = Instant::now();
    let (state, tip) = (view.chain.view(), view.chain.tip().height);
    let poll = polls::poll(&state, poll)?;
    let (height, votes) = match polls::final_tally(&state, &poll.id) {
        Some(tally) => (poll.closing.map_or(tip, |closing| closing.height), Votes::Counted(tally)),
        None if counted_at == Some(tip) => (tip, Votes::NothingNew),
        None => {
            let prefix = key("polls/ballot/", &[&poll.id.0]);
            let ballots = state.prefix(&prefix).filter_map(|(key, _)| state.get::<polls::Ballot>(key));
            (tip, Votes::Choices(ballots.map(|ballot| ballot.choice).collect()))
        }
    };
    let is_confirmed = is_confirmed(view, &poll);
    Some(Copied { poll, height, votes, is_confirmed, took: start.elapsed() })
}

/// Whether a poll's closing, if it is closed, has as many confirmations as the network asks for.
pub(super) fn is_confirmed(view: &NodeView<'_>, poll: &PollView) -> bool {
    let (tip, depth) = (view.chain.tip().height, view.chain.depth());
    poll.closing.is_none_or(|closing| closing.height + depth <= tip)
}

fn compute(copied: Copied) -> Result<Kept, Problem> {
    let Copied { poll, height, votes, is_confirmed, took } = copied;
    let (is_final, tally) = match votes {
        Votes::Counted(tally) => (is_confirmed, tally),
        Votes::Choices(choices) => {
            let tally = Tally::count(poll.rules.method, poll.rules.options, &choices);
            let tally = tally
                .map_err(|error| Problem::unavailable(format!("the ballots cannot be counted: {error}")))?;
            (false, tally)
        }
        Votes::NothingNew => return Err(Problem::unavailable("the tally is being counted: ask again")),
    };
    let keep_until = Instant::now() + took * PAUSE_FACTOR;
    Ok(Kept {
        poll: poll.id,
        is_final,
        height,
        options: poll.text.options,
        tally: Arc::new(tally),
        keep_until,
    })
}
