//! A connection's socket, which bounds how long its caller may keep us waiting: with a head, with the next request, with reading an answer.

use super::{EdgeConfig, activity::Activity};
use std::{
    io::{Error, ErrorKind, IoSlice, Result},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// The answer to a head that does not end.
const TOO_SLOW: &str = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/problem+json\r\n";
const TOO_SLOW_BODY: &str = "{\"type\":\"urn:daybook:problem:head-too-slow\",\"title\":\"Request Timeout\",\"status\":408,\
     \"detail\":\"the request's head did not arrive in time; nothing was done\",\"errors\":[]}";

/// A TCP stream with its bounds.
pub(super) struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    config: EdgeConfig,
    silence: Alarm,
    unread: Alarm,
    /// How many requests had begun when the caller's present silence did.
    begun: u64,
    /// Whether anything came since then.
    heard: bool,
    /// Whether HTTP/2 is spoken.
    multiplexed: bool,
    /// Whether the connection was told to end because it is idle.
    told: bool,
}

/// A time that may be set; it costs nothing until it is waited for.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>, bool);

impl Alarm {
    fn set(&mut self, limit: Duration) {
        let at = Instant::now() + limit;
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.0 = Some(Box::pin(sleep_until(at))),
        }
        self.1 = true;
    }

    fn stop(&mut self) {
        self.1 = false;
    }

    fn is_set(&self) -> bool {
        self.1
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().filter(|_| self.1).map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context))
    }
}

impl Socket {
    pub fn new(stream: TcpStream, activity: Arc<Activity>, config: EdgeConfig) -> Self {
        let (silence, unread) = (Alarm::default(), Alarm::default());
        Self { stream, activity, config, silence, unread, begun: 0, heard: false, multiplexed: false, told: false }
    }

    /// Whether no request is in progress. The first look after one begins the caller's silence anew.
    fn is_idle(&mut self) -> bool {
        let (begun, idle) = self.activity.state();
        if begun != self.begun {
            (self.begun, self.heard) = (begun, false);
            self.silence.stop();
        }
        idle
    }

    /// Notes what came while no request was in progress: the beginning of a head. Its first bytes give the caller the whole time for it,
    /// however long the connection was idle.
    fn hear(&mut self, bytes: &[u8]) {
        if self.is_idle() && !self.heard {
            self.multiplexed |= self.begun == 0 && bytes.starts_with(b"PRI");
            self.heard = true;
            self.silence.stop();
        }
    }

    /// Bounds the time in which no request is in progress and no new one comes.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let idle = self.is_idle();
        if !idle && !self.multiplexed {
            return Poll::Pending;
        }
        if !self.silence.is_set() {
            self.silence.set(self.config.header_timeout);
        }
        ready!(self.silence.poll(context));
        if self.multiplexed { self.inspect(idle, context) } else { Poll::Ready(Err(self.too_slow())) }
    }

    /// Over HTTP/2: ends a connection with an answer that nobody reads; tells one that is idle to end in good order, and ends it if it does
    /// not.
    fn inspect(&mut self, idle: bool, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.told || self.activity.is_unread_for(self.config.answer_timeout) {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        if idle {
            self.told = true;
            self.activity.idle.notify_one();
        }
        self.silence.set(self.config.header_timeout);
        self.silence.poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }

    /// Who has begun a head is told that it took too long; who has sent nothing is not, or it would take that for the answer to what it is
    /// about to send.
    fn too_slow(&self) -> Error {
        if self.heard {
            let answer = format!("{TOO_SLOW}content-length: {}\r\n\r\n{TOO_SLOW_BODY}", TOO_SLOW_BODY.len());
            // The caller may be gone.
            let _ = self.stream.try_write(answer.as_bytes());
        }
        ErrorKind::TimedOut.into()
    }

    /// Bounds how long a caller may take to read what is to be written.
    fn written(&mut self, outcome: Poll<Result<usize>>, context: &mut Context<'_>) -> Poll<Result<usize>> {
        if outcome.is_pending() {
            if !self.unread.is_set() {
                self.unread.set(self.config.answer_timeout);
            }
            ready!(self.unread.poll(context));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.hear(&buffer.filled()[before..]);
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_silence(context),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for once all is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.unread.stop();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
