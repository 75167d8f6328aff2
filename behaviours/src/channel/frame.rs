//! Frames on a substream: what is checked before anything is allocated.

/// Bytes of the length before each frame.
pub(super) const LENGTH_BYTES: usize = 4;

/// Bytes that a frame's buffer grows by at most before they have arrived.
const GROWTH_BYTES: usize = 64 << 10;

/// Why an inbound substream is not a sequence of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame longer than the protocol allows.
    #[error("a frame of {length} bytes, more than the {limit} allowed")]
    TooLong {
        /// Length announced, in bytes.
        length: usize,
        /// Length allowed, in bytes.
        limit: usize,
    },
    /// The substream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
}

/// Cuts a sequence of bytes into frames.
#[derive(Debug)]
pub struct FrameReader {
    limit: usize,
    length: Vec<u8>,
    body: Option<(usize, Vec<u8>)>,
}

impl FrameReader {
    /// A reader at the start of a substream whose frames have at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, length: Vec::with_capacity(LENGTH_BYTES), body: None }
    }

    /// Takes bytes; complete frames are pushed to `frames`.
    ///
    /// # Errors
    /// [`FrameError::TooLong`], before anything is allocated for the frame.
    pub fn feed(&mut self, mut bytes: &[u8], frames: &mut Vec<Vec<u8>>) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            let Some((expected, body)) = &mut self.body else {
                let missing = (LENGTH_BYTES - self.length.len()).min(bytes.len());
                self.length.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                if let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(self.length.as_slice()) {
                    let length = u32::from_be_bytes(length) as usize;
                    if length > self.limit {
                        return Err(FrameError::TooLong { length, limit: self.limit });
                    }
                    self.length.clear();
                    self.body = Some((length, Vec::with_capacity(length.min(GROWTH_BYTES))));
                    self.finish(frames);
                }
                continue;
            };
            let taken = (*expected - body.len()).min(bytes.len());
            body.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            self.finish(frames);
        }
        Ok(())
    }

    fn finish(&mut self, frames: &mut Vec<Vec<u8>>) {
        if let Some((_, body)) = self.body.take_if(|(expected, body)| body.len() == *expected) {
            frames.push(body);
        }
    }

    /// The substream has ended.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] within a frame.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.body.is_some() || !self.length.is_empty() { Err(FrameError::Truncated) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        [(body.len() as u32).to_be_bytes().as_slice(), body].concat()
    }

    #[test]
    fn frames_come_out_whole_however_they_are_cut() {
        let stream = [frame(b"one"), frame(b""), frame(&[7; 1000])].concat();
        for step in [1, 2, 3, 5, 7, 64, stream.len()] {
            let (mut reader, mut frames) = (FrameReader::new(1000), Vec::new());
            for part in stream.chunks(step) {
                assert_eq!(reader.feed(part, &mut frames), Ok(()));
            }
            assert_eq!(frames, [b"one".to_vec(), Vec::new(), vec![7; 1000]], "in steps of {step}");
            assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_or_cut_short_is_refused() {
        let mut reader = FrameReader::new(10);
        let error = FrameError::TooLong { length: 11, limit: 10 };
        assert_eq!(reader.feed(&frame(&[0; 11]), &mut Vec::new()), Err(error));
        for cut in 1..frame(b"abc").len() {
            let mut reader = FrameReader::new(10);
            assert_eq!(reader.feed(&frame(b"abc")[..cut], &mut Vec::new()), Ok(()));
            assert_eq!(reader.end(), Err(FrameError::Truncated), "cut at {cut}");
        }
    }
}
