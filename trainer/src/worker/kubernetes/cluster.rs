//! The connection to a cluster: calls, and what the watches of Jobs and pods have seen.

use super::{
    error::{ClusterError, is_status},
    manifest::{JOB, MANAGED_BY, MANAGER, Owner},
    template::{PodTemplate, Template},
};
use digits_checkpoint::Storage;
use futures::{StreamExt as _, TryStream, TryStreamExt as _};
use http::StatusCode;
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::{Event, Pod},
};
use kube::{
    Api, Client, Config, Resource as _,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    runtime::{WatchStreamExt as _, reflector, reflector::ObjectRef, watcher},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A call that takes longer has failed.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Versions of Kueue's API, newest first: Kueue has `v1beta2` since 0.15, where `v1beta1` is
/// deprecated.
const WORKLOAD_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

/// A cluster, in one namespace; cheap to clone.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    namespace: Arc<str>,
    /// Its guard allows changes in the cluster too.
    storage: Storage,
    jobs: reflector::Store<Job>,
    pods: reflector::Store<Pod>,
    /// Set once both watches have listed everything.
    listed: Arc<[AtomicBool; 2]>,
}

/// The watches of a cluster, which run until they are dropped.
pub(super) type Watches = futures::future::BoxFuture<'static, ()>;

impl Cluster {
    /// Connects as the kubeconfig says, or as the pod that this process is in. No call is made yet.
    pub(super) async fn connect(
        namespace: Option<&str>,
        storage: Storage,
    ) -> Result<(Self, Watches), ClusterError> {
        let what = "no cluster is configured";
        let config = Config::infer().await;
        let config =
            config.map_err(|error| ClusterError::of(what)(kube::Error::InferConfig(error)))?;
        let client = Client::try_from(config).map_err(ClusterError::of(what))?;
        let namespace = namespace.unwrap_or(client.default_namespace()).to_owned();
        Ok(Self::new(client, &namespace, storage))
    }

