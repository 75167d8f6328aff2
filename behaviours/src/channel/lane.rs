//! One direction of frames on one substream: a queue that is written out, and a substream that is read.

use super::frame::{FrameError, FrameReader, LENGTH_BYTES};
use futures::{AsyncRead, AsyncWrite};
use libp2p::Stream;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

/// Bytes that are gathered from the queue before a write: many small frames cost one call.
const WRITE_BYTES: usize = 64 << 10;

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// Frames on their way out.
pub(super) struct Outgoing {
    pub(super) stream: Option<Stream>,
    queue: VecDeque<Arc<[u8]>>,
    buffer: Vec<u8>,
    written: usize,
    /// Offset in the frame at the head of the queue of what is not in the buffer yet.
    head: usize,
    unflushed: bool,
    /// Bytes queued, shared with the behaviour, which bounds them.
    queued: Arc<AtomicUsize>,
}

impl Outgoing {
    pub(super) fn new(queued: Arc<AtomicUsize>) -> Self {
        Self {
            stream: None,
            queue: VecDeque::new(),
            buffer: Vec::new(),
            written: 0,
            head: 0,
            unflushed: false,
            queued,
        }
    }

    pub(super) fn push(&mut self, frame: Arc<[u8]>) {
        self.queue.push_back(frame);
    }

    /// Forgets the substream and everything queued.
    pub(super) fn reset(&mut self) {
        let queued = self.queue.iter().map(|frame| frame.len()).sum();
        self.queued.fetch_sub(queued, Ordering::Relaxed);
        self.queue.clear();
        self.buffer.clear();
        (self.stream, self.written, self.head, self.unflushed) = (None, 0, 0, false);
    }

    /// Writes as much as the substream takes. `Ready` only on an error.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(mut stream) = self.stream.take() else { return Poll::Pending };
        let result = self.write(&mut stream, cx);
        self.stream = Some(stream);
        result
    }

    fn write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if self.written == self.buffer.len() {
                self.refill();
            }
            if self.buffer.is_empty() {
                if self.unflushed {
                    match Pin::new(&mut *stream).poll_flush(cx) {
                        Poll::Ready(Ok(())) => self.unflushed = false,
                        Poll::Ready(Err(error)) => return Poll::Ready(error),
                        Poll::Pending => {}
                    }
                }
                return Poll::Pending;
            }
            match Pin::new(&mut *stream).poll_write(cx, &self.buffer[self.written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.written += written;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Gathers frames, or the next part of a large one, into the buffer.
    fn refill(&mut self) {
        self.buffer.clear();
        self.written = 0;
        while self.buffer.len() + LENGTH_BYTES < WRITE_BYTES {
            let Some(frame) = self.queue.front() else { break };
            if self.head == 0 {
                self.buffer.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            }
            let part = (frame.len() - self.head).min(WRITE_BYTES - self.buffer.len());
            self.buffer.extend_from_slice(&frame[self.head..self.head + part]);
            self.head += part;
            if self.head == frame.len() {
                self.queued.fetch_sub(frame.len(), Ordering::Relaxed);
                self.queue.pop_front();
                self.head = 0;
            }
        }
    }
}

/// Frames on their way in.
pub(super) struct Incoming {
    stream: Option<Stream>,
    reader: FrameReader,
    limit: usize,
    buffer: Box<[u8]>,
    frames: VecDeque<Vec<u8>>,
}

impl Incoming {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            stream: None,
            reader: FrameReader::new(limit),
            limit,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            frames: VecDeque::new(),
        }
    }

    /// A new substream takes the place of the old one.
    pub(super) fn accept(&mut self, stream: Stream) {
        self.reset();
        self.stream = Some(stream);
    }

    pub(super) fn reset(&mut self) {
        self.stream = None;
        self.reader = FrameReader::new(self.limit);
        self.frames.clear();
    }

    /// The next frame; an error when the bytes are no frames. A substream that ends or breaks is let go of.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, FrameError>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Ok(frame));
            }
            let Some(stream) = &mut self.stream else { return Poll::Pending };
            match Pin::new(stream).poll_read(cx, &mut self.buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    let end = self.reader.end();
                    self.reset();
                    if let Err(error) = end {
                        return Poll::Ready(Err(error));
                    }
                }
                Poll::Ready(Ok(read)) => {
                    let mut frames = Vec::new();
                    let result = self.reader.feed(&self.buffer[..read], &mut frames);
                    self.frames.extend(frames);
                    if let Err(error) = result {
                        self.reset();
                        return Poll::Ready(Err(error));
                    }
                }
                // A broken connection is nobody's lie.
                Poll::Ready(Err(_)) => self.reset(),
            }
        }
    }
}
