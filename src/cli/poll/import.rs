//! `conclave poll import`: an election from a file, held again on the network.
//!
//! ```text
//! read the file ──► keys for its voters ──► open the poll ──► cast every ballot ──► close ──► compare the tally
//!  (all or nothing)  (kept in the home)                       (through all nodes)
//! ```

use super::{
    casting::{Ballot, Caster},
    show,
};
use crate::{
    api::types::TransactionStatus,
    archive::Receipt,
    cli::{
        failure::{Context, Failure, Outcome},
        key::PassphraseFlag,
        output::now_ms,
        progress, sending,
        session::Session,
    },
    client::Client,
    keys::voters,
    preflib::Election,
};
use clap::Parser;
use conclave_ledger::{
    applications::{Payload, polls, polls::Electorate},
    codec,
    genesis::Limits,
    hash::Hash,
    keys::{PublicKey, SecretKey, Signature},
    tally::{Choice, Method, Tally},
    transaction::{Request, Transaction},
};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Ballots that are on their way at a time.
const IN_FLIGHT: usize = 256;

/// Largest election file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// How long the poll takes ballots if nobody closes it, in milliseconds: a week.
const OPEN_FOR_MS: u64 = 7 * 24 * 3_600_000;

/// Holds an election from a PrefLib file (soc, soi, toc, toi) on the network
#[derive(Parser)]
#[command(
    after_help = "Makes a key for each voter, opens a poll, casts every ballot as its voter through all nodes in turn,\n\
                  closes the poll and shows the tally. A file that contradicts itself is refused before anything is sent.\n\n\
                  Example:\n  conclave --home conclave-net poll import election.soi"
)]
pub(crate) struct Import {
    /// The election
    file: PathBuf,
    /// URLs of the nodes to cast through, separated by commas [default: all nodes of an `up` home]
    #[arg(long, value_delimiter = ',', value_name = "URL,…")]
    nodes: Vec<String>,
    /// Folder of the voters' keys [default: voters/<name of the file> in the home]
    #[arg(long, value_name = "DIR")]
    voters: Option<PathBuf>,
    /// Key file of the poll's author, made if it is not there [default: author.key beside the voters' keys]
    #[arg(long, value_name = "FILE")]
    author: Option<PathBuf>,
    /// Go on with a poll that an earlier import of this file has opened
    #[arg(long, value_name = "ID")]
    poll: Option<Hash>,
    /// Ballots per second at most [default: no bound]
    #[arg(long, value_name = "BALLOTS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Give up on a ballot that is not decided after that many seconds
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u64,
    /// Leave the poll open
    #[arg(long)]
    keep_open: bool,
    /// Also show how many voters prefer which option to which
    #[arg(long)]
    pairwise: bool,
    /// Lock the voters' keys with a passphrase
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseFlag,
}

/// What came of it.
#[derive(Serialize)]
struct Held {
    poll: Hash,
    title: String,
    options: Vec<String>,
    voters: PathBuf,
    ballots: Vec<Hash>,
    closed_at: Option<u64>,
    tally: Option<Tally>,
    /// Where miners decided: what it took.
    mined: Option<Mined>,
}

/// What miners did until now, as their nodes tell.
#[derive(Serialize)]
struct Mined {
    /// Blocks on the chain.
    blocks: u64,
    /// Forks that the node has seen that saw most.
    forks: u64,
    /// Reorganisations of the node that had most.
    reorganisations: u64,
    /// Blocks that the deepest of all has undone.
    deepest: u64,
}

impl Import {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let election = read(&self.file)?;
        let choices: Vec<Choice> = election.ballots().map(|ranking| Choice::Rank(ranking.to_vec())).collect();
        let title = title(&election, &self.file);
        check_size(&title, &election, choices.len())?;

        let clients = connect(session, &self.nodes).await?;
        let folder =
            self.voters.clone().unwrap_or_else(|| session.home.join("voters").join(stem(&self.file)));
        let (author, voters) = self.keys(session, &folder, choices.len())?;
        let network = status_of_any(&clients).await?;
        let caster = Caster { nodes: clients, network, patience: Duration::from_secs(self.patience) };

