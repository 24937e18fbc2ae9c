//! The body of a response: whole, or whole with trailers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::HeaderMap;

/// A response on its way out.
pub(crate) type Answered = Response<Answer>;

/// The body of a response.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl Answer {
    /// One piece of data, without trailers.
    pub(crate) fn whole(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), trailers: None }
    }

    /// The data.
    pub(crate) fn data(&self) -> &Bytes {
        &self.data
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if !this.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.data)))));
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}
