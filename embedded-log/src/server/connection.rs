//! One connection: its requests are answered in the order in which they came.

use super::{ServerSettings, broker::Broker};
use crate::wire::{Budget, FrameError, Frames, Received, Request, RequestError, Share, encode};
use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use std::{collections::VecDeque, io, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// So many appends of a connection may wait for the disk at once. An idempotent producer has at most five on the way for each partition.
const MOST_IN_FLIGHT: usize = 64;
/// An answer up to this size takes no share of the memory that all answers may take: a connection has one at a time, and connections are
/// limited.
const SMALL_ANSWER: usize = 64 << 10;
/// A peer that does not take an answer for so long is given up, and with it the memory of the answer.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// What goes back to the client.
pub(super) enum Answer {
    /// A frame, and its share of the memory that all answers may take, if it is a large one.
    Frame(Bytes, Option<Share>),
    /// Nothing: the client wants no answer.
    Nothing,
    /// There is no answer that the client would understand, so the connection is closed.
    None,
}
/// An answer that comes when the disk has what it acknowledges.
pub(super) type PendingAnswer = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Why a connection ends before its peer ends it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("an answer cannot be written: {0}")]
    Write(#[from] io::Error),
    #[error("there is no answer to a request")]
    NoAnswer,
    #[error("an answer was not taken within {TAKEN_WITHIN:?}")]
    NotTaken,
}

/// The answer as a frame that holds its share of the memory that all answers may take. There is none if that is not to be had: the connection is
/// closed.
pub(super) fn budgeted_answer<A: Encodable + HeaderVersion>(budget: &Budget, correlation: i32, version: i16, answer: &A) -> Answer {
    let size = answer.compute_size(version).unwrap_or(0);
    let mut share = budget.nothing();
    if size > SMALL_ANSWER && !share.grow(size) {
        tracing::warn!(size, answer = std::any::type_name::<A>(), "there is no room for a large answer: its connection is closed");
        return Answer::None;
    }
    answer_with(correlation, version, answer).holding(share)
}

/// The answer as a frame.
pub(super) fn answer_with<A: Encodable + HeaderVersion>(correlation: i32, version: i16, answer: &A) -> Answer {
    match encode(correlation, version, answer) {
        Ok(frame) => Answer::Frame(frame, None),
        Err(error) => {
            tracing::error!(%error, version, answer = std::any::type_name::<A>(), "an answer cannot be encoded");
            Answer::None
        }
    }
}

impl Answer {
    /// Holds the memory's share until the answer has been written.
    pub fn holding(self, share: Share) -> Self {
        match self {
            Self::Frame(frame, _) => Self::Frame(frame, Some(share)),
            other => other,
        }
    }
}

struct Connection<R, W> {
    frames: Frames<R>,
    to: W,
    broker: Arc<Broker>,
    /// Appends that are on their way to the disk, each with its request's share of the memory.
    pending: VecDeque<(PendingAnswer, Share)>,
}

/// Serves a connection to its end.
pub(super) async fn serve_socket(stream: TcpStream, broker: Arc<Broker>, settings: ServerSettings, budget: Budget) {
    let peer = stream.peer_addr().ok();
    // Answers are small and each is waited for.
    let _ = stream.set_nodelay(true);
    let (from, to) = stream.into_split();
    if let Err(why) = serve(from, to, broker, settings, budget).await {
        tracing::debug!(?peer, %why, "a connection is closed");
    }
}

/// Serves whoever is at the other end, and says why it did not serve on.
pub(super) async fn serve(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    broker: Arc<Broker>,
    settings: ServerSettings,
    budget: Budget,
) -> Result<(), Ended> {
    let frames = Frames::new(from, settings.frame_limits(), &budget);
    let mut connection = Connection { frames, to, broker, pending: VecDeque::new() };
    let ended = connection.run().await;
    // Appends that are queued hold memory until the disk has them, so their share is held as long, whatever became of the connection.
    while !connection.pending.is_empty() {
        drop(next_pending(&mut connection.pending).await);
    }
    ended
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    async fn run(&mut self) -> Result<(), Ended> {
        loop {
            let is_waited_for = !self.pending.is_empty();
            tokio::select! {
                biased;
                answer = next_pending(&mut self.pending) => self.write(answer).await?,
                frame = self.frames.next(is_waited_for), if self.pending.len() < MOST_IN_FLIGHT => match frame? {
                    Some(frame) => {
                        let received = Received::decode(&frame.bytes)?;
                        self.take(received, frame.share).await?;
                    }
                    None => return self.drain().await,
                },
            }
        }
    }

    /// An append is queued and the next request read; any other request begins when everything before it has been answered.
    async fn take(&mut self, received: Received, share: Share) -> Result<(), Ended> {
        let Received { correlation, version, client, request } = received;
        if let Request::Produce(request) = request {
            self.pending.push_back((self.broker.produce(correlation, version, request), share));
            return Ok(());
        }
        self.drain().await?;
        let answering = self.broker.answer(correlation, version, client, request);
        // The request is begun in any case: what it asks to be written is written, though nobody waits for the answer.
        tokio::select! {
            biased;
            answer = answering => self.write(answer).await,
            // Nobody is there for the answer, which may be one that is waited for.
            gone = self.frames.closed() => Ok(gone?),
        }
    }

    async fn drain(&mut self) -> Result<(), Ended> {
        while !self.pending.is_empty() {
            let answer = next_pending(&mut self.pending).await;
            self.write(answer).await?;
        }
        Ok(())
    }

    async fn write(&mut self, answer: Answer) -> Result<(), Ended> {
        let (frame, _share) = match answer {
            Answer::Frame(frame, share) => (frame, share),
            Answer::Nothing => return Ok(()),
            Answer::None => return Err(Ended::NoAnswer),
        };
        let written = tokio::time::timeout(TAKEN_WITHIN, self.to.write_all(&frame)).await;
        Ok(written.map_err(|_| Ended::NotTaken)??)
    }
}

/// The answer to the oldest append; never, if there is none.
async fn next_pending(pending: &mut VecDeque<(PendingAnswer, Share)>) -> Answer {
    match pending.front_mut() {
        Some((answer, _)) => {
            let answer = answer.await;
            pending.pop_front();
            answer
        }
        None => std::future::pending().await,
    }
}
