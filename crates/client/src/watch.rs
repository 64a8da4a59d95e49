//! Watches a job to its end over connections that break.
//!
//! The sequence numbers of events have no gaps, and a complete watch ends with `finished`: a stream
//! that ends otherwise was cut, and the watch resumes after the last number received. No event is
//! delivered twice or left out.

use crate::{call::Caller, error::Error};
use digits_proto::v1::{JobFinished, WatchJobRequest, WatchJobResponse, watch_job_response::Event};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Streaming};

/// First pause before a watch is resumed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Start of a watch, and the timeout after which it fails without a trainer.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// Only events with a higher sequence number; 0 for all.
    pub after_sequence: u64,
    /// Longest outage of the trainer, without a single event or heartbeat.
    pub patience: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            after_sequence: 0,
            patience: Duration::from_secs(300),
        }
    }
}

/// Events of a watch.
#[derive(Debug)]
pub enum WatchNotice<'a> {
    /// An event of the job, each one once, in order.
    Event(&'a WatchJobResponse),
    /// The stream broke; the watch resumes after a pause.
    Interrupted {
        /// Cause of the interruption.
        reason: &'a str,
        /// The pause.
        pause: Duration,
    },
}

/// Watches a job until it has ended; `open` begins a stream of events.
pub(crate) async fn watch<E: From<Error>>(
    calls: &Caller,
    open: impl AsyncFn(WatchJobRequest) -> Result<Streaming<WatchJobResponse>, Error>,
    job_id: &str,
    options: WatchOptions,
    mut on_notice: impl FnMut(WatchNotice<'_>) -> Result<(), E>,
) -> Result<JobFinished, E> {
    let mut seen = options.after_sequence;
    let mut pause = FIRST_PAUSE;
    let mut heard = Instant::now();
    loop {
        let before = heard;
        let request = WatchJobRequest {
            job_id: job_id.to_owned(),
            after_sequence: seen,
        };
        let followed = match open(request).await {
            Ok(stream) => {
                let progress = Progress {
                    seen: &mut seen,
                    heard: &mut heard,
                };
                follow(calls, stream, progress, &mut on_notice).await?
            }
            Err(error) => broken(error)?,
        };
        let reason = match followed {
            Followed::Finished(finished) => return Ok(finished),
            Followed::Broken(reason) => reason,
        };
        if heard > before {
            pause = FIRST_PAUSE;
        }
        if heard.elapsed() + pause > options.patience {
            return Err(E::from(Error::WatchLost {
                job_id: job_id.to_owned(),
                after_sequence: seen,
                reason,
            }));
        }
        on_notice(WatchNotice::Interrupted {
            reason: &reason,
            pause,
        })?;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How far a watch is.
struct Progress<'a> {
    /// Sequence number of the last event.
    seen: &'a mut u64,
    /// When the trainer last sent anything.
    heard: &'a mut Instant,
}

enum Followed {
    Finished(JobFinished),
    Broken(String),
}

/// Follows one stream as far as it goes.
async fn follow<E: From<Error>>(
    calls: &Caller,
    mut stream: Streaming<WatchJobResponse>,
    progress: Progress<'_>,
    on_notice: &mut impl FnMut(WatchNotice<'_>) -> Result<(), E>,
) -> Result<Followed, E> {
    let Progress { seen, heard } = progress;
    loop {
        let event = match stream.message().await {
            Ok(Some(event)) => event,
            Ok(None) => {
                let reason = "the stream ended before the job";
                return Ok(Followed::Broken(reason.to_owned()));
            }
            Err(status) => return Ok(broken(calls.error(status))?),
        };
        *heard = Instant::now();
        // An event that was repeated, or a heartbeat.
        if event.sequence <= *seen {
            continue;
        }
        if event.sequence != *seen + 1 {
            let reason = format!("event {} came after event {seen}", event.sequence);
            return Ok(Followed::Broken(reason));
        }
        *seen = event.sequence;
        on_notice(WatchNotice::Event(&event))?;
        if let Some(Event::Finished(finished)) = event.event {
            return Ok(Followed::Finished(finished));
        }
    }
}

/// Ends the watch when the trainer refused this very request; anything else passes by itself.
fn broken(error: Error) -> Result<Followed, Error> {
    let reason = match &error {
        Error::Status { status, .. } => match status.code() {
            Code::NotFound
            | Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::FailedPrecondition
            | Code::OutOfRange => return Err(error),
            _ => status.message().to_owned(),
        },
        Error::Connection { failure, .. } => failure.to_string(),
        other => other.to_string(),
    };
    Ok(Followed::Broken(reason))
}
