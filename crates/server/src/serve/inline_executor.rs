//! Begins the requests of a connection on the connection's own task.
//!
//! hyper gives each request to an executor. As tasks of their own they are answered one by one: each wakes the connection, which
//! writes that answer and nothing more to the socket, as tokio runs next whoever was woken last. Here the requests that came together
//! are begun one after another, and then the connection writes what they answered, at once. What cannot be answered yet becomes a task.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// How many are begun before what they answered is written. The client works on these while the next are begun here.
const AT_ONCE: usize = 8;

/// When so many take longer, those that wait behind them become tasks, for other workers to take.
const LONG: Duration = Duration::from_micros(200);

/// After this long other tasks have their turn.
const LONGEST_TURN: Duration = Duration::from_micros(500);

type Request = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What came while the connection was polled; `None` when it is not.
type Came = Mutex<Option<Vec<Request>>>;

/// The executor of one connection.
#[derive(Default)]
pub(crate) struct InlineExecutor {
    came: Arc<Came>,
    waiting: VecDeque<Request>,
}

/// Takes the requests of a connection from hyper.
#[derive(Clone)]
pub(crate) struct InlineHandle(Weak<Came>);

impl InlineExecutor {
    pub(crate) fn handle(&self) -> InlineHandle {
        // Weak: each request that waits has one of its own.
        InlineHandle(Arc::downgrade(&self.came))
    }

    /// Carries a connection to its end.
    pub(crate) async fn drive<C: Future>(&mut self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|cx| self.poll(connection.as_mut(), cx)).await
    }

    fn poll<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        cx: &mut Context<'_>,
    ) -> Poll<C::Output> {
        let mut since = None;
        loop {
            self.collect(Some(Vec::new()));
            let answer = connection.as_mut().poll(cx);
            let came = self.collect(None).unwrap_or_default();
            self.waiting.extend(came);
            if self.waiting.is_empty() {
                return answer;
            }
            if answer.is_ready() {
                self.leave();
                return answer;
            }
            let now = Instant::now();
            if now - *since.get_or_insert(now) > LONGEST_TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let some = self.waiting.len().min(AT_ONCE);
            self.waiting.drain(..some).for_each(begin);
            if !self.waiting.is_empty() && now.elapsed() > LONG {
                self.leave();
            }
        }
    }

    fn collect(&self, came: Option<Vec<Request>>) -> Option<Vec<Request>> {
        let mut place = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut place, came)
    }

    /// Makes tasks of those that wait.
    fn leave(&mut self) {
        for request in self.waiting.drain(..) {
            tokio::spawn(request);
        }
    }
}

/// Goes as far as the request goes without waiting. A panic ends it alone, as it would end a task.
fn begin(mut request: Request) {
    // Whom it would wake does not matter: as a task it is asked anew.
    let mut cx = Context::from_waker(Waker::noop());
    let begun = catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(&mut cx)));
    if matches!(begun, Ok(Poll::Pending)) {
        tokio::spawn(request);
    }
}

