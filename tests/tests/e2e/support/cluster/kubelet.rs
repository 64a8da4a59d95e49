//! A node of a cluster whose pods are processes of the test: it starts what is bound to it, reports
//! what becomes of it, and ends what is deleted. It works with any API server.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

const PAUSE: Duration = Duration::from_millis(50);

/// A node; its pods are killed when it is dropped.
pub struct Kubelet {
    /// Nothing is started.
    paused: Arc<AtomicBool>,
    processes: Arc<Mutex<BTreeMap<String, Process>>>,
    task: JoinHandle<()>,
}

struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    /// SIGTERM was sent.
    told: bool,
}

/// What a node needs.
#[derive(Clone)]
pub struct Node {
    pub client: Client,
    pub namespace: String,
    pub name: String,
    /// Folder with the project's binaries.
    pub binaries: PathBuf,
    /// The log of all pods.
    pub log: PathBuf,
}

impl Kubelet {
    /// Starts it.
    pub fn start(node: Node) -> Self {
        let processes = Arc::<Mutex<BTreeMap<String, Process>>>::default();
        let all = Arc::clone(&processes);
        let paused = Arc::<AtomicBool>::default();
        let pause = Arc::clone(&paused);
        let task = tokio::spawn(async move {
            loop {
                // The API may be busy, or a pod may be deleted meanwhile.
                let _ = step(&node, &all, pause.load(Ordering::Acquire)).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self {
            paused,
            processes,
            task,
        }
    }

    /// Starts nothing more, or does so again.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Names of the pods whose processes run.
    pub fn running(&self) -> Vec<String> {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let running = processes.values_mut();
        let running = running.filter_map(|it| match it.child.try_wait() {
            Ok(None) => Some(it.name.clone()),
            _ => None,
        });
        running.collect()
    }

    /// Kills the process of a pod, as the kernel does it when memory is short.
    pub fn kill(&self, pod: &str) {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for process in processes.values_mut().filter(|it| it.name == pod) {
            let _ = process.child.kill();
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for process in processes.values_mut() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

async fn step(node: &Node, all: &Mutex<BTreeMap<String, Process>>, paused: bool) -> Result<()> {
    let pods = Api::<Pod>::namespaced(node.client.clone(), &node.namespace);
    let mine = ListParams::default().fields(&format!("spec.nodeName={}", node.name));
    for pod in pods.list(&mine).await? {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let name = pod.metadata.name.clone().unwrap_or_default();
        let deleted = pod.metadata.deletion_timestamp.is_some();
        let status = {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get_mut(&uid) {
                None if deleted => Status::Gone,
                None if paused => Status::Same,
                None => {
                    all.insert(uid, start(node, &pod)?);
                    Status::Report(running(&pod))
                }
                Some(process) if process.ended.is_some() && deleted => Status::Gone,
                Some(process) if process.ended.is_some() => Status::Same,
                Some(process) => match process.child.try_wait()? {
                    Some(status) => {
                        process.ended = Some(status);
                        Status::Report(ended(&pod, status))
                    }
                    None => {
                        if deleted && !std::mem::replace(&mut process.told, true) {
                            terminate(process);
                        }
                        Status::Same
                    }
                },
            }
        };
        match status {
            Status::Same => {}
            Status::Gone => {
                let at_once = DeleteParams::default().grace_period(0);
                pods.delete(&name, &at_once).await?;
            }
            Status::Report(status) => {
                let patch = Patch::Merge(json!({ "status": status }));
                pods.patch_status(&name, &PatchParams::default(), &patch)
                    .await?;
            }
        }
    }
    Ok(())
}

enum Status {
    /// Nothing to report.
    Same,
    Report(Value),
    /// It was deleted and has ended.
    Gone,
}

fn start(node: &Node, pod: &Pod) -> Result<Process> {
    let spec = pod.spec.as_ref().context("a spec")?;
    let container = spec.containers.first().context("a container")?;
    let variables: Vec<(String, String)> = container
        .env
        .iter()
        .flatten()
        .map(|it| (it.name.clone(), it.value.clone().unwrap_or_default()))
        .collect();
    let arguments = container.args.iter().flatten().map(|argument| {
        variables
            .iter()
            .fold(argument.clone(), |argument, (name, value)| {
                argument.replace(&format!("$({name})"), value)
            })
    });
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&node.log)?;
    let child = Command::new(program(&node.binaries))
        .args(arguments)
        .envs(variables.iter().cloned())
        .stderr(log)
        .spawn()?;
    Ok(Process {
        name: pod.metadata.name.clone().unwrap_or_default(),
        child,
        ended: None,
        told: false,
    })
}

fn program(binaries: &Path) -> PathBuf {
    binaries.join("digits-trainer")
}

fn terminate(process: &Process) {
    let pid = i32::try_from(process.child.id())
        .ok()
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn running(pod: &Pod) -> Value {
    let now = super::objects::now();
    json!({
        "phase": "Running",
        "startTime": now,
        "containerStatuses": [container(pod, &json!({"running": {"startedAt": now}}))],
    })
}

fn ended(pod: &Pod, status: ExitStatus) -> Value {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    let phase = if code == Some(0) {
        "Succeeded"
    } else {
        "Failed"
    };
    let reason = match code {
        Some(0) => "Completed",
        Some(137) => "OOMKilled",
        _ => "Error",
    };
    let now = super::objects::now();
    let state = json!({"terminated": {
        "exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now,
    }});
    json!({ "phase": phase, "containerStatuses": [container(pod, &state)] })
}

fn container(pod: &Pod, state: &Value) -> Value {
    let spec = pod.spec.as_ref();
    let container = spec.and_then(|spec| spec.containers.first());
    json!({
        "name": container.map(|it| it.name.clone()),
        "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": state,
    })
}
