//! speed
use super::node::*;
use std::time::*;
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speed() {
    let node = TestNode::start().await;
    let txs: Vec<_> = (0..2000).map(|n| record(&format!("s{n}"))).collect();
    let mut times = vec![];
    for tx in &txs { let t = Instant::now(); node.client.submit_and_wait(tx, Duration::from_secs(5)).await.unwrap(); times.push(t.elapsed()); }
    times.sort();
    eprintln!("wait median {:?} p99 {:?}", times[1000], times[1980]);
    node.control(Control::Decide(false)).await;
    let txs: Vec<_> = (0..4000).map(|n| record(&format!("q{n}"))).collect();
    let t = Instant::now();
    for c in txs.chunks(500) { node.client.submit_all(c, None).await.unwrap(); }
    eprintln!("batch cbor {:?} for 4000", t.elapsed());
}