        let poll = match self.poll {
            Some(poll) => poll,
            None => self.open(&caster, &author, &title, &election, &voters).await?,
        };
        session.output.say(&format!(
            "{} poll {poll}\n  {title}: {} options, {} voters, whose keys are in {}",
            if self.poll.is_some() { "going on with" } else { "opened" },
            election.alternatives.len(),
            voters.len(),
            folder.display()
        ))?;
        let ballots = voters.into_iter().zip(&choices);
        let ballots = ballots.map(|(voter, choice)| Ballot { poll, voter, choice: choice.clone() }).collect();
        let ids = self.cast_all(caster_of(&caster), ballots).await?;

        let options = election.alternatives.clone();
        let mut held = Held {
            poll,
            title,
            options,
            voters: folder,
            ballots: ids,
            closed_at: None,
            tally: None,
            mined: None,
        };
        if !self.keep_open {
            self.confirm(&caster, &held.ballots).await?;
            self.close(&caster, &author, &choices, &mut held).await?;
        }
        held.mined = mined(&caster.nodes).await;
        session.output.show(&held, |held| self.describe(held, session))
    }

    /// The keys of the author and of all voters.
    fn keys(&self, session: &Session, folder: &Path, count: usize) -> Outcome<(SecretKey, Vec<SecretKey>)> {
        let source = self.passphrase.source();
        let passphrase = self.encrypt.then(|| source.choose("the voters' keys")).transpose()?;
        let bar = progress::bar("voters' keys", count as u64);
        let voters = voters::open_or_create(folder, count, passphrase.as_ref(), &source, || bar.inc(1))?;
        bar.finish_and_clear();
        let author = self.author.clone().unwrap_or_else(|| folder.join("author.key"));
        Ok((session.key_or_fresh(&author, &source)?, voters))
    }

    async fn open(
        &self,
        caster: &Caster,
        author: &SecretKey,
        title: &str,
        election: &Election,
        voters: &[SecretKey],
    ) -> Outcome<Hash> {
        let electorate = voters.iter().map(SecretKey::public).collect();
        let opens = now_ms();
        let payload = open_payload(title, election, electorate, opens, opens + OPEN_FOR_MS);
        let included = through_any(&caster.nodes, author, Payload::Poll(payload)).await?;
        Ok(included.id)
    }

    /// Casts all ballots, each first through another node than the one before.
    async fn cast_all(&self, caster: Arc<Caster>, ballots: Vec<Ballot>) -> Outcome<Vec<Hash>> {
        let bar = progress::bar("ballots decided", ballots.len() as u64);
        let ticks = self.rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
        let numbered = ballots.into_iter().enumerate();
        let paced = futures::stream::unfold((ticks, numbered), |(mut ticks, mut numbered)| async {
            let next = numbered.next()?;
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            Some((next, (ticks, numbered)))
        });
        let cast = paced.map(|(number, ballot)| {
            let (caster, bar) = (Arc::clone(&caster), bar.clone());
            async move {
                let included = caster.cast(&ballot, number).await;
                let included =
                    included.map_err(|failure| Failure::new(format!("voter {}: {failure}", number + 1)))?;
                bar.inc(1);
                Ok::<_, Failure>((number, included.id))
            }
        });
        let mut ids: Vec<(usize, Hash)> = Box::pin(cast).buffer_unordered(IN_FLIGHT).try_collect().await?;
        bar.finish_and_clear();
        ids.sort_unstable();
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    }

    /// Waits, where proofs of work decide, until every ballot has the confirmations that the network asks for: one in a block
    /// that is undone later waits again, and the close of the poll must not overtake it.
    async fn confirm(&self, caster: &Caster, ballots: &[Hash]) -> Outcome {
        let depth = depth_of_any(&caster.nodes).await?;
        if depth == 0 {
            return Ok(());
        }
        let bar = progress::bar("ballots confirmed", ballots.len() as u64);
        for (ballot, number) in ballots.iter().zip(0..) {
            let start = tokio::time::Instant::now();
            while !is_confirmed(&caster.nodes[number % caster.nodes.len()], ballot, depth).await {
                if start.elapsed() > caster.patience {
                    let seconds = self.patience;
                    return Err(Failure::new(format!(
                        "ballot {ballot} has not {depth} confirmations after {seconds} s"
                    ))
                    .advise("Go on with --poll once `conclave status` shows that the chain grows."));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Closes the poll, and compares the ledger's tally with one of the file's ballots.
    async fn close(
        &self,
        caster: &Caster,
        author: &SecretKey,
        choices: &[Choice],
        held: &mut Held,
    ) -> Outcome {
        let payload = Payload::Poll(polls::Payload::ClosePoll { poll: held.poll });
        let closed = through_any(&caster.nodes, author, payload).await?;
        let tally = final_tally(&caster.nodes, &held.poll, closed.height, caster.patience).await?;
        let expected = Tally::count(Method::Rank, held.options.len() as u16, choices)?;
        if tally.1 != expected {
            let (found, wanted) = (tally.1.ballots(), expected.ballots());
            return Err(Failure::new(format!(
                "the network's tally of poll {} ({found} ballots) is not that of the file ({wanted} ballots)",
                held.poll
            ))
            .advise("Check the whole chain with `conclave export` and `conclave verify`."));
        }
        (held.closed_at, held.tally) = (Some(tally.0), Some(tally.1));
        Ok(())
    }

    fn describe(&self, held: &Held, session: &Session) -> String {
        let poll = held.poll;
        let home = match &session.named_home {
            Some(home) => format!(" --home {}", home.display()),
            None => String::new(),
        };
        let mut text = format!("every ballot is decided: {} of {}\n", held.ballots.len(), held.ballots.len());
        if let Some(Mined { blocks, forks, reorganisations, deepest }) = &held.mined {
            text.push_str(&format!(
                "mined: {blocks} blocks on the chain; {forks} forks and {reorganisations} reorganisations seen by the node that \
                 saw most, the deepest of which undid {deepest}\n"
            ));
        }
        if let (Some(tally), Some(height)) = (&held.tally, held.closed_at) {
            text.push_str(&format!(
                "closed at height {height}; a recount of the file gives the same tally\n\n"
            ));
            text.push_str(&show::tally(tally, &held.options, self.pairwise));
        }
        text.push_str(&format!("\nThe poll again:       conclave{home} poll tally {poll}\n"));
        if held.mined.is_some() {
            text.push_str(&format!("Blocks and branches:  conclave{home} blocks --tree\n"));
        } else if let Some(first) = held.ballots.first() {
            text.push_str(&format!("Prove a ballot:       conclave{home} tx prove {first} -o ballot.json\n"));
            text.push_str(&format!("Check it offline:     conclave{home} tx verify ballot.json\n"));
        }
        text.push_str(&format!("Check everything:     conclave{home} export -o chain.conclave && conclave{home} verify chain.conclave\n"));
        text
    }
}

fn caster_of(caster: &Caster) -> Arc<Caster> {
    Arc::new(Caster { nodes: caster.nodes.clone(), network: caster.network, patience: caster.patience })
}

/// Reads the election, or says on which line it is wrong.
fn read(path: &Path) -> Outcome<Election> {
    let shown = path.display();
    let length = std::fs::metadata(path).context(|| format!("cannot read the election {shown}"))?.len();
    if length > MAX_FILE_BYTES {
        return Err(Failure::new(format!(
            "{shown} has {length} bytes, more than the {MAX_FILE_BYTES} that are read"
        )));
    }
    let text = std::fs::read_to_string(path).context(|| format!("cannot read the election {shown}"))?;
    Election::read(&text).map_err(|error| {
        Failure::new(format!("{shown}:{}: {}", error.line, error.reason))
            .advise("Nothing was sent: correct the file and import it again.")
    })
}

/// The election's title, shortened and cleaned to what a poll may be called.
fn title(election: &Election, path: &Path) -> String {
    let title: String = election.title.chars().filter(|character| !character.is_control()).collect();
    let title = if title.is_empty() { stem(path) } else { title };
    let mut end = title.len().min(polls::MAX_TITLE_BYTES);
    while !title.is_char_boundary(end) {
        end -= 1;
    }
    title[..end].to_owned()
}

/// The name of a file without its folder and ending.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "election".into(), |stem| stem.to_string_lossy().into_owned())
}

fn open_payload(
    title: &str,
    election: &Election,
    electorate: Vec<PublicKey>,
    opens: u64,
    closes: u64,
) -> polls::Payload {
    polls::Payload::OpenPoll {
        title: title.into(),
        options: election.alternatives.clone(),
        method: Method::Rank,
        electorate: Electorate::Keys(electorate),
        opens,
        closes,
        revote: false,
    }
}

/// Refuses an election whose list of voters does not fit into a transaction, before a single key is made.
fn check_size(title: &str, election: &Election, voters: usize) -> Outcome {
    let limit = Limits::default().transaction_bytes as usize;
    let payload = open_payload(title, election, vec![PublicKey([0; 32]); voters], u64::MAX, u64::MAX);
    let request = Request {
        network: Hash::ZERO,
        sender: PublicKey([0; 32]),
        expires: u64::MAX,
        payload: Payload::Poll(payload),
    };
    let transaction = Transaction { request, signature: Signature([0; 64]), stamp: Some(u64::MAX) };
    let size = codec::encode(&transaction).len();
    if size <= limit {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the election has {voters} voters and {} options: opening the poll would take a transaction of {size} bytes, \
         and a transaction has at most {limit}",
        election.alternatives.len()
    ))
    .advise("About 1,800 voters fit. Split the election into several files."))
}

