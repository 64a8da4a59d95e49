//! Decides when a connection ends: at its age, with the port, when its place is needed, and when
//! its client neither speaks nor reads. One timer a connection, none a request.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::accept::Closing;
use crate::config::SlowClientLimits;
use crate::connection::{CloseReason, ConnectionContext};

/// A connection whose place is needed has this long to end by itself, so that a request that is
/// under way is refused (GOAWAY) and not lost.
const DISPLACED_GRACE: Duration = Duration::from_millis(250);

/// Looks at a connection within the time limit of unread responses.
const LOOKS: u32 = 3;

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It takes no further requests, and ends with the last response.
    Retire,
    /// It is closed at once.
    Close(CloseReason),
}

/// Supervises one connection.
pub(crate) struct Supervision {
    connection: Arc<ConnectionContext>,
    limits: SlowClientLimits,
    closing: Closing,
    /// When the connection has its maximum age.
    retire_at: Option<Instant>,
    retired: bool,
    /// When a connection whose place is needed is closed.
    displaced_until: Option<Instant>,
    /// When a connection that has sent nothing is closed.
    silent_until: Option<Instant>,
    next_look: Instant,
    /// What [`Self::look`] saw last; `None` without unsent bytes.
    unsent_since: Option<Unsent>,
}

/// A client that had bytes to read.
struct Unsent {
    /// Bytes written to the connection until then.
    written: u64,
    /// Looks since then, in which too little was read.
    looks: u32,
}

impl Supervision {
    /// Supervises `connection`, which is at its maximum age after `max_age`.
    pub(crate) fn new(
        connection: Arc<ConnectionContext>,
        limits: SlowClientLimits,
        closing: Closing,
        max_age: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        Self {
            connection,
            limits,
            closing,
            retire_at: max_age.and_then(|age| now.checked_add(age)),
            retired: false,
            displaced_until: None,
            silent_until: Some(now + limits.first_bytes),
            next_look: now + limits.unread_response / LOOKS,
            unsent_since: None,
        }
    }

    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let deadlines = [
                Some(self.next_look),
                self.retire_at.filter(|_| !self.retired),
                self.displaced_until,
                self.silent_until,
            ];
            let deadline = deadlines.into_iter().flatten().min();
            let timer = async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.closing.reached(), if !self.retired => return self.retire(),
                reason = self.connection.must_close(), if self.displaced_until.is_none() => {
                    if reason != CloseReason::Displaced || self.connection.activity.is_silent() {
                        return Event::Close(reason);
                    }
                    self.displaced_until = Some(Instant::now() + DISPLACED_GRACE);
                    if !self.retired {
                        return self.retire();
                    }
                }
                () = timer => if let Some(event) = self.on_timer(Instant::now()) {
                    return event;
                },
            }
        }
    }

    fn retire(&mut self) -> Event {
        self.retired = true;
        self.connection.retired.cancel();
        Event::Retire
    }

    fn on_timer(&mut self, now: Instant) -> Option<Event> {
        if self.displaced_until.is_some_and(|at| at <= now) {
            return Some(Event::Close(CloseReason::Displaced));
        }
        if self.silent_until.is_some_and(|at| at <= now) {
            self.silent_until = None;
            if self.connection.activity.is_silent() {
                return Some(Event::Close(CloseReason::Silent));
            }
        }
        if self.next_look <= now {
            let interval = self.limits.unread_response / LOOKS;
            self.next_look = now + interval;
            if let Some(reason) = self.look(interval) {
                return Some(Event::Close(reason));
            }
        }
        let is_old = !self.retired && self.retire_at.is_some_and(|at| at <= now);
        is_old.then(|| self.retire())
    }

    /// Looks at the connection, `interval` after the last look.
    fn look(&mut self, interval: Duration) -> Option<CloseReason> {
        let activity = &self.connection.activity;
        self.connection.account.shrink();
        if !self.connection.has_unsent() {
            self.unsent_since = None;
            return None;
        }
        let written = activity.written();
        let required = interval.as_secs_f64() * f64::from(self.limits.min_bytes_per_second);
        match &mut self.unsent_since {
            Some(unsent) if ((written - unsent.written) as f64) < required => {
                unsent.looks += 1;
                (unsent.looks >= LOOKS).then_some(CloseReason::Unread)
            }
            unsent => {
                *unsent = Some(Unsent { written, looks: 0 });
                None
            }
        }
    }
}
