//! The body of a response: whole, whole with trailers, or piece by piece.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::HeaderMap;
use tokio::sync::mpsc;

use crate::messages;

/// A response on its way out.
pub(crate) type Answered = Response<Answer>;

/// The body of a response.
#[derive(Default)]
pub(crate) struct Answer {
    data: Bytes,
    trailers: Option<HeaderMap>,
    /// Pieces that are made while the first are sent.
    pieces: Option<mpsc::Receiver<Frame<Bytes>>>,
    /// Whether its length is said: not beside trailers.
    is_sized: bool,
    /// What must live as long as pieces may come.
    keeps: Option<Box<dyn Send>>,
}

impl Answer {
    /// One piece of data, without trailers.
    pub(crate) fn whole(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), is_sized: true, ..Self::default() }
    }

    /// One message of gRPC, and the trailers that say that all is well.
    pub(crate) fn message(message: &[u8]) -> Self {
        let trailers = Some(messages::ok());
        Self { data: messages::framed(message), trailers, ..Self::default() }
    }

    /// Nothing: the head says all.
    pub(crate) fn head_only() -> Self {
        Self::default()
    }

    /// What comes through `pieces`.
    pub(crate) fn pieces(pieces: mpsc::Receiver<Frame<Bytes>>) -> Self {
        Self { pieces: Some(pieces), ..Self::default() }
    }

    /// The data.
    pub(crate) fn data(&self) -> &Bytes {
        &self.data
    }

    /// Keeps `guard` until the last piece is sent; where there are none to come, drops it now.
    pub(crate) fn keep(&mut self, guard: impl Send + 'static) {
        if self.pieces.is_some() {
            self.keeps = Some(Box::new(guard));
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if let Some(pieces) = &mut this.pieces {
            return pieces.poll_recv(context).map(|piece| piece.map(Ok));
        }
        if !this.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.data)))));
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none() && self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_sized { SizeHint::with_exact(self.data.len() as u64) } else { SizeHint::new() }
    }
}

impl fmt::Debug for Answer {
    /// How much there is, never what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.data.len())
    }
}
