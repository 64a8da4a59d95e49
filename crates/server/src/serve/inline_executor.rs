//! Runs newly arrived HTTP/2 requests inline on the connection's task, in batches, so that their
//! responses share one socket write.
//!
//! hyper hands each request to an executor. If each became a task, responses to requests that
//! arrived together would be written one by one: each wakes the connection, and tokio runs next the
//! task that was woken last. Here a request is polled once on the connection's task; one that is
//! not finished then becomes a task. The figures are in `docs/serving.md`.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// Requests that run before their responses are written. The client works on these responses while
/// the next batch runs.
const BATCH_SIZE: usize = 8;

/// When a batch takes longer, the requests behind it become tasks, which other workers can take.
const LONG_BATCH: Duration = Duration::from_micros(200);

/// After this long the connection yields to other tasks.
const MAX_RUN: Duration = Duration::from_micros(500);

/// With this many pending requests the connection is not read. Streams that are open are fewer; a
/// client can exceed it only by requests that it resets at once.
const MAX_PENDING: usize = 512;

type Request = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Requests that arrived during the current poll of the connection; `None` outside of a poll.
type Arrivals = Mutex<Option<Vec<Request>>>;

/// Runs the requests of one connection. Dropping it drops those that have not begun.
#[derive(Default)]
pub(crate) struct InlineExecutor {
    arrivals: Arc<Arrivals>,
    pending: VecDeque<Request>,
}

/// hyper's side of an [`InlineExecutor`].
#[derive(Clone)]
pub(crate) struct InlineHandle(Weak<Arrivals>);

impl InlineExecutor {
    pub(crate) fn handle(&self) -> InlineHandle {
        // Weak, because each pending request holds a handle.
        InlineHandle(Arc::downgrade(&self.arrivals))
    }

    /// Polls a connection to its end, and runs the requests that arrive on it.
    pub(crate) async fn drive<C: Future>(&mut self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|cx| self.poll(connection.as_mut(), cx)).await
    }

    fn poll<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        cx: &mut Context<'_>,
    ) -> Poll<C::Output> {
        let mut started = None;
        loop {
            let polled = match self.pending.len() {
                ..MAX_PENDING => self.poll_connection(connection.as_mut(), cx),
                MAX_PENDING.. => Poll::Pending,
            };
            if self.pending.is_empty() {
                return polled;
            }
            if polled.is_ready() {
                self.spawn_pending();
                return polled;
            }
            let now = Instant::now();
            if now - *started.get_or_insert(now) > MAX_RUN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let batch = self.pending.len().min(BATCH_SIZE);
            self.pending.drain(..batch).for_each(run);
            if !self.pending.is_empty() && now.elapsed() > LONG_BATCH {
                self.spawn_pending();
            }
        }
    }

    /// Polls the connection and collects the requests that arrive.
    fn poll_connection<C: Future>(
        &mut self,
        connection: Pin<&mut C>,
        cx: &mut Context<'_>,
    ) -> Poll<C::Output> {
        self.replace_arrivals(Some(Vec::new()));
        let polled = connection.poll(cx);
        let arrivals = self.replace_arrivals(None).unwrap_or_default();
        self.pending.extend(arrivals);
        polled
    }

    fn replace_arrivals(&self, arrivals: Option<Vec<Request>>) -> Option<Vec<Request>> {
        let mut current = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut current, arrivals)
    }

    fn spawn_pending(&mut self) {
        for request in self.pending.drain(..) {
            tokio::spawn(request);
        }
    }
}

/// Polls a request once; it becomes a task if it is not finished. A panic ends this request alone,
/// as it would end a task.
fn run(mut request: Request) {
    // The waker is not used: the new task polls the request again.
    let mut cx = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(&mut cx)));
    if matches!(polled, Ok(Poll::Pending)) {
        tokio::spawn(request);
    }
}

