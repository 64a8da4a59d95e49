//! What the controllers of a cluster do to Jobs and pods, as far as workers depend on it: the Job
//! controller with `podFailurePolicy`, the garbage collector and the scheduler.

use super::objects::{Key, Objects, now};
use serde_json::{Value, json};

/// Has the controllers react until nothing changes any more.
pub fn react(objects: &mut Objects) {
    loop {
        let version = objects.version();
        collect_garbage(objects);
        for (key, job) in objects.list("jobs", "") {
            control(objects, &key, &job);
        }
        schedule(objects);
        if objects.version() == version {
            return;
        }
    }
}

/// Deletes an object as the API does: a pod on a node is left to its kubelet.
pub fn delete(objects: &mut Objects, key: &Key, grace_seconds: Option<i64>) {
    let Some(object) = objects.get(key) else {
        return;
    };
    let bound = key.0 == "pods" && object["spec"]["nodeName"].is_string();
    if !bound || grace_seconds == Some(0) {
        objects.remove(key);
        return;
    }
    let grace = grace_seconds
        .or(object["spec"]["terminationGracePeriodSeconds"].as_i64())
        .unwrap_or(30);
    objects.update(key, |pod| {
        if pod["metadata"]["deletionTimestamp"].is_null() {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(grace);
            let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            pod["metadata"]["deletionTimestamp"] = json!(at);
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
    });
}

fn owned<'a>(objects: &Objects, job: &'a Value) -> impl Iterator<Item = (Key, Value)> + use<'a> {
    let pods = objects.list("pods", "").into_iter();
    pods.filter(move |(_, pod)| {
        pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    })
}

fn collect_garbage(objects: &mut Objects) {
    let jobs = objects.list("jobs", "");
    for (key, pod) in objects.list("pods", "") {
        let owner = &pod["metadata"]["ownerReferences"][0];
        let of_a_job = owner["kind"] == "Job";
        let owner = &owner["uid"];
        let orphan = of_a_job && jobs.iter().all(|(_, job)| job["metadata"]["uid"] != *owner);
        if orphan {
            delete(objects, &key, None);
        }
    }
}

fn is_over(object: &Value) -> bool {
    let phase = object["status"]["phase"].as_str();
    let conditions = object["status"]["conditions"].as_array().into_iter();
    matches!(phase, Some("Failed" | "Succeeded"))
        || conditions.flatten().any(|it| {
            let kind = it["type"].as_str();
            matches!(kind, Some("Failed" | "Complete")) && it["status"] == "True"
        })
}

fn control(objects: &mut Objects, key: &Key, job: &Value) {
    let pods: Vec<_> = owned(objects, job).collect();
    if is_over(job) {
        for (pod_key, pod) in pods {
            if !is_over(&pod) {
                delete(objects, &pod_key, None);
            }
        }
        return;
    }
    if job["spec"]["suspend"] == true {
        objects.update(key, |job| {
            job["status"]["conditions"] = json!([{
                "type": "Suspended", "status": "True", "reason": "JobSuspended",
                "message": "Job suspended",
            }]);
        });
        for (pod_key, pod) in pods {
            if !is_over(&pod) {
                delete(objects, &pod_key, None);
            }
        }
        return;
    }
    // A pod that is gone has failed too, unless a rule said otherwise while it was there.
    let counted = job["status"]["digits-test-counted"].as_array();
    let mut counted: Vec<Value> = counted.cloned().unwrap_or_default();
    for (_, pod) in pods.iter().filter(|(_, pod)| is_over(pod)) {
        if counted.contains(&pod["metadata"]["uid"]) {
            continue;
        }
        counted.push(pod["metadata"]["uid"].clone());
        if let Some(end) = end(job, pod) {
            objects.update(key, |job| {
                job["status"] = json!({"conditions": [end], "completionTime": now()});
            });
            return;
        }
    }
    objects.update(key, |job| {
        job["status"]["digits-test-counted"] = json!(counted);
        job["status"]["active"] = json!(1);
        job["status"]["conditions"] = json!([]);
    });
    // podReplacementPolicy: Failed
    if pods.iter().all(|(_, pod)| is_over(pod)) {
        let number = counted.len();
        let name = format!("{}-p{number}", key.2);
        let pod_key = ("pods".to_owned(), key.1.clone(), name);
        if objects.get(&pod_key).is_none() {
            objects.create(pod_key, pod_of(job));
        }
    }
}

/// The condition with which a pod ends its Job.
fn end(job: &Value, pod: &Value) -> Option<Value> {
    if pod["status"]["phase"] == "Succeeded" {
        return Some(json!({"type": "Complete", "status": "True"}));
    }
    let failed = |reason: &str, message: &str| json!({"type": "Failed", "status": "True", "reason": reason, "message": message});
    let rules = job["spec"]["podFailurePolicy"]["rules"].as_array();
    for rule in rules.into_iter().flatten() {
        if matches(rule, pod) {
            return (rule["action"] == "FailJob").then(|| {
                failed(
                    "PodFailurePolicy",
                    "Container failed with a matching exit code",
                )
            });
        }
    }
    Some(failed(
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    ))
}

fn matches(rule: &Value, pod: &Value) -> bool {
    let codes = &rule["onExitCodes"];
    if codes.is_object() {
        let containers = pod["status"]["containerStatuses"].as_array();
        return containers.into_iter().flatten().any(|it| {
            let code = &it["state"]["terminated"]["exitCode"];
            it["name"] == codes["containerName"]
                && codes["values"]
                    .as_array()
                    .is_some_and(|all| all.contains(code))
        });
    }
    let wanted = &rule["onPodConditions"][0]["type"];
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| it["type"] == *wanted && it["status"] == "True")
}

fn pod_of(job: &Value) -> Value {
    let metadata = &job["metadata"];
    let mut pod = job["spec"]["template"].clone();
    pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = metadata["name"].clone();
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "controller": true,
        "name": metadata["name"], "uid": metadata["uid"],
    }]);
    pod["status"] = json!({"phase": "Pending", "conditions": []});
    pod
}

/// Binds pods to the one node, where it has room for them.
fn schedule(objects: &mut Objects) {
    let nodes = objects.list("nodes", "");
    let node = nodes.first();
    let free = node.map_or(0, |(_, node)| cpus(&node["status"]["allocatable"]));
    for (key, pod) in objects.list("pods", "") {
        let of_a_job = pod["metadata"]["ownerReferences"][0]["kind"] == "Job";
        if pod["spec"]["nodeName"].is_string() || !of_a_job {
            continue;
        }
        let wants = cpus(&pod["spec"]["containers"][0]["resources"]["requests"]);
        let placed = objects.list("pods", "");
        let placed = placed
            .iter()
            .filter(|(_, it)| it["spec"]["nodeName"].is_string() && !is_over(it));
        let used: u64 = placed
            .map(|(_, it)| cpus(&it["spec"]["containers"][0]["resources"]["requests"]))
            .sum();
        let fits = used + wants <= free;
        objects.update(&key, |pod| {
            if let (true, Some((node, _))) = (fits, node) {
                pod["spec"]["nodeName"] = json!(node.2);
                pod["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "True"}]);
            } else {
                pod["status"]["conditions"] = json!([{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": "0/1 nodes are available: 1 Insufficient cpu.",
                }]);
            }
        });
    }
}

fn cpus(resources: &Value) -> u64 {
    let text = resources["cpu"].as_str().unwrap_or_default();
    text.parse().unwrap_or_default()
}
