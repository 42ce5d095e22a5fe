//! Length-prefixed frames, read from a peer that is not trusted.

use super::budget::{Budget, Share};
use bytes::{Buf, Bytes, BytesMut};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout, timeout_at},
};

const PREFIX: usize = 4;
/// A request begins with the number of its kind.
const KEY: usize = 2;
/// The only kind with records in it.
const PRODUCE: i16 = 0;
/// How much is read ahead of the request that is being answered.
const READ_AHEAD: usize = 64 << 10;
/// What is read from the connection at once, at least.
const CHUNK: usize = 16 << 10;

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {length} bytes; at most {most} are taken")]
    Length { length: i32, most: usize },
    #[error("the connection ended within a frame")]
    CutOff,
    #[error("a request of kind {key} has {length} bytes; at most {most} are taken, but for records")]
    Large { key: i16, length: usize, most: usize },
    #[error("a frame was begun and not ended within {0:?}")]
    Slow(Duration),
    #[error("the peer has sent nothing for {0:?}")]
    Idle(Duration),
    #[error("all connections together hold as many unanswered bytes as they may")]
    Full,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A frame without its length, and its share of the memory that all requests may take.
#[derive(Debug)]
pub(crate) struct Frame {
    pub bytes: Bytes,
    pub share: Share,
}

/// What a peer may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    /// The largest frame with records to append.
    pub most: usize,
    /// The largest frame of any other kind.
    pub most_others: usize,
    /// A frame that is begun must be whole within this time: a peer that sends nothing more holds memory and a place.
    pub within: Duration,
    /// How long a peer for which nothing is done may be silent.
    pub idle: Duration,
}

/// The frames that come from a peer. A frame's memory grows with the bytes that have come, not with the length that it announces.
pub(crate) struct Frames<R> {
    peer: R,
    buffer: BytesMut,
    share: Share,
    limits: FrameLimits,
    /// Since when the rest of a frame is waited for.
    begun: Option<Instant>,
    is_at_end: bool,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(peer: R, limits: FrameLimits, budget: &Budget) -> Self {
        Self { peer, buffer: BytesMut::new(), share: budget.nothing(), limits, begun: None, is_at_end: false }
    }

    /// The next frame; none when the peer has ended the connection. It may be dropped and called again: what has come
    /// is kept. A peer that waits for something may be silent for as long as that takes.
    pub async fn next(&mut self, is_waited_for: bool) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.take()? {
                self.begun = None;
                return Ok(Some(frame));
            }
            if self.is_at_end {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::CutOff) };
            }
            self.read_on(is_waited_for).await?;
        }
    }

    /// Reads; a frame that is begun has its time, and so has a silent peer.
    async fn read_on(&mut self, is_waited_for: bool) -> Result<(), FrameError> {
        let FrameLimits { within, idle, .. } = self.limits;
        if !self.buffer.is_empty() {
            let until = *self.begun.get_or_insert_with(Instant::now) + within;
            return timeout_at(until, self.read()).await.unwrap_or(Err(FrameError::Slow(within)));
        }
        if is_waited_for { self.read().await } else { timeout(idle, self.read()).await.unwrap_or(Err(FrameError::Idle(idle))) }
    }

    /// Ends when the peer has ended the connection. It reads on meanwhile, but not without a limit: a peer that sends more than that is taken
    /// to be there.
    pub async fn closed(&mut self) -> Result<(), FrameError> {
        // While a request is answered it is this side that lets the next one wait.
        self.begun = None;
        while !self.is_at_end {
            if self.buffer.len() >= READ_AHEAD {
                return std::future::pending().await;
            }
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), FrameError> {
        self.buffer.reserve(CHUNK);
        let read = self.peer.read_buf(&mut self.buffer).await?;
        self.is_at_end = read == 0;
        if self.share.grow(read) { Ok(()) } else { Err(FrameError::Full) }
    }

    fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let said = i32::from_be_bytes(*prefix);
        let FrameLimits { most, most_others, .. } = self.limits;
        let length = usize::try_from(said).ok().filter(|length| *length <= most);
        let length = length.ok_or(FrameError::Length { length: said, most })?;
        let key = self.buffer.get(PREFIX..PREFIX + KEY).map(|key| i16::from_be_bytes([key[0], key[1]]));
        if let Some(key) = key.filter(|key| *key != PRODUCE && length > most_others) {
            return Err(FrameError::Large { key, length, most: most_others });
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let share = self.share.split(PREFIX + length);
        Ok(Some(Frame { bytes: self.buffer.split_to(length).freeze(), share }))
    }
}