impl<F> hyper::rt::Executor<F> for InlineHandle
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        if let Some(came) = self.0.upgrade()
            && let Some(came) = &mut *came.lock().unwrap_or_else(PoisonError::into_inner)
        {
            came.push(Box::pin(request));
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

    /// A connection that gives `requests` to the executor the first time it is polled, and tells of each poll; it ends when there
    /// was one more than `polls`.
    async fn connection(
        executor: InlineHandle,
        requests: Vec<Request>,
        told: Arc<Mutex<Vec<String>>>,
        polls: usize,
    ) {
        let (mut requests, mut polled) = (requests, 0);
        poll_fn(|cx| {
            told.lock().unwrap().push("poll".to_owned());
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

    fn tells(told: &Arc<Mutex<Vec<String>>>, what: impl ToString) -> Request {
        let (told, what) = (Arc::clone(told), what.to_string());
        Box::pin(async move { told.lock().unwrap().push(what) })
    }

    // Paused: a busy machine must not make a turn a long one.
    #[tokio::test(start_paused = true)]
    async fn some_are_begun_and_written_and_then_the_next() {
        let (mut executor, told) = (InlineExecutor::default(), Arc::default());
        let requests = (0..AT_ONCE + 3).map(|n| tells(&told, n)).collect();
        let connection = connection(executor.handle(), requests, Arc::clone(&told), 2);
        executor.drive(std::pin::pin!(connection)).await;
        let numbers = |range: std::ops::Range<usize>| range.map(|n| n.to_string());
        let poll = || ["poll".to_owned()];
        let expected: Vec<String> = poll()
            .into_iter()
            .chain(numbers(0..AT_ONCE))
            .chain(poll())
            .chain(numbers(AT_ONCE..AT_ONCE + 3))
            .chain(poll())
            .collect();
        assert_eq!(*told.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn one_that_waits_keeps_nobody() {
        let (mut executor, told) = (InlineExecutor::default(), Arc::default());
        let (answer, asked) = oneshot::channel::<()>();
        let last = tells(&told, "waited");
        let waits: Request = Box::pin(async move {
            asked.await.unwrap();
            last.await;
        });
        let requests = vec![waits, tells(&told, "next")];
        let connection = connection(executor.handle(), requests, Arc::clone(&told), 1);
        executor.drive(std::pin::pin!(connection)).await;
        assert_eq!(*told.lock().unwrap(), ["poll", "next", "poll"]);
        // Also when its connection has ended, as it is for the request to find out.
        answer.send(()).unwrap();
        while told.lock().unwrap().len() < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(told.lock().unwrap()[3], "waited");
    }

    #[tokio::test]
    async fn a_panic_ends_its_request_alone() {
        let (mut executor, told) = (InlineExecutor::default(), Arc::default());
        let panics: Request = Box::pin(async { panic!("meant to") });
        let requests = vec![panics, tells(&told, "next")];
        let connection = connection(executor.handle(), requests, Arc::clone(&told), 1);
        executor.drive(std::pin::pin!(connection)).await;
        assert_eq!(*told.lock().unwrap(), ["poll", "next", "poll"]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_behind_a_long_one_become_tasks() {
        let (mut executor, told) = (
            InlineExecutor::default(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let mut requests: Vec<Request> = vec![Box::pin(tokio::time::advance(2 * LONG))];
        requests.extend((1..2 * AT_ONCE).map(|_| -> Request {
            let told = Arc::clone(&told);
            Box::pin(async move {
                // The test itself is no task.
                let place = tokio::task::try_id().map_or("turn", |_| "task");
                told.lock().unwrap().push(place.to_owned());
            })
        }));
        let connection = connection(executor.handle(), requests, Arc::clone(&told), 2);
        executor.drive(std::pin::pin!(connection)).await;
        let places = |which| {
            told.lock()
                .unwrap()
                .iter()
                .filter(|it| *it == which)
                .count()
        };
        while places("turn") + places("task") < 2 * AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!((places("turn"), places("task")), (AT_ONCE - 1, AT_ONCE));
    }

    #[tokio::test]
    async fn those_that_came_with_the_end_are_not_lost() {
        let (mut executor, told) = (InlineExecutor::default(), Arc::default());
        let requests = vec![tells(&told, "last")];
        let ends = connection(executor.handle(), requests, Arc::clone(&told), 0);
        executor.drive(std::pin::pin!(ends)).await;
        // What comes between executor neither.
        executor.handle().execute(tells(&told, "later"));
        while told.lock().unwrap().len() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*told.lock().unwrap(), ["poll", "last", "later"]);
    }

    #[tokio::test]
    async fn a_connection_that_is_dropped_drops_what_waits() {
        let (mut executor, dropped) = (InlineExecutor::default(), Arc::new(()));
        // Each has the executor, as hyper's have.
        let (held, handle) = (Arc::clone(&dropped), executor.handle());
        executor.waiting.push_back(Box::pin(async move {
            let _held = (held, handle);
            pending::<()>().await;
        }));
        drop(executor);
        assert_eq!(Arc::strong_count(&dropped), 1);
    }
}
