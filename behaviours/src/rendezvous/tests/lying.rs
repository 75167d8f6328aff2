//! Against a server that answers whatever the test wants.

use super::*;
use crate::rendezvous::{
    codec::{read_frame, write_frame},
    wire::{Discovered, Frame, Registered, Registration},
};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p::{
    PeerId, StreamProtocol,
    request_response::{self, ProtocolSupport},
};
use prost::Message;
use std::io;

/// What the liar writes, frame and all.
#[derive(Clone)]
struct Liar(Vec<u8>);

impl request_response::Codec for Liar {
    type Protocol = StreamProtocol;
    type Request = ();
    type Response = ();

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(stream, 1 << 20).await.map(drop)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<()>
    where
        T: AsyncRead + Unpin + Send,
    {
        Ok(())
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, _: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Ok(())
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, stream: &mut T, (): ()) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        stream.write_all(&self.0).await
    }
}

/// What the client makes of `bytes` as the answer to `asked`.
async fn told(asked: Asked, bytes: Vec<u8>) -> Event {
    let mut liar = Swarm::new_ephemeral_tokio(|_| {
        let protocols = [(PROTOCOL, ProtocolSupport::Inbound)];
        request_response::Behaviour::with_codec(Liar(bytes), protocols, Default::default())
    });
    liar.listen().with_memory_addr_external().await;
    let mut keys = None;
    let mut client = Swarm::new_ephemeral_tokio(|key| {
        keys = Some(key);
        Behaviour::default()
    });
    client.connect(&mut liar).await;
    let tracker = *liar.local_peer_id();
    tokio::spawn(async move {
        loop {
            let event = liar.select_next_some().await;
            if let SwarmEvent::Behaviour(request_response::Event::Message {
                message: request_response::Message::Request { channel, .. },
                ..
            }) = event
            {
                liar.behaviour_mut().send_response(channel, ()).unwrap();
            }
        }
    });
    let behaviour = client.behaviour_mut();
    let ttl = Duration::from_secs(60);
    match asked {
        Asked::Register => behaviour.register(tracker, namespace(), record(&keys.unwrap(), 1, 1), ttl),
        Asked::Unregister => behaviour.unregister(tracker, namespace()),
        Asked::Discover => behaviour.discover(tracker, namespace(), Since::LastTime, 10),
    }
    .unwrap();
    next(&mut client).await
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut stream = futures::io::Cursor::new(Vec::new());
    futures::executor::block_on(write_frame(&mut stream, bytes)).unwrap();
    stream.into_inner()
}

fn registered(ttl: Option<u64>) -> Vec<u8> {
    let registered = Some(Registered { status: Some(0), text: None, ttl });
    framed(&Frame { kind: Some(1), registered, ..Frame::default() }.encode_to_vec())
}

fn discovered(registrations: Vec<Registration>, cookie: Vec<u8>) -> Vec<u8> {
    let discovered = Some(Discovered { registrations, cookie: Some(cookie), status: None, text: None });
    framed(&Frame { kind: Some(4), discovered, ..Frame::default() }.encode_to_vec())
}

fn entry(namespace: &str, record: Vec<u8>) -> Registration {
    Registration { namespace: Some(namespace.into()), record: Some(record), ttl: Some(u64::MAX) }
}

fn reason(event: Event) -> String {
    match event {
        Event::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn absurd_times_to_live_become_sensible() {
    for (said, believed) in [(Some(0), 10), (Some(30), 30), (Some(61), 60), (Some(u64::MAX), 60), (None, 60)]
    {
        let Event::Registered { ttl, .. } = told(Asked::Register, registered(said)).await else { panic!() };
        assert_eq!(ttl, Duration::from_secs(believed), "{said:?}");
    }
}

#[tokio::test]
async fn records_count_only_if_their_peer_signed_them_under_the_name_that_was_asked_for() {
    let (anna, ben) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let good = record(&anna, 1, 5).0;
    let mut forged = record(&ben, 1, 5).0;
    *forged.last_mut().unwrap() ^= 1;
    let nothing = Registration { namespace: Some("lunch".into()), record: None, ttl: None };
    let entries = vec![
        entry("lunch", good.clone()),
        entry("lunch", record(&anna, 2, 4).0),
        entry("dinner", record(&ben, 1, 1).0),
        entry("lunch", forged),
        entry("lunch", b"garbage".to_vec()),
        entry("lunch", vec![0; record::MAX_RECORD_BYTES + 1]),
        entry(&"x".repeat(300), good),
        nothing,
    ];
    let event = told(Asked::Discover, discovered(entries, b"cookie".to_vec())).await;
    let Event::Discovered { records, ignored, .. } = event else { panic!("{event:?}") };
    let peers: Vec<(PeerId, u64)> = records.iter().map(|record| (record.peer, record.sequence)).collect();
    assert_eq!((peers, ignored), (vec![(anna.public().to_peer_id(), 5)], 7), "the older one is left out");
}

#[tokio::test]
async fn more_records_than_any_tracker_should_send_are_cut_off() {
    let entries = (0..600).map(|_| entry("lunch", record(&Keypair::generate_ed25519(), 1, 1).0)).collect();
    let event = told(Asked::Discover, discovered(entries, Vec::new())).await;
    let Event::Discovered { records, ignored, .. } = event else { panic!("{event:?}") };
    assert_eq!((records.len(), ignored), (MAX_RECORDS, 600 - MAX_RECORDS));
}

#[tokio::test]
async fn what_is_too_long_is_not_read() {
    let endless = vec![0xff; 64];
    assert!(reason(told(Asked::Discover, endless).await).contains("allowed"));
    let mut long = framed(&vec![0; MAX_RESPONSE_BYTES + 1]);
    long.truncate(10);
    assert!(reason(told(Asked::Discover, long).await).contains("allowed"));
    let cookie = vec![0; 2000];
    assert!(reason(told(Asked::Discover, discovered(Vec::new(), cookie)).await).contains("cookie"));
}

#[tokio::test]
async fn no_answer_and_another_answer_are_failures() {
    for asked in [Asked::Register, Asked::Discover] {
        assert!(reason(told(asked, Vec::new()).await).contains("does not belong"), "{asked:?}: silence");
    }
    for asked in [Asked::Register, Asked::Discover, Asked::Unregister] {
        for bytes in
            [framed(b"garbage"), framed(&[]), framed(&Frame::default().encode_to_vec()), vec![5, 8, 1]]
        {
            let event = told(asked, bytes.clone()).await;
            assert!(matches!(event, Event::Failed { .. }), "{asked:?} {bytes:?}: {event:?}");
        }
    }
    assert!(reason(told(Asked::Register, discovered(Vec::new(), Vec::new())).await).contains("belong"));
    assert!(reason(told(Asked::Discover, registered(None)).await).contains("belong"));
    assert!(reason(told(Asked::Unregister, registered(None)).await).contains("belong"));
    let refused = Some(Registered { status: Some(-7), text: Some("\u{7}no\n".repeat(1000)), ttl: None });
    let frame = Frame { kind: Some(1), registered: refused, ..Frame::default() };
    let reason = reason(told(Asked::Register, framed(&frame.encode_to_vec())).await);
    assert!(reason.contains("unknown status (-7): nono") && reason.len() < 200, "{reason}");
}