    fn new(client: Client, namespace: &str, storage: Storage) -> (Self, Watches) {
        let listed: Arc<[AtomicBool; 2]> = Arc::default();
        let ours = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER},{JOB}"));
        let (jobs, writer) = reflector::store();
        let all = Api::<Job>::namespaced(client.clone(), namespace);
        let seen = reflector(writer, watcher(all, ours.clone()));
        let watch_jobs = watch("Jobs", seen, Arc::clone(&listed), 0);
        let (pods, writer) = reflector::store();
        let all = Api::<Pod>::namespaced(client.clone(), namespace);
        let seen = reflector(writer, watcher(all, ours));
        let watch_pods = watch("pods", seen, Arc::clone(&listed), 1);
        let cluster = Self {
            client,
            namespace: namespace.into(),
            storage,
            jobs,
            pods,
            listed,
        };
        let watches = async {
            tokio::join!(watch_jobs, watch_pods);
        };
        (cluster, Box::pin(watches))
    }

    /// Whether the watches have listed everything.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.iter().all(|it| it.load(Ordering::Acquire))
    }

    /// The Job of this name, as the watch has seen it.
    pub(super) fn job(&self, name: &str) -> Option<Arc<Job>> {
        self.jobs.get(&ObjectRef::new(name).within(&self.namespace))
    }

    /// All Jobs of workers, as the watch has seen them.
    pub(super) fn jobs(&self) -> Vec<Arc<Job>> {
        self.jobs.state()
    }

    /// The pods of the Job of this name, as the watch has seen them.
    pub(super) fn pods(&self, job: &str) -> Vec<Arc<Pod>> {
        self.pods.state_filter(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name"))
                == Some(&job.to_owned())
        })
    }

    /// Whether this process may change Jobs: none may once another one has taken its place, which
    /// the API of the cluster does not know.
    async fn permitted(&self) -> Result<(), ClusterError> {
        let check = self.storage.check_guard("the Job of a worker");
        match tokio::time::timeout(TIME_LIMIT, check).await {
            Ok(checked) => checked.map_err(|error| ClusterError::NotPermitted(error.to_string())),
            Err(_) => {
                let reason = "the storage does not answer in time";
                Err(ClusterError::NotPermitted(reason.to_owned()))
            }
        }
    }

    /// Whether there is a Job of this name.
    pub(super) async fn has_job(&self, name: &str) -> Result<bool, ClusterError> {
        let found = limited(self.api::<Job>().get_metadata_opt(name)).await;
        let found = found.map_err(ClusterError::of("its Job cannot be read"))?;
        Ok(found.is_some())
    }

    /// Creates a Job, unless there is one of its name.
    pub(super) async fn create_job(&self, job: Value) -> Result<(), ClusterError> {
        let what = "its Job cannot be created";
        let resource = ApiResource::erase::<Job>(&());
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let job = serde_json::from_value(job);
        let job = job.map_err(|error| ClusterError::of(what)(kube::Error::SerdeError(error)))?;
        let parameters = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        self.permitted().await?;
        match limited(api.create(&parameters, &job)).await {
            Err(error) if is_status(&error, StatusCode::CONFLICT) => Ok(()),
            created => created.map(|_| ()).map_err(ClusterError::of(what)),
        }
    }

    /// Deletes a Job, and its pods with their grace period.
    pub(super) async fn delete_job(&self, name: &str) -> Result<(), ClusterError> {
        self.permitted().await?;
        let deletion = DeleteParams::background();
        match limited(self.api::<Job>().delete(name, &deletion)).await {
            Err(error) if is_status(&error, StatusCode::NOT_FOUND) => Ok(()),
            deleted => deleted
                .map(|_| ())
                .map_err(ClusterError::of("its Job cannot be deleted")),
        }
    }

    /// Lets the cluster delete a Job this many seconds after its end.
    pub(super) async fn expire_job(&self, job: &Job, seconds: u64) -> Result<(), ClusterError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({
            "apiVersion": Job::api_version(&()),
            "kind": Job::kind(&()),
            // Of another Job, or of none, nothing is to be made.
            "metadata": { "name": name, "uid": job.metadata.uid },
            "spec": { "ttlSecondsAfterFinished": seconds },
        });
        let parameters = PatchParams::apply(MANAGER);
        let patch = Patch::Apply(patch);
        let api = self.api::<Job>();
        self.permitted().await?;
        match limited(api.patch_metadata(name, &parameters, &patch)).await {
            Err(error)
                if is_status(&error, StatusCode::NOT_FOUND)
                    || is_status(&error, StatusCode::CONFLICT) =>
            {
                Ok(())
            }
            patched => patched
                .map(|_| ())
                .map_err(ClusterError::of("its Job cannot be made to expire")),
        }
    }

    /// The StatefulSet of this name, by one of its pods: no further right is needed.
    pub(super) async fn owner(&self, name: &str) -> Result<Owner, ClusterError> {
        let pods = limited(self.api::<Pod>().list(&ListParams::default())).await;
        let pods = pods.map_err(ClusterError::of("the pods of --job-owner cannot be listed"))?;
        let mut pods = pods.items;
        // One that ends may be of a StatefulSet that was replaced.
        pods.sort_by_key(|pod| pod.metadata.deletion_timestamp.is_some());
        let found = pods.into_iter().find_map(|pod| {
            let mut owners = pod.metadata.owner_references?.into_iter();
            let owner = owners.find(|it| it.kind == "StatefulSet" && it.name == name)?;
            let container = pod.spec?.containers.into_iter().next()?;
            Some(Owner {
                name: owner.name,
                uid: owner.uid,
                image: container.image,
            })
        });
        found.ok_or_else(|| ClusterError::NoOwner(name.to_owned()))
    }

    /// A pod template.
    pub(super) async fn template(&self, template: &Template) -> Result<PodTemplate, ClusterError> {
        let Template::CronJob(name) = template else {
            return Ok(template.read()?);
        };
        let what = "the CronJob with the pod template cannot be read";
        let resource = ApiResource::erase::<CronJob>(&());
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let found = limited(api.get(name))
            .await
            .map_err(ClusterError::of(what))?;
        Ok(template.of(&found.data)?)
    }

    /// The newest warning about the object with this uid; `None` where there is none.
    pub(super) async fn warning(&self, uid: &str) -> Result<Option<String>, ClusterError> {
        let of = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning"));
        let events = limited(self.api::<Event>().list(&of)).await;
        let events = events.map_err(ClusterError::of("its events cannot be read"))?;
        let newest = events.items.into_iter().max_by_key(|event| {
            let last = event.last_timestamp.as_ref().map(|it| it.0.as_second());
            last.or(event.event_time.as_ref().map(|it| it.0.as_second()))
        });
        Ok(newest.map(|event| {
            let reason = event.reason.unwrap_or_default();
            format!("{reason}: {}", event.message.unwrap_or_default())
        }))
    }

    /// Why Kueue holds the Job with this uid; `None` where Kueue has not seen it.
    pub(super) async fn held(&self, uid: &str) -> Result<Option<String>, ClusterError> {
        let mut found = self.workloads(WORKLOAD_VERSIONS[0], uid).await;
        for version in &WORKLOAD_VERSIONS[1..] {
            if found
                .as_ref()
                .is_err_and(|error| is_status(error, StatusCode::NOT_FOUND))
            {
                found = self.workloads(version, uid).await;
            }
        }
        let found = found.map_err(ClusterError::of("its Workload cannot be read"))?;
        Ok(found.first().and_then(why_held))
    }

    async fn workloads(&self, version: &str, uid: &str) -> kube::Result<Vec<DynamicObject>> {
        let kind = GroupVersionKind::gvk("kueue.x-k8s.io", version, "Workload");
        let resource = ApiResource::from_gvk(&kind);
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let of = ListParams::default().labels(&format!("kueue.x-k8s.io/job-uid={uid}"));
        Ok(limited(api.list(&of)).await?.items)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Why Kueue holds the Job of a Workload: it has no quota, or a check has not admitted it.
fn why_held(workload: &DynamicObject) -> Option<String> {
    let conditions = workload.data.pointer("/status/conditions")?.as_array()?;
    let mut unmet = ["QuotaReserved", "Admitted"].iter().filter_map(|kind| {
        let mut conditions = conditions.iter();
        conditions.find(|it| it["type"] == *kind && it["status"] == "False")
    });
    Some(unmet.next()?["message"].as_str()?.to_owned())
}

/// Limits the time of a call: a worker is followed by a thread, which must not wait for it.
async fn limited<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| Err(kube::Error::Service("it does not answer in time".into()));
    tokio::time::timeout(TIME_LIMIT, call)
        .await
        .unwrap_or_else(late)
}

