//! A request's body that says how far it has come, so that only what does not move is cut.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How much is handed to the connection at a time.
const PIECE: usize = 128 << 10;

/// When something last moved.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    moved: AtomicU64,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), moved: AtomicU64::new(0) })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn touch(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// Waits for `work`, for as long as the body moves at least once in `patience`; `None` if it stood still.
    pub(crate) async fn watch<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let since = Duration::from_millis(self.now().saturating_sub(self.moved.load(Ordering::Relaxed)));
            let left = patience.checked_sub(since).filter(|left| !left.is_zero())?;
            if let Ok(result) = tokio::time::timeout(left, &mut work).await {
                return Some(result);
            }
        }
    }
}

/// Bytes on their way out.
pub(crate) struct Watched {
    rest: Bytes,
    progress: Arc<Progress>,
}

impl Watched {
    pub(crate) const fn new(bytes: Bytes, progress: Arc<Progress>) -> Self {
        Self { rest: bytes, progress }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.progress.touch();
        let size = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(size);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