/// The nodes to cast through.
async fn connect(session: &Session, named: &[String]) -> Outcome<Vec<Client>> {
    session.urls(named)?.iter().map(|url| session.client_of(url)).collect()
}

/// The network that the nodes belong to. Those that do not answer now may do so later, but one has to.
async fn status_of_any(nodes: &[Client]) -> Outcome<Hash> {
    let mut network = None;
    let mut last = None;
    for node in nodes {
        match node.status().await {
            Ok(status) if network.is_some_and(|network| network != status.network) => {
                return Err(Failure::new("the nodes belong to different networks")
                    .advise("Name nodes of one network with --nodes."));
            }
            Ok(status) => network = Some(status.network),
            Err(error) => last = Some(error),
        }
    }
    match (network, last) {
        (Some(network), _) => Ok(network),
        (None, Some(error)) => Err(Failure::from(error).advise(
            "No node answers. Start a network with `conclave up`, or name nodes with --home, --api or --nodes.",
        )),
        (None, None) => Err(Failure::new("there is no node to speak to")),
    }
}

/// Sends a transaction through the first node that takes it. It is signed once, so it cannot count twice.
async fn through_any(nodes: &[Client], key: &SecretKey, payload: Payload) -> Outcome<Receipt> {
    let mut signed = None;
    let mut last = Failure::new("there is no node to speak to");
    // Twice around: a node that was restarting has a second chance.
    for node in nodes.iter().chain(nodes) {
        let transaction = match &signed {
            Some(transaction) => transaction,
            None => match sending::sign(node, key, payload.clone()).await {
                Ok(transaction) => signed.insert(transaction),
                Err(failure) => {
                    last = failure;
                    continue;
                }
            },
        };
        match sending::submit(node, transaction).await {
            Ok(included) => return Ok(included),
            Err(failure) => last = failure,
        }
        // It may have been decided although the node that took it is gone.
        if let Ok(info) = node.transaction(&transaction.id()).await
            && let crate::api::types::TransactionStatus::Decided { id, height, block, index, .. } =
                info.status
        {
            return Ok(Receipt { id, height, block, index });
        }
    }
    Err(last)
}

