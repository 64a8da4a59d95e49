//! Makes calls: one deadline over all attempts, and retries with backoff.

use crate::{error::Error, service::Service};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Request, Response, Status};

/// Entries that are requested for a page.
const PAGE: usize = 200;

/// Number and backoff of the retries of an idempotent call.
///
/// Retried are connections that fail for other reasons than TLS, `UNAVAILABLE`, and
/// `RESOURCE_EXHAUSTED` with a delay, which then replaces the pause. Each pause is twice as long as
/// the one before; a random half of it is left out, so that clients do not come back at once.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Pause after the first attempt.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// Called before each pause.
    pub notice: Option<RetryNotice>,
}

/// Receives the failure and the pause before the next attempt.
pub type RetryNotice = fn(&Error, Duration);

impl RetryPolicy {
    /// No retries.
    pub const NEVER: Self = Self {
        attempts: 1,
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
        notice: None,
    };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(2),
            notice: None,
        }
    }
}

/// Makes the calls to one service.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub service: Service,
    pub timeout: Duration,
    pub retry: RetryPolicy,
}

impl Caller {
    /// Makes a call once.
    pub async fn once<Q, A, F>(
        &self,
        request: Q,
        send: impl Fn(Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        self.attempt(request, &send, deadline).await
    }

    /// Makes a call that may arrive more than once, until there is an answer or the policy or the
    /// deadline ends it.
    pub async fn retried<Q: Clone, A, F>(
        &self,
        request: Q,
        send: impl Fn(Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut pause = self.retry.first_pause;
        let mut attempts = 1;
        loop {
            let error = match self.attempt(request.clone(), &send, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let jittered = pause.mul_f64(0.5 + 0.5 * fastrand::f64());
            let wait = error.retry_delay().unwrap_or(jittered);
            let ends = attempts >= self.retry.attempts || Instant::now() + wait >= deadline;
            if ends || !error.is_transient() {
                return Err(error);
            }
            if let Some(notice) = self.retry.notice {
                notice(&error, wait);
            }
            sleep(wait).await;
            attempts += 1;
            pause = (2 * pause).min(self.retry.longest_pause);
        }
    }

    /// One attempt. The service learns the deadline, so that it does not work in vain.
    async fn attempt<Q, A, F>(
        &self,
        request: Q,
        send: &impl Fn(Request<Q>) -> F,
        deadline: Instant,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(request);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        self.until(deadline, send(request)).await
    }

    /// Opens a stream: the deadline is the one of its beginning alone.
    pub async fn open<Q, A, F>(&self, request: Q, send: impl FnOnce(Q) -> F) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.until(Instant::now() + self.timeout, send(request))
            .await
    }

    async fn until<A>(
        &self,
        deadline: Instant,
        response: impl Future<Output = Result<Response<A>, Status>>,
    ) -> Result<A, Error> {
        match timeout_at(deadline, response).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.error(status)),
            Err(_) => Err(Error::Timeout {
                service: self.service,
                timeout: self.timeout,
            }),
        }
    }

    pub fn error(&self, status: Status) -> Error {
        Error::of_status(self.service, status, self.timeout)
    }

    /// A field that the service fills in every response.
    pub fn filled<T>(&self, field: Option<T>, name: &str) -> Result<T, Error> {
        field.ok_or_else(|| Error::Answer {
            service: self.service,
            reason: format!("no {name} in it"),
        })
    }
}

/// The first `limit` entries of a list that comes in pages. `fetch` takes the size of a page and
/// its token; `split` returns a page's entries and the token of the next one.
pub(crate) async fn pages<P, T, F>(
    limit: usize,
    fetch: impl Fn(u32, String) -> F,
    split: impl Fn(P) -> (Vec<T>, String),
) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<P, Error>>,
{
    let mut all = Vec::new();
    let mut token = String::new();
    while all.len() < limit {
        let size = (limit - all.len()).min(PAGE) as u32;
        let (entries, next) = split(fetch(size, token).await?);
        all.extend(entries);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    Ok(all)
}

/// A method of a generated client as a function from a request to a response. The client, a cheap
/// handle, is created for each request, because its methods take `&mut self`.
macro_rules! rpc {
    ($client:expr, $method:ident) => {
        |request| {
            let mut client = $client;
            async move { client.$method(request).await }
        }
    };
}
pub(crate) use rpc;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use tonic::Code;

    fn caller(timeout: Duration) -> Caller {
        Caller {
            service: Service::Trainer,
            timeout,
            retry: RetryPolicy::default(),
        }
    }

    /// Attempts that were made when every one fails with `code`.
    async fn attempts(code: Code, timeout: Duration) -> u32 {
        let made = AtomicU32::new(0);
        let result: Result<(), Error> = caller(timeout)
            .retried((), |_| {
                made.fetch_add(1, SeqCst);
                std::future::ready(Err(Status::new(code, "no")))
            })
            .await;
        assert!(result.is_err());
        made.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn transient_failures_alone_are_retried_until_the_policy_or_the_deadline_ends_it() {
        let long = Duration::from_secs(3_600);
        assert_eq!(attempts(Code::Unavailable, long).await, 5);
        assert_eq!(attempts(Code::NotFound, long).await, 1);
        assert_eq!(
            attempts(Code::Unavailable, Duration::from_millis(10)).await,
            1
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_at_its_deadline() {
        let result: Result<(), Error> = caller(Duration::from_secs(30))
            .once((), |request| {
                assert!(request.metadata().contains_key("grpc-timeout"));
                std::future::pending()
            })
            .await;
        assert!(matches!(result, Err(Error::Timeout { .. })));
    }

    #[tokio::test]
    async fn a_list_ends_with_its_limit_or_its_last_page() {
        // Three pages.
        let fetch = |size: u32, token: String| {
            let page: usize = token.parse().unwrap_or(0);
            let next = if page < 2 {
                (page + 1).to_string()
            } else {
                String::new()
            };
            std::future::ready(Ok((vec![page; size as usize], next)))
        };
        for (limit, expected) in [(0, 0), (3, 3), (250, 250), (1_000, 600)] {
            let all = pages(limit, fetch, |page| page).await.expect("a list");
            assert_eq!(all.len(), expected);
        }
    }
}