impl<F> hyper::rt::Executor<F> for InlineHandle
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        if let Some(arrivals) = self.0.upgrade()
            && let Some(arrivals) = &mut *arrivals.lock().unwrap_or_else(PoisonError::into_inner)
        {
            arrivals.push(Box::pin(request));
            return;
        }
        tokio::spawn(request);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::rt::Executor as _;
    use std::future::pending;
    use tokio::sync::oneshot;

    /// A connection that hands `requests` to the executor on its first poll and records each poll
    /// in `events`; it ends at poll number `polls` + 1.
    async fn connection(
        executor: InlineHandle,
        requests: Vec<Request>,
        events: Arc<Mutex<Vec<String>>>,
        polls: usize,
    ) {
        let (mut requests, mut polled) = (requests, 0);
        poll_fn(|cx| {
            events.lock().unwrap().push("poll".to_owned());
            requests
                .drain(..)
                .for_each(|request| executor.execute(request));
            polled += 1;
            if polled > polls {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn records(events: &Arc<Mutex<Vec<String>>>, what: impl ToString) -> Request {
        let (events, what) = (Arc::clone(events), what.to_string());
        Box::pin(async move { events.lock().unwrap().push(what) })
    }

    // Paused, so that no batch is long on a busy machine.
    #[tokio::test(start_paused = true)]
    async fn responses_of_a_batch_are_written_before_the_next_batch_runs() {
        let (mut executor, events) = (InlineExecutor::default(), Arc::default());
        let requests = (0..BATCH_SIZE + 3).map(|n| records(&events, n)).collect();
        let connection = connection(executor.handle(), requests, Arc::clone(&events), 2);
        executor.drive(std::pin::pin!(connection)).await;
        let numbers = |range: std::ops::Range<usize>| range.map(|n| n.to_string());
        let poll = || ["poll".to_owned()];
        let expected: Vec<String> = poll()
            .into_iter()
            .chain(numbers(0..BATCH_SIZE))
            .chain(poll())
            .chain(numbers(BATCH_SIZE..BATCH_SIZE + 3))
            .chain(poll())
            .collect();
        assert_eq!(*events.lock().unwrap(), expected);
    }

    // Paused, so that no batch is long on a busy machine.
    #[tokio::test(start_paused = true)]
    async fn a_connection_with_many_pending_requests_is_not_read() {
        let (mut executor, events) = (InlineExecutor::default(), Arc::default());
        let requests = (0..MAX_PENDING + 3 * BATCH_SIZE)
            .map(|n| records(&events, n))
            .collect();
        let connection = connection(executor.handle(), requests, Arc::clone(&events), 1000);
        let mut connection = std::pin::pin!(connection);
        poll_fn(|cx| {
            let _ = executor.poll(connection.as_mut(), cx);
            Poll::Ready(())
        })
        .await;
        let events = events.lock().unwrap();
        // The first poll finds the requests; the next one follows when few enough are left.
        let polls = |events: &[String]| events.iter().filter(|it| *it == "poll").count();
        assert_eq!(polls(&events[..=4 * BATCH_SIZE]), 1);
        assert_eq!(events[4 * BATCH_SIZE + 1], "poll");
    }

    #[tokio::test]
    async fn a_pending_request_does_not_block_others() {
        let (mut executor, events) = (InlineExecutor::default(), Arc::default());
        let (answer, answered) = oneshot::channel::<()>();
        let last = records(&events, "waited");
        let waits: Request = Box::pin(async move {
            answered.await.unwrap();
            last.await;
        });
        let requests = vec![waits, records(&events, "next")];
        let connection = connection(executor.handle(), requests, Arc::clone(&events), 1);
        executor.drive(std::pin::pin!(connection)).await;
        assert_eq!(*events.lock().unwrap(), ["poll", "next", "poll"]);
        // The request continues although its connection has ended.
        answer.send(()).unwrap();
        while events.lock().unwrap().len() < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(events.lock().unwrap()[3], "waited");
    }

    #[tokio::test]
    async fn a_panic_ends_only_its_request() {
        let (mut executor, events) = (InlineExecutor::default(), Arc::default());
        let panics: Request = Box::pin(async { panic!("meant to") });
        let requests = vec![panics, records(&events, "next")];
        let connection = connection(executor.handle(), requests, Arc::clone(&events), 1);
        executor.drive(std::pin::pin!(connection)).await;
        assert_eq!(*events.lock().unwrap(), ["poll", "next", "poll"]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_behind_a_long_batch_become_tasks() {
        let (mut executor, events) = (
            InlineExecutor::default(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let mut requests: Vec<Request> = vec![Box::pin(tokio::time::advance(2 * LONG_BATCH))];
        requests.extend((1..2 * BATCH_SIZE).map(|_| -> Request {
            let events = Arc::clone(&events);
            Box::pin(async move {
                // The test itself is no task.
                let place = tokio::task::try_id().map_or("inline", |_| "task");
                events.lock().unwrap().push(place.to_owned());
            })
        }));
        let connection = connection(executor.handle(), requests, Arc::clone(&events), 2);
        executor.drive(std::pin::pin!(connection)).await;
        let places = |which| {
            events
                .lock()
                .unwrap()
                .iter()
                .filter(|it| *it == which)
                .count()
        };
        while places("inline") + places("task") < 2 * BATCH_SIZE - 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            (places("inline"), places("task")),
            (BATCH_SIZE - 1, BATCH_SIZE)
        );
    }

    #[tokio::test]
    async fn requests_that_arrive_as_the_connection_ends_still_run() {
        let (mut executor, events) = (InlineExecutor::default(), Arc::default());
        let requests = vec![records(&events, "last")];
        let ends = connection(executor.handle(), requests, Arc::clone(&events), 0);
        executor.drive(std::pin::pin!(ends)).await;
        // So does one that arrives outside of a poll.
        executor.handle().execute(records(&events, "later"));
        while events.lock().unwrap().len() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*events.lock().unwrap(), ["poll", "last", "later"]);
    }

    #[tokio::test]
    async fn dropping_the_executor_drops_pending_requests() {
        let (mut executor, dropped) = (InlineExecutor::default(), Arc::new(()));
        // The request holds a handle, as those of hyper do.
        let (held, handle) = (Arc::clone(&dropped), executor.handle());
        executor.pending.push_back(Box::pin(async move {
            let _held = (held, handle);
            pending::<()>().await;
        }));
        drop(executor);
        assert_eq!(Arc::strong_count(&dropped), 1);
    }
}
