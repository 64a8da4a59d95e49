//! What the Job and the pods of an attempt say of its worker.

use crate::{
    job::WaitCause,
    worker::launcher::{WorkerExit, WorkerStatus},
};
use digits_service::exit;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, Pod},
};
use std::sync::Arc;

/// Time after which a pod is gone that should have ended, in seconds: its node is lost.
const LOST_AFTER_SECONDS: i64 = 30;

/// What the Job and the pods of an attempt say of its worker, at `now` in seconds since 1970.
pub(super) fn observe(job: Option<&Job>, pods: &[Arc<Pod>], now: i64) -> WorkerStatus {
    // The others were evicted before they began.
    let pod = pods.iter().max_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        created.map(|time| time.0.as_second())
    });
    let Some(job) = job else {
        return match pod {
            Some(pod) if ends(pod, now).is_none() => WorkerStatus::Running,
            _ => WorkerStatus::Missing,
        };
    };
    if let Some(exit) = pod.and_then(|pod| ends(pod, now)) {
        // Its Job makes another pod of it, which may begin, or ends.
        return WorkerStatus::Ended(exit);
    }
    if let Some(condition) = condition(job, "Failed") {
        return WorkerStatus::Ended(WorkerExit {
            reason: condition,
            ..WorkerExit::default()
        });
    }
    if condition(job, "Complete").is_some() {
        return WorkerStatus::Ended(WorkerExit {
            code: Some(0),
            ..WorkerExit::default()
        });
    }
    match pod {
        Some(pod) => pending(pod).map_or(WorkerStatus::Running, |(cause, reason)| {
            WorkerStatus::Waiting { cause, reason }
        }),
        None if job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true) => {
            WorkerStatus::Waiting {
                cause: WaitCause::Queue,
                reason: "its Job is suspended".to_owned(),
            }
        }
        None => WorkerStatus::Waiting {
            cause: WaitCause::Start,
            reason: "its pod is not created yet".to_owned(),
        },
    }
}

/// Whether a Job is over.
pub(super) fn is_over(job: &Job) -> bool {
    condition(job, "Failed").is_some() || condition(job, "Complete").is_some()
}

/// The message of a condition that holds.
fn condition(job: &Job, name: &str) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let found = conditions
        .iter()
        .find(|it| it.type_ == name && it.status == "True")?;
    Some(words(found.reason.as_deref(), found.message.as_deref()))
}

fn words(reason: Option<&str>, message: Option<&str>) -> String {
    match (reason.unwrap_or_default(), message.unwrap_or_default()) {
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// How the worker in a pod ended, if it did.
fn ends(pod: &Pod, now: i64) -> Option<WorkerExit> {
    let status = pod.status.as_ref()?;
    let disruption = status.conditions.iter().flatten();
    let disruption = disruption
        .filter(|it| it.type_ == "DisruptionTarget" && it.status == "True")
        .map(|it| words(it.reason.as_deref(), it.message.as_deref()))
        .next();
    let over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    let gone = pod.metadata.deletion_timestamp.as_ref();
    let lost = gone.is_some_and(|time| time.0.as_second() + LOST_AFTER_SECONDS < now);
    if !over && !lost {
        return None;
    }
    let terminated = terminated(pod);
    let code = terminated.and_then(|it| u8::try_from(it.exit_code).ok());
    // Where another pod of the attempt had begun before, it found its place taken.
    let superseded = matches!(code, Some(exit::TEMPORARY | exit::TAKEN));
    let reason = match (disruption, terminated) {
        (Some(disruption), _) => {
            return Some(WorkerExit {
                evicted: true,
                code,
                reason: disruption,
            });
        }
        (None, Some(it)) => words(it.reason.as_deref(), it.message.as_deref()),
        (None, None) => words(status.reason.as_deref(), status.message.as_deref()),
    };
    Some(WorkerExit {
        evicted: superseded || (lost && !over),
        code,
        reason,
    })
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let name = &pod.spec.as_ref()?.containers.first()?.name;
    let container = containers.iter().find(|it| it.name == *name)?;
    container.state.as_ref()?.terminated.as_ref()
}

/// Why a pod does not run yet.
fn pending(pod: &Pod) -> Option<(WaitCause, String)> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Pending") {
        return None;
    }
    let mut conditions = status.conditions.iter().flatten();
    let unplaced = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False");
    if let Some(unplaced) = unplaced {
        let cause = WaitCause::Placement;
        return Some((
            cause,
            words(unplaced.reason.as_deref(), unplaced.message.as_deref()),
        ));
    }
    let waiting = status.init_container_statuses.iter().flatten();
    let waiting = waiting.chain(status.container_statuses.iter().flatten());
    let waiting = waiting.filter_map(|it| it.state.as_ref()?.waiting.as_ref());
    let reason = waiting
        .map(|it| words(it.reason.as_deref(), it.message.as_deref()))
        .find(|reason| reason != "PodInitializing")
        .unwrap_or_else(|| "its pod starts".to_owned());
    Some((WaitCause::Start, reason))
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
