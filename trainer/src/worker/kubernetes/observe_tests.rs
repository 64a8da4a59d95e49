use super::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

fn job(status: Value, suspend: bool) -> Job {
    serde_json::from_value(json!({"spec": {"suspend": suspend, "template": {}}, "status": status}))
        .expect("a Job")
}

fn pod(created: &str, status: Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": {"creationTimestamp": created},
        "spec": {"containers": [{"name": "trainer"}]},
        "status": status,
    });
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn exited(code: i32, reason: &str) -> Value {
    json!([
        {"name": "sidecar", "image": "", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"terminated": {"exitCode": 9}}},
        {"name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"terminated": {"exitCode": code, "reason": reason}}},
    ])
}

fn ended(evicted: bool, code: Option<u8>, reason: &str) -> WorkerStatus {
    WorkerStatus::Ended(WorkerExit {
        evicted,
        code,
        reason: reason.to_owned(),
    })
}

fn waiting(cause: WaitCause, reason: &str) -> WorkerStatus {
    let reason = reason.to_owned();
    WorkerStatus::Waiting { cause, reason }
}

const EARLY: &str = "2027-01-15T07:00:00Z";
const LATE: &str = "2027-01-15T07:30:00Z";

#[test]
fn a_worker_that_does_not_run_has_a_reason() {
    let active = job(json!({"active": 1}), false);
    let suspended = job(
        json!({"conditions": [
            {"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": "Job suspended"},
        ]}),
        true,
    );
    let status = |job: &Job, pods: &[Arc<Pod>]| observe(Some(job), pods, NOW);
    assert_eq!(
        status(&suspended, &[]),
        waiting(WaitCause::Queue, "its Job is suspended")
    );
    assert_eq!(
        status(&active, &[]),
        waiting(WaitCause::Start, "its pod is not created yet")
    );
    let unplaced = pod(
        LATE,
        json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/2 nodes are available: 2 Insufficient cpu.",
        }]}),
    );
    assert_eq!(
        status(&active, &[unplaced]),
        waiting(
            WaitCause::Placement,
            "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu."
        )
    );
    for (state, reason) in [
        (
            json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\""}}),
            "ImagePullBackOff: Back-off pulling image \"x\"",
        ),
        (
            json!({"waiting": {"reason": "ContainerCreating"}}),
            "ContainerCreating",
        ),
        (
            json!({"waiting": {"reason": "PodInitializing"}}),
            "its pod starts",
        ),
    ] {
        let pod = pod(
            LATE,
            json!({"phase": "Pending", "containerStatuses": [{
                "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": state,
            }]}),
        );
        assert_eq!(status(&active, &[pod]), waiting(WaitCause::Start, reason));
    }
    let running = pod(LATE, json!({"phase": "Running"}));
    assert_eq!(status(&active, &[running]), WorkerStatus::Running);
}

#[test]
fn evictions_are_told_from_crashes() {
    let active = job(json!({"active": 1}), false);
    let disrupted = json!([{
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }]);
    let drained = "EvictionByEvictionAPI: Eviction API: evicting";
    for (status, expected) in [
        (
            json!({"phase": "Failed", "conditions": disrupted,
                   "containerStatuses": exited(137, "Error")}),
            ended(true, Some(137), drained),
        ),
        // It still writes its bundle.
        (
            json!({"phase": "Running", "conditions": disrupted}),
            WorkerStatus::Running,
        ),
        (
            json!({"phase": "Failed", "containerStatuses": exited(75, "Error")}),
            ended(true, Some(75), "Error"),
        ),
        (
            json!({"phase": "Failed", "containerStatuses": exited(73, "Error")}),
            ended(true, Some(73), "Error"),
        ),
        (
            json!({"phase": "Failed", "containerStatuses": exited(137, "OOMKilled")}),
            ended(false, Some(137), "OOMKilled"),
        ),
        (
            json!({"phase": "Failed", "containerStatuses": exited(64, "Error")}),
            ended(false, Some(64), "Error"),
        ),
        (
            json!({"phase": "Failed", "reason": "DeadlineExceeded"}),
            ended(false, None, "DeadlineExceeded"),
        ),
    ] {
        assert_eq!(observe(Some(&active), &[pod(LATE, status)], NOW), expected);
    }
    let failed = job(
        json!({"conditions": [{
            "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
            "message": "Job has reached the specified backoff limit",
        }]}),
        false,
    );
    let reason = "BackoffLimitExceeded: Job has reached the specified backoff limit";
    assert_eq!(observe(Some(&failed), &[], NOW), ended(false, None, reason));
    assert!(is_over(&failed) && !is_over(&active));
}

#[test]
fn the_newest_pod_counts_and_a_lost_one_does_not() {
    let active = job(json!({"active": 1}), false);
    let evicted = pod(EARLY, json!({"phase": "Failed"}));
    let next = pod(LATE, json!({"phase": "Running"}));
    let pods = [Arc::clone(&next), evicted];
    assert_eq!(observe(Some(&active), &pods, NOW), WorkerStatus::Running);
    // Its Job was deleted, and it has its grace period.
    assert_eq!(observe(None, &[next], NOW), WorkerStatus::Running);
    assert_eq!(observe(None, &[], NOW), WorkerStatus::Missing);

    let deleted = |at: i64| {
        let mut pod = Arc::unwrap_or_clone(pod(LATE, json!({"phase": "Running"})));
        let time = k8s_openapi::jiff::Timestamp::from_second(at).expect("a time");
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time);
        pod.metadata.deletion_timestamp = Some(time);
        Arc::new(pod)
    };
    assert_eq!(
        observe(Some(&active), &[deleted(NOW - 10)], NOW),
        WorkerStatus::Running
    );
    assert_eq!(
        observe(Some(&active), &[deleted(NOW - 100)], NOW),
        ended(true, None, "")
    );
    assert_eq!(
        observe(None, &[deleted(NOW - 100)], NOW),
        WorkerStatus::Missing
    );
}
