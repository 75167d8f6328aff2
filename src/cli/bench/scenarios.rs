//! What is measured.

use super::{
    bed::Bed,
    figures::{Figure, distribution, figure},
    process,
};
use crate::{
    api::types::{Event, TransactionStatus},
    cli::failure::{Context, Failure, Outcome},
    client::{Client, ClientError},
};
use conclave_ledger::{
    applications::{Payload, polls},
    keys::SecretKey,
    tally::{Choice, Method},
    transaction::{Request, Transaction},
};
use std::{
    collections::BTreeMap,
    io::{Seek, SeekFrom, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Longest that one decision is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Small transactions in one submission at saturation.
const BATCH: usize = 100;

/// Records of 32 KiB in one submission: 16 submitters then have two blocks' worth under way.
const LARGE_BATCH: usize = 16;

/// Submissions that are under way at once for each node at saturation.
const SUBMITTERS: usize = 4;

/// Voters of the measured poll: as many as fit into its opening transaction.
const VOTERS: usize = 1500;

/// A synced write of 400 bytes into a file with its space allocated, in the folder for temporary files.
pub(super) fn fsync() -> Outcome<Vec<Figure>> {
    let path = std::env::temp_dir().join(format!("conclave-fsync-{}", std::process::id()));
    let name = || format!("cannot write {}", path.display());
    let mut file = std::fs::File::create(&path).context(name)?;
    file.write_all(&vec![0; 4 << 20]).and_then(|()| file.sync_all()).context(name)?;
    file.seek(SeekFrom::Start(0)).context(name)?;
    let mut times = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        file.write_all(&[1; 400]).and_then(|()| file.sync_data()).context(name)?;
        times.push(start.elapsed());
    }
    std::fs::remove_file(&path).context(name)?;
    Ok(distribution("disk", "write and fdatasync of 400 bytes", times))
}

async fn decide(client: &Client, transaction: &Transaction) -> Outcome<u64> {
    match client.submit_and_wait(transaction, PATIENCE).await? {
        TransactionStatus::Decided { height, .. } => Ok(height),
        _ => Err(Failure::new("a transaction was not decided in time")),
    }
}

/// When each node said that a height was opened and decided, as this process received it.
#[derive(Default)]
struct Watched {
    opened: BTreeMap<u64, Instant>,
    decided: BTreeMap<u64, Vec<Instant>>,
    transactions: BTreeMap<u64, usize>,
}

struct Watch {
    seen: Arc<Mutex<Watched>>,
    _tasks: JoinSet<()>,
}

impl Watch {
    async fn start(clients: &[Client]) -> Outcome<Self> {
        let (seen, mut tasks) = (Arc::new(Mutex::new(Watched::default())), JoinSet::new());
        for client in clients {
            let (mut events, seen) = (client.events().await?, seen.clone());
            tasks.spawn(async move {
                while let Some(Ok(event)) = events.next().await {
                    let now = Instant::now();
                    let Ok(mut seen) = seen.lock() else { return };
                    match event {
                        Event::Opened { height, .. } => {
                            seen.opened.entry(height).or_insert(now);
                        }
                        Event::Decided { height, transactions, .. } => {
                            seen.decided.entry(height).or_default().push(now);
                            seen.transactions.insert(height, transactions);
                        }
                        _ => {}
                    }
                }
            });
        }
        Ok(Self { seen, _tasks: tasks })
    }

    /// From the first opening to the last decision of each height that `nodes` nodes have decided.
    fn on_all(&self, nodes: usize) -> Vec<Duration> {
        let Ok(seen) = self.seen.lock() else { return Vec::new() };
        let complete = seen.decided.iter().filter(|(_, times)| times.len() >= nodes);
        complete
            .filter_map(|(height, times)| Some(times.iter().max()?.duration_since(*seen.opened.get(height)?)))
            .collect()
    }

    /// Heights by the time of their first decision.
    fn first_decisions(&self) -> Vec<(Instant, usize)> {
        let Ok(seen) = self.seen.lock() else { return Vec::new() };
        let first = seen.decided.iter().filter_map(|(height, times)| {
            Some((*times.iter().min()?, seen.transactions.get(height).copied().unwrap_or(0)))
        });
        first.collect()
    }
}

/// One record at a time through one node after the other, each after the decision of the one before.
pub(super) async fn latency(bed: &Bed, name: &str, time: Duration) -> Outcome<Vec<Figure>> {
    let watch = Watch::start(&bed.clients).await?;
    let (wire_before, frames_before) = wire(bed).await?;
    let (start, mut times, mut height) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < time {
        let client = &bed.clients[times.len() % bed.len()];
        let transaction = bed.record(height, times.len() as u64, 32);
        let submitted = Instant::now();
        height = decide(client, &transaction).await?;
        times.push(submitted.elapsed());
    }
    let decisions = times.len() as f64;
    let (wire_after, frames_after) = wire(bed).await?;
    let mut figures = distribution(name, "submission over HTTP to decided", times);
    // Decisions reach the other nodes while the answer is on its way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    figures.extend(distribution(name, "opened to decided on all nodes", watch.on_all(bed.len())));
    figures.push(figure(
        name,
        "transport bytes per height, all nodes",
        (wire_after - wire_before) / decisions,
        "B",
    ));
    figures.push(figure(
        name,
        "frame bytes per height, all nodes",
        (frames_after - frames_before) / decisions,
        "B",
    ));
    Ok(figures)
}

/// Bytes sent by all nodes: by the transport, and in frames of our own protocols.
async fn wire(bed: &Bed) -> Outcome<(f64, f64)> {
    let (mut transport, mut frames) = (0.0, 0.0);
    for client in &bed.clients {
        for line in client.metrics().await?.lines() {
            let value = line.rsplit(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
            if line.starts_with("libp2p_bandwidth_bytes_total") && line.contains("Outbound") {
                transport += value;
            } else if line.starts_with("conclave_sent_frame_bytes_total") {
                frames += value;
            }
        }
    }
    Ok((transport, frames))
}

/// Single records by several submitters for each node, so that the pool is never empty.
pub(super) async fn heights(bed: &Bed, time: Duration) -> Outcome<Vec<Figure>> {
    let watch = Watch::start(&bed.clients[..1]).await?;
    let (before, start) = (used(bed), Instant::now());
    let next = AtomicUsize::new(0);
    let submit = |client: &Client| {
        let (client, next) = (client.clone(), &next);
        async move {
            let mut height = 0;
            while start.elapsed() < time {
                let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                height = decide(&client, &bed.record(height, number, 32)).await?;
            }
            Ok::<(), Failure>(())
        }
    };
    let clients = bed.clients.iter().flat_map(|client| [submit(client), submit(client)]);
    futures::future::try_join_all(clients).await?;
    let decisions = watch.first_decisions();
    let pauses = decisions.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0)).collect();
    let mut figures =
        vec![figure("heights", "decided heights", decisions.len() as f64 / time.as_secs_f64(), "1/s")];
    figures.extend(distribution("heights", "pause between two decisions", pauses));
    figures.extend(load(bed, "heights", &before, start.elapsed(), decisions.len()));
    Ok(figures)
}