/// Follows a watch, which goes on after errors.
async fn watch<K>(
    what: &'static str,
    seen: impl TryStream<Ok = watcher::Event<K>, Error = watcher::Error> + Send,
    listed: Arc<[AtomicBool; 2]>,
    index: usize,
) {
    let mut seen = Box::pin(seen.into_stream().default_backoff());
    let mut failing = false;
    while let Some(event) = seen.next().await {
        match event {
            Ok(event) => {
                if matches!(event, watcher::Event::InitDone) {
                    listed[index].store(true, Ordering::Release);
                }
                if std::mem::take(&mut failing) {
                    tracing::info!("the {what} of workers are watched again");
                }
            }
            // A watch ends now and then, and is begun again.
            Err(watcher::Error::WatchFailed(error)) => {
                tracing::debug!(%error, "the watch of {what} has ended; beginning it again");
            }
            Err(error) if failing => {
                tracing::debug!(%error, "the {what} of workers still cannot be watched")
            }
            Err(error) => {
                failing = true;
                tracing::warn!(%error, "the {what} of workers cannot be watched; retrying");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_held_for_its_quota_first() {
        let workload = |conditions: Value| {
            let status = json!({"metadata": {}, "status": {"conditions": conditions}});
            why_held(&serde_json::from_value(status).expect("a Workload"))
        };
        let no_quota = json!({"type": "QuotaReserved", "status": "False", "message": "no quota"});
        let unchecked = json!({"type": "Admitted", "status": "False", "message": "unchecked"});
        let quota = json!({"type": "QuotaReserved", "status": "True", "message": "reserved"});
        let held = workload(json!([unchecked, no_quota]));
        assert_eq!(held.as_deref(), Some("no quota"));
        let held = workload(json!([quota, unchecked]));
        assert_eq!(held.as_deref(), Some("unchecked"));
        assert_eq!(workload(json!([quota])), None);
        assert_eq!(workload(json!([])), None);
    }

    use digits_checkpoint::journal::{Fence, Identity, Journal};

    /// A cluster that does not answer.
    fn cluster(storage: Storage) -> Cluster {
        let nobody = "http://127.0.0.1:1".parse().expect("an address");
        let client = Client::try_from(Config::new(nobody)).expect("a client");
        Cluster::new(client, "default", storage).0
    }

    #[tokio::test]
    async fn a_trainer_that_does_not_hold_its_journal_changes_no_jobs() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::open(&folder.path().display().to_string()).expect("opened");
        let free = cluster(storage.clone()).delete_job("a-1").await;
        assert!(matches!(free, Err(ClusterError::Unanswered { .. })));

        let identity = Identity {
            nonce: "a".to_owned(),
            folder: "a".to_owned(),
            host: "a".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let journal = Journal::new(storage.clone(), "first".parse().expect("a name"));
        let fence = Fence::new(journal, &identity);
        let cluster = cluster(storage.guarded(Arc::new(fence)));
        let job = json!({"metadata": {"name": "a-1"}});
        let typed: Job = serde_json::from_value(job.clone()).expect("a Job");
        for changed in [
            cluster.delete_job("a-1").await,
            cluster.create_job(job).await,
            cluster.expire_job(&typed, 60).await,
        ] {
            let error = changed.expect_err("not permitted");
            assert!(matches!(error, ClusterError::NotPermitted(_)), "{error}");
        }
    }
}
