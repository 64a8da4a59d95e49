//! The body of a request: takes the request's place when the first message is complete, and fails
//! when a message that has begun arrives too slowly.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

use super::message_frames::MessageFrames;
use super::place::Place;
use crate::config::SlowClientLimits;

/// Bytes of a message that do not count: they are within what each open request counts as.
const UNCOUNTED_BYTES: usize = 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body, within its limits.
pub(crate) struct RequestBody<B> {
    inner: B,
    place: Arc<Place>,
    messages: Messages,
    limits: SlowClientLimits,
    received: u64,
    /// Bytes of the current message that did not count.
    uncounted: usize,
    /// Set while a message is awaited that the client owes. Most requests never wait.
    overdue: Option<Overdue>,
}

/// What the messages of a body are.
enum Messages {
    /// The whole body is one message.
    Whole,
    /// gRPC messages.
    Grpc(MessageFrames),
}

/// The time limit of a message that is awaited.
struct Overdue {
    timer: Pin<Box<Sleep>>,
    /// Bytes received when the timer began.
    received: u64,
}

impl<B> RequestBody<B> {
    /// The body of plain HTTP. Its bytes are those of `place`.
    pub(crate) fn whole(inner: B, place: Arc<Place>, limits: SlowClientLimits) -> Self {
        Self::new(inner, place, Messages::Whole, limits)
    }

    /// The body with messages of gRPC's form; the first one takes `place`.
    pub(crate) fn messages(inner: B, place: Arc<Place>, limits: SlowClientLimits) -> Self {
        let messages = Messages::Grpc(MessageFrames::default());
        Self::new(inner, place, messages, limits)
    }

    fn new(inner: B, place: Arc<Place>, messages: Messages, limits: SlowClientLimits) -> Self {
        Self {
            inner,
            place,
            messages,
            limits,
            received: 0,
            uncounted: 0,
            overdue: None,
        }
    }

    fn on_data(&mut self, data: &[u8]) -> Result<(), Status> {
        self.received += data.len() as u64;
        let Messages::Grpc(frames) = &mut self.messages else {
            return self.place.receive(data.len());
        };
        if !frames.is_within() {
            self.place.forget_received();
            self.uncounted = 0;
        }
        let uncounted = data.len().min(UNCOUNTED_BYTES - self.uncounted);
        self.uncounted += uncounted;
        if data.len() > uncounted {
            self.place.receive(data.len() - uncounted)?;
        }
        if frames.advance(data) {
            self.place.take()?;
        }
        if !frames.is_within() {
            self.overdue = None;
        }
        Ok(())
    }

    /// Whether the client has begun something that it must finish.
    fn is_owed(&self) -> bool {
        match &self.messages {
            Messages::Whole => true,
            Messages::Grpc(frames) => frames.is_within() || self.place.owes_message(),
        }
    }

    /// Ready with an error when what is owed arrives too slowly.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        if !self.is_owed() {
            self.overdue = None;
            return Poll::Pending;
        }
        let limit = self.limits.unfinished_request;
        let received = self.received;
        let overdue = self.overdue.get_or_insert_with(|| Overdue {
            timer: Box::pin(sleep(limit)),
            received,
        });
        while overdue.timer.as_mut().poll(cx).is_ready() {
            let required = limit.as_secs_f64() * f64::from(self.limits.min_bytes_per_second);
            if ((received - overdue.received) as f64) < required {
                self.place.slow();
                return Poll::Ready(Status::aborted(format!(
                    "the request's message is incomplete, and too few bytes of it arrived within {limit:?}; send it again"
                )));
            }
            overdue.received = received;
            overdue.timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_overdue(cx).map(|slow| Some(Err(slow.into()))),
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(refused) = self.on_data(data)
        {
            return Poll::Ready(Some(Err(refused.into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::task::ready;
    use std::time::Duration;

    use tonic::Code;

    use super::super::place::{Origin, Purpose};
    use super::*;
    use crate::config::ServerConfig;
    use crate::limits::SharedLimits;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A body whose parts arrive after pauses.
    struct Parts {
        parts: VecDeque<(Duration, Bytes)>,
        pause: Option<Pin<Box<Sleep>>>,
    }

    impl HttpBody for Parts {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let Some(&(pause, _)) = self.parts.front() else {
                return Poll::Ready(None);
            };
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(pause)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
            let part = self.parts.pop_front().map(|(_, part)| part);
            Poll::Ready(part.map(|part| Ok(Frame::data(part))))
        }
    }

    /// A message of `size` bytes, of which `part` arrive after each `pause`.
    fn message(size: usize, part: usize, pause: Duration) -> Vec<(Duration, Bytes)> {
        let length = u32::try_from(size).expect("short").to_be_bytes();
        let whole = [&[0][..], &length, &vec![7; size]].concat();
        let parts = whole.chunks(part);
        parts
            .map(|part| (pause, Bytes::copy_from_slice(part)))
            .collect()
    }

    /// Reads a body; the code of its error. `answered`: its response has begun.
    async fn read(parts: Vec<(Duration, Bytes)>, answered: bool) -> Result<(), Code> {
        let limits = Arc::new(SharedLimits::new(&ServerConfig::default(), "t"));
        let place = Arc::new(Place::new(Origin::Process(limits), Purpose::Work, None));
        if answered {
            place.answered();
        }
        let parts = Parts {
            parts: parts.into(),
            pause: None,
        };
        let mut body = RequestBody::messages(parts, place, SlowClientLimits::default());
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if let Err(error) = frame {
                return Err(Status::from_error(error).code());
            }
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_must_arrive_at_the_minimum_rate() {
        let second = Duration::from_secs(1);
        for (part, pause, expected) in [
            (1100, second, Ok(())),
            (110, second / 10, Ok(())),
            (500, second, Err(Code::Aborted)),
            (20_000, 9 * second, Ok(())),
            (20_000, 11 * second, Err(Code::Aborted)),
        ] {
            let read = read(message(40_000, part, pause), false).await;
            assert_eq!(read, expected, "{part} bytes every {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_be_quiet_between_messages() {
        let mut messages = message(100, 1000, Duration::ZERO);
        messages.extend(message(100, 1000, HOUR));
        messages.extend(message(100, 1000, HOUR));
        assert_eq!(read(messages, false).await, Ok(()));
        // Before the first one only if its response has begun.
        let late = message(100, 1000, HOUR);
        assert_eq!(read(late.clone(), true).await, Ok(()));
        assert_eq!(read(late, false).await, Err(Code::Aborted));
    }
}