/// Blocks that have to follow one before it is final, as the first node that answers says.
async fn depth_of_any(nodes: &[Client]) -> Outcome<u64> {
    let mut last = Failure::new("there is no node to speak to");
    for node in nodes {
        match node.status().await {
            Ok(status) => return Ok(status.proof_of_work.map_or(0, |work| work.depth)),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// What it took where miners decide, of all nodes that answer.
async fn mined(nodes: &[Client]) -> Option<Mined> {
    let mut sum: Option<Mined> = None;
    for node in nodes {
        let Ok(status) = node.status().await else { continue };
        let Some(work) = status.proof_of_work else { continue };
        let mined = sum.get_or_insert(Mined { blocks: 0, forks: 0, reorganisations: 0, deepest: 0 });
        mined.blocks = mined.blocks.max(status.height);
        mined.forks = mined.forks.max(work.forks);
        mined.reorganisations = mined.reorganisations.max(work.reorganisations);
        mined.deepest = mined.deepest.max(work.deepest);
    }
    sum
}

/// Whether a node has a transaction under so many blocks.
async fn is_confirmed(node: &Client, id: &Hash, needed: u64) -> bool {
    let status = node.transaction(id).await.map(|info| info.status);
    matches!(status, Ok(TransactionStatus::Decided { depth, .. }) if depth > needed)
}

/// The final tally and the height at which it was counted, from a node that has reached `height`.
async fn final_tally(
    nodes: &[Client],
    poll: &Hash,
    height: u64,
    patience: Duration,
) -> Outcome<(u64, Tally)> {
    let bar = progress::spinner("waiting for the tally");
    let mut last = Failure::new("there is no node to speak to");
    let start = tokio::time::Instant::now();
    for attempt in 0.. {
        if start.elapsed() > patience {
            break;
        }
        match nodes[attempt % nodes.len()].tally(poll).await {
            Ok(answer) if answer.is_final => {
                bar.finish_and_clear();
                return Ok((answer.height, answer.tally));
            }
            Ok(answer) => {
                last = Failure::new(format!(
                    "poll {poll} is not counted at height {}",
                    answer.height.max(height)
                ));
            }
            Err(error) => last = error.into(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(last)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn election(voters: u32) -> Election {
        let text = format!(
            "# FILE NAME: x.soi\n# TITLE: A\u{7}B\n# DATA TYPE: soi\n# NUMBER ALTERNATIVES: 2\n# NUMBER VOTERS: {voters}\n\
             # NUMBER UNIQUE ORDERS: 1\n# ALTERNATIVE NAME 1: a\n# ALTERNATIVE NAME 2: b\n{voters}: 1,2\n"
        );
        Election::read(&text).unwrap()
    }

    #[test]
    fn an_electorate_that_does_not_fit_is_refused_with_the_sizes() {
        check_size("t", &election(1_850), 1_850).unwrap();
        let failure = check_size("t", &election(2_000), 2_000).unwrap_err().to_string();
        assert!(failure.contains("2000 voters") && failure.contains("65536"), "{failure}");
    }

    #[test]
    fn a_title_is_cleaned_and_cut_at_a_character() {
        assert_eq!(title(&election(1), Path::new("x.soi")), "AB");
        let mut long = election(1);
        long.title = "é".repeat(200);
        assert_eq!(title(&long, Path::new("x.soi")), "é".repeat(128));
        long.title = String::new();
        assert_eq!(title(&long, Path::new("dir/lunch.soi")), "lunch");
    }

    #[test]
    fn a_file_that_contradicts_itself_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.soi");
        std::fs::write(&path, "# FILE NAME: x\n# TITLE: t\n# DATA TYPE: cat\n").unwrap();
        let failure = read(&path).unwrap_err().to_string();
        assert!(failure.contains("bad.soi:3:") && failure.contains("cat"), "{failure}");
    }
}
