//! Watching a job to its end over connections that break.
//!
//! The sequence numbers of the events are without gaps, and a complete watch ends with `finished`: a stream that
//! ends otherwise was cut, and the watch goes on after the last number seen. Nothing is given twice or left out.

use crate::{client::Transport, error::Error};
use digits_proto::v1::{
    JobFinished, WatchJobRequest, WatchJobResponse, training_service_client::TrainingServiceClient,
    watch_job_response::Event,
};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};

/// First pause before a watch is taken up again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where a watch begins, and when it gives up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Only events with a higher sequence number; 0 for all.
    pub after_sequence: u64,
    /// How long the trainer may be away, without a single event, before the watch gives up.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            after_sequence: 0,
            patience: Duration::from_secs(300),
        }
    }
}

/// What happens in a watch.
#[derive(Debug)]
pub enum Notice<'a> {
    /// An event of the job, each one once, in order.
    Event(&'a WatchJobResponse),
    /// The stream broke; it is taken up again after a pause.
    Interrupted {
        /// What broke it.
        reason: &'a str,
        /// The pause.
        pause: Duration,
    },
}

/// Watches a job until it has ended, and returns how. `on_notice` may end the watch with an error.
///
/// # Errors
/// [`Error::Rpc`] when the trainer refuses (no such job, …), [`Error::WatchLost`] when it stays away, and what
/// `on_notice` returns.
pub async fn watch<T: Transport>(
    mut client: TrainingServiceClient<T>,
    job_id: &str,
    options: Options,
    mut on_notice: impl FnMut(Notice<'_>) -> Result<(), Error>,
) -> Result<JobFinished, Error> {
    let mut seen = options.after_sequence;
    let mut pause = FIRST_PAUSE;
    let mut away_since = Instant::now();
    loop {
        let before = seen;
        let reason = match follow(&mut client, job_id, &mut seen, &mut on_notice).await? {
            Followed::Finished(finished) => return Ok(finished),
            Followed::Broken(reason) => reason,
        };
        if seen > before {
            (pause, away_since) = (FIRST_PAUSE, Instant::now());
        }
        if away_since.elapsed() + pause > options.patience {
            return Err(Error::WatchLost {
                job_id: job_id.to_owned(),
                after_sequence: seen,
                reason,
            });
        }
        on_notice(Notice::Interrupted {
            reason: &reason,
            pause,
        })?;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

enum Followed {
    Finished(JobFinished),
    Broken(String),
}

/// Follows one stream as far as it goes.
async fn follow<T: Transport>(
    client: &mut TrainingServiceClient<T>,
    job_id: &str,
    seen: &mut u64,
    on_notice: &mut impl FnMut(Notice<'_>) -> Result<(), Error>,
) -> Result<Followed, Error> {
    let request = WatchJobRequest {
        job_id: job_id.to_owned(),
        after_sequence: *seen,
    };
    let mut stream = match client.watch_job(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return broken(status),
    };
    loop {
        let event = match stream.message().await {
            Ok(Some(event)) => event,
            Ok(None) => {
                return Ok(Followed::Broken(
                    "the stream ended before the job".to_owned(),
                ));
            }
            Err(status) => return broken(status),
        };
        if event.sequence <= *seen {
            continue;
        }
        if event.sequence != *seen + 1 {
            let reason = format!("event {} came after event {seen}", event.sequence);
            return Ok(Followed::Broken(reason));
        }
        *seen = event.sequence;
        on_notice(Notice::Event(&event))?;
        if let Some(Event::Finished(finished)) = event.event {
            return Ok(Followed::Finished(finished));
        }
    }
}

/// Whether a failure passes by itself: anything but a refusal of this very request.
fn broken(status: Status) -> Result<Followed, Error> {
    match status.code() {
        Code::NotFound
        | Code::InvalidArgument
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::FailedPrecondition
        | Code::OutOfRange => Err(Error::trainer(status)),
        _ => Ok(Followed::Broken(status.message().to_owned())),
    }
}