/// Submits `transactions` in batches through all nodes, each submitter the next once the last is decided; when what was
/// decided, and how many transactions it had.
async fn saturate(
    bed: &Bed,
    transactions: &[Transaction],
    batch: usize,
    time: Duration,
) -> Outcome<Vec<(Instant, usize)>> {
    let watch = Watch::start(&bed.clients[..1]).await?;
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let batches: Vec<&[Transaction]> = transactions.chunks(batch).collect();
    let submit = |client: &Client| {
        let (client, next, batches) = (client.clone(), &next, &batches);
        async move {
            while start.elapsed() < time {
                let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
                match client.submit_all(batch, Some(PATIENCE)).await {
                    Ok(_) => {}
                    Err(ClientError::Problem(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(error) => return Err(Failure::from(error)),
                }
            }
            Ok(())
        }
    };
    let submitters =
        bed.clients.iter().flat_map(|client| (0..SUBMITTERS).map(|_| submit(client)).collect::<Vec<_>>());
    futures::future::try_join_all(submitters).await?;
    Ok(watch.first_decisions())
}

/// Transactions per second between the first and the last decision.
fn rate(decisions: &[(Instant, usize)]) -> f64 {
    let (Some(first), Some(last)) = (decisions.first(), decisions.last()) else { return 0.0 };
    let counted: usize = decisions.iter().skip(1).map(|(_, transactions)| transactions).sum();
    counted as f64 / last.0.duration_since(first.0).as_secs_f64().max(1e-9)
}

/// Transactions decided.
fn count(decisions: &[(Instant, usize)]) -> usize {
    decisions.iter().map(|(_, transactions)| transactions).sum()
}

/// What the nodes took of the machine, and for each of `units` that they decided, if they did.
fn load(bed: &Bed, name: &str, before: &[Duration], elapsed: Duration, units: usize) -> Vec<Figure> {
    let pids = bed.pids();
    let used: f64 = pids
        .iter()
        .zip(before)
        .map(|(pid, before)| (process::processor_time(*pid) - *before).as_secs_f64())
        .sum();
    let memory = pids.iter().map(|pid| process::memory(*pid));
    let memory = memory.max_by(|one, other| one.most.total_cmp(&other.most)).unwrap_or_default();
    let share = 100.0 * used / elapsed.as_secs_f64() / pids.len() as f64;
    let mut figures = vec![
        figure(name, "processor per node", share, "%"),
        figure(name, "most memory of a node", memory.most, "MiB"),
        figure(name, "of it the program's file, one copy for all nodes", memory.program, "MiB"),
    ];
    if units > 0 {
        let each = used * 1e6 / units as f64;
        figures.push(figure(name, "processor time for each decided, all nodes", each, "µs"));
    }
    figures
}

fn used(bed: &Bed) -> Vec<Duration> {
    bed.pids().into_iter().map(process::processor_time).collect()
}

/// Small records at saturation; then one at a time while half of that goes on.
pub(super) async fn records(bed: &Bed, time: Duration) -> Outcome<Vec<Figure>> {
    let transactions: Vec<Transaction> = (0..time.as_secs() * 10_000).map(|n| bed.record(0, n, 32)).collect();
    let (before, start) = (used(bed), Instant::now());
    let decisions = saturate(bed, &transactions, BATCH, time).await?;
    let rate = rate(&decisions);
    let mut figures = vec![figure("records", "decided records of 32 bytes", rate, "1/s")];
    figures.extend(load(bed, "records", &before, start.elapsed(), count(&decisions)));
    let height = bed.clients[0].status().await?.height;
    let (half, start) = (Duration::from_secs_f64(2.0 * BATCH as f64 / rate.max(1.0)), Instant::now());
    let background = async {
        let mut number = 1 << 40;
        let mut tick = tokio::time::interval(half);
        while start.elapsed() < time {
            tick.tick().await;
            let batch: Vec<Transaction> =
                (0..BATCH as u64).map(|n| bed.record(height, number + n, 32)).collect();
            number += BATCH as u64;
            bed.clients[0].submit_all(&batch, None).await?;
        }
        Ok::<(), Failure>(())
    };
    let measured = async {
        let mut times = Vec::new();
        while start.elapsed() < time {
            let transaction = bed.record(height, (1 << 50) + times.len() as u64, 32);
            let submitted = Instant::now();
            decide(&bed.clients[1], &transaction).await?;
            times.push(submitted.elapsed());
        }
        Ok::<Vec<Duration>, Failure>(times)
    };
    let (_, times) = futures::future::try_join(background, measured).await?;
    figures.extend(distribution("records", "submission to decided at half of that", times));
    Ok(figures)
}

/// Ballots of a ranked poll in which they may be cast again, signed before the time is taken.
pub(super) async fn ballots(bed: &Bed, time: Duration) -> Outcome<Vec<Figure>> {
    let voters: Vec<SecretKey> = (0..VOTERS as u64)
        .map(|number| {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            SecretKey::from_seed(seed)
        })
        .collect();
    let open = polls::Payload::OpenPoll {
        title: "Bench".into(),
        options: (1..=8).map(|number| format!("option {number}")).collect(),
        method: Method::Rank,
        electorate: polls::Electorate::Keys(voters.iter().map(SecretKey::public).collect()),
        opens: 0,
        closes: crate::cli::output::now_ms() + 3_600_000,
        revote: true,
    };
    let poll = bed.sign(0, 0, Payload::Poll(open));
    let id = poll.id();
    let opened = decide(&bed.clients[0], &poll).await?;
    let ballot = |number: usize| {
        let choice = Choice::Rank(vec![vec![(number % 8) as u16], vec![((number + 3) % 8) as u16]]);
        let voter = &voters[number % VOTERS];
        let payload = Payload::Poll(polls::Payload::CastBallot { poll: id, choice });
        let expires = opened + 500 + (number / VOTERS) as u64;
        Request { network: bed.id, sender: voter.public(), expires, payload }.sign(voter)
    };
    let transactions: Vec<Transaction> =
        (0..(time.as_secs() as usize * 10_000).min(400 * VOTERS)).map(ballot).collect();
    let (before, start) = (used(bed), Instant::now());
    let decisions = saturate(bed, &transactions, BATCH, time).await?;
    let mut figures = vec![figure("ballots", "decided ballots", rate(&decisions), "1/s")];
    figures.extend(load(bed, "ballots", &before, start.elapsed(), count(&decisions)));
    Ok(figures)
}

/// Records of the largest size.
pub(super) async fn payload(bed: &Bed, time: Duration) -> Outcome<Vec<Figure>> {
    const BYTES: usize = 32 << 10;
    let transactions: Vec<Transaction> =
        (0..time.as_secs() * 1_500).map(|n| bed.record(0, n, BYTES)).collect();
    let (before, start) = (used(bed), Instant::now());
    let decisions = saturate(bed, &transactions, LARGE_BATCH, time).await?;
    let megabytes = rate(&decisions) * BYTES as f64 / 1e6;
    let mut figures = vec![figure("payload", "decided payload in records of 32 KiB", megabytes, "MB/s")];
    figures.extend(load(bed, "payload", &before, start.elapsed(), count(&decisions)));
    Ok(figures)
}

/// One validator is never started.
pub(super) async fn one_down(bed: &mut Bed, time: Duration) -> Outcome<Vec<Figure>> {
    let last = bed.len() - 1;
    for node in 0..last {
        bed.start(node)?;
    }
    for node in 0..last {
        bed.wait_connected(node, last - 1).await?;
    }
    let (start, mut times, mut height) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < time {
        let transaction = bed.record(height, times.len() as u64, 32);
        let submitted = Instant::now();
        height = decide(&bed.clients[times.len() % last], &transaction).await?;
        times.push(submitted.elapsed());
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    let mut figures = vec![figure("one down", "decided heights, one record at a time", rate, "1/s")];
    figures.extend(distribution("one down", "submission over HTTP to decided", times));
    Ok(figures)
}

async fn leader(bed: &Bed, node: usize) -> Outcome<usize> {
    let validators = bed.clients[node].validators().await?.validators;
    let leads = validators.iter().position(|validator| validator.leader);
    leads.ok_or_else(|| Failure::new("nobody leads the next height"))
}

/// The leader of the next height is killed, and a record submitted at once.
pub(super) async fn kill_leader(bed: &mut Bed) -> Outcome<Vec<Figure>> {
    let mut times = Vec::new();
    for number in 0..5 {
        let height = decide(&bed.clients[0], &bed.record(0, number, 32)).await?;
        let leader = leader(bed, 0).await?;
        let other = (leader + 1) % bed.len();
        bed.kill(leader);
        let transaction = bed.record(height, 100 + number, 32);
        let submitted = Instant::now();
        decide(&bed.clients[other], &transaction).await?;
        times.push(submitted.elapsed());
        bed.start(leader)?;
        bed.wait_connected(leader, bed.len() - 1).await?;
    }
    Ok(distribution("leader killed", "submission over HTTP to decided", times))
}

/// A node is killed, the others go on, and it is started again.
pub(super) async fn restart(bed: &mut Bed) -> Outcome<Vec<Figure>> {
    let (mut tips, mut votes) = (Vec::new(), Vec::new());
    for round in 0..5u64 {
        let node = round as usize % bed.len();
        let other = (node + 1) % bed.len();
        bed.kill(node);
        let mut height = 0;
        for number in 0..50 {
            height = decide(&bed.clients[other], &bed.record(0, round * 1000 + number, 32)).await?;
        }
        let started = Instant::now();
        bed.start(node)?;
        while bed.clients[node].status().await.map_or(0, |status| status.height) < height {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tips.push(started.elapsed());
        let mut events = bed.clients[node].events().await?;
        let transaction = bed.record(height, round * 1000 + 999, 32);
        bed.clients[other].submit(&transaction).await?;
        while let Some(event) = events.next().await {
            if matches!(event?, Event::Voted { .. }) {
                break;
            }
        }
        votes.push(started.elapsed());
        bed.wait_connected(node, bed.len() - 1).await?;
    }
    let mut figures = distribution("restart", "process start to the tip", tips);
    figures.extend(distribution("restart", "process start to its first vote", votes));
    Ok(figures)
}

/// A network that nobody asks for anything.
pub(super) async fn idle(bed: &Bed, time: Duration) -> Outcome<Vec<Figure>> {
    decide(&bed.clients[0], &bed.record(0, 0, 32)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ((_, frames), before, start) = (wire(bed).await?, used(bed), Instant::now());
    tokio::time::sleep(time).await;
    let mut figures = load(bed, "idle", &before, start.elapsed(), 0);
    figures.push(figure("idle", "frame bytes sent by all nodes", wire(bed).await?.1 - frames, "B"));
    Ok(figures)
}
