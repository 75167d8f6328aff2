//! What comes over streams, from other nodes, trackers and local programs: framing first, and then what is in it.

use crate::decoders::select;
use conclave::gossip_api::message::{FromModule, Notification, notification};
use conclave_behaviours::{
    channel::FrameReader,
    rendezvous::{self, Record},
    tracker,
};
use futures::{executor::block_on, io::Cursor};
use libp2p::request_response::Codec as _;

/// Longest frame here.
const LIMIT: usize = 512;

/// The frames of channels, in pieces of any size. The first byte says how long the pieces are.
pub fn frames(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let read = |size: usize| {
        let (mut reader, mut frames) = (FrameReader::new(LIMIT), Vec::new());
        let result = bytes.chunks(size).try_for_each(|piece| reader.feed(piece, &mut frames));
        (result.and_then(|()| reader.end()), frames)
    };
    let (result, frames) = read(usize::from(*piece).max(1));
    assert!(frames.iter().all(|frame| frame.len() <= LIMIT));
    assert_eq!(read(bytes.len().max(1)), (result, frames.clone()), "frames depend on how the stream is cut");
    let written: Vec<u8> = frames
        .iter()
        .flat_map(|frame| [(frame.len() as u32).to_be_bytes().as_slice(), frame].concat())
        .collect();
    assert!(bytes.starts_with(&written), "frames are the bytes of the stream");
    assert!(result.is_err() || written.len() == bytes.len());
}

/// What trackers and their clients say, framed; and signed records. The first byte says which.
pub fn rendezvous(bytes: &[u8]) {
    select(&[response, request, record, framed_response, framed_request], bytes);
}

fn response(bytes: &[u8]) {
    let stream = &mut Cursor::new(bytes);
    let read = block_on(rendezvous::Codec.read_response(&rendezvous::PROTOCOL, stream));
    if let Ok(rendezvous::Response::Discovered { records, .. }) = read {
        assert!(records.len() <= rendezvous::MAX_RECORDS);
    }
}

fn request(bytes: &[u8]) {
    let _ = block_on(tracker::Codec.read_request(&rendezvous::PROTOCOL, &mut Cursor::new(bytes)));
}

/// The same behind a length that fits, which a fuzzer seldom finds.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len().min(0x3fff);
    [[length as u8 | 0x80, (length >> 7) as u8].as_slice(), &bytes[..length]].concat()
}

fn framed_response(bytes: &[u8]) {
    response(&framed(bytes));
}

fn framed_request(bytes: &[u8]) {
    request(&framed(bytes));
}

fn record(bytes: &[u8]) {
    if let Ok(record) = Record::read(bytes) {
        assert!(record.addresses.len() <= rendezvous::record::MAX_ADDRESSES);
    }
}

/// The modules' protocol, both directions: messages until the stream ends or one is wrong.
pub fn gossip_api(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let before = rest;
        let Ok(Some(message)) = block_on(FromModule::read(&mut rest)) else { break };
        let read = &before[..before.len() - rest.len()];
        let again = message.encode();
        // Reserved bits are not looked at, so the bytes may differ, but not the message.
        assert_eq!(again.len(), read.len());
        assert_eq!(block_on(FromModule::read(&mut again.as_slice())).ok().flatten(), Some(message));
    }
    let mut rest = bytes;
    loop {
        let before = rest;
        let Ok(Some(Notification { id, data_type, data })) = block_on(Notification::read(&mut rest)) else {
            break;
        };
        assert_eq!(notification(id, data_type, &data), before[..before.len() - rest.len()]);
    }
}
