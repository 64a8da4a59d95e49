//! A cluster in which the pods of one node are processes of the test: an API server and controllers
//! in this process, or those that the kubeconfig in `DIGITS_TEST_KUBECONFIG` names.

mod api;
mod controllers;
mod kubelet;
mod objects;
mod real;
mod shared;

use anyhow::{Context as _, Result, bail};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::GroupVersionKind,
};
use kubelet::{Kubelet, Node};
use serde_json::{Value, json};
use shared::Shared;
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A cluster with one node.
pub struct Cluster {
    client: Client,
    namespace: String,
    kubelet: Kubelet,
    /// Objects of the API server in this process, if it is that.
    shared: Option<Arc<Shared>>,
    folder: PathBuf,
}

impl Cluster {
    /// Starts it, with its files in `folder`. The trainer has the rights of `rules`, those of a Role.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn start(folder: &Path, binaries: PathBuf, rules: Vec<Value>) -> Result<Self> {
        let given = env::var_os("DIGITS_TEST_KUBECONFIG").map(PathBuf::from);
        let namespace = format!("digits-{}", &uuid::Uuid::new_v4().to_string()[..8]);
        let shared = given.is_none().then(Arc::<Shared>::default);
        let admin = match (&given, &shared) {
            (Some(file), _) => Kubeconfig::read_from(file)?,
            (None, Some(shared)) => {
                let address = api::serve(Arc::clone(shared), rules.clone()).await?;
                let config = kubeconfig(&json!({"server": address}), "admin", &namespace);
                serde_json::from_value(config)?
            }
            (None, None) => bail!("no API server"),
        };
        let options = KubeConfigOptions::default();
        let client = Config::from_custom_kubeconfig(admin.clone(), &options).await?;
        let client = Client::try_from(client)?;
        let cluster = serde_json::to_value(&admin.clusters.first().context("a cluster")?.cluster)?;
        let token = match given {
            Some(_) => real::account(&client, &namespace, rules).await?,
            None => api::TRAINER.to_owned(),
        };
        let config = kubeconfig(&cluster, &token, &namespace);
        fs::write(folder.join("kubeconfig"), config.to_string())?;
        let kubelet = Kubelet::start(Node {
            client: client.clone(),
            namespace: namespace.clone(),
            name: namespace.clone(),
            binaries,
            log: folder.join("pods.log"),
        });
        let cluster = Self {
            client,
            namespace,
            kubelet,
            shared,
            folder: folder.to_owned(),
        };
        let labels = json!({"metadata": {"labels": cluster.node_selector()}});
        cluster
            .create("v1", "Node", &cluster.namespace, labels)
            .await?;
        cluster.room("64").await?;
        Ok(cluster)
    }

    /// Selects its node.
    #[must_use]
    pub fn node_selector(&self) -> Value {
        json!({"digits-test": self.namespace})
    }

    /// Sets the CPUs of its node.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn room(&self, cpus: &str) -> Result<()> {
        let (api, _) = self.objects("v1", "Node");
        let resources = json!({"cpu": cpus, "memory": "64Gi", "pods": "110"});
        let status = json!({"status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                "lastHeartbeatTime": objects::now(), "lastTransitionTime": objects::now(),
            }],
        }});
        let parameters = PatchParams::default();
        let patch = Patch::Merge(status);
        api.patch_status(&self.namespace, &parameters, &patch)
            .await?;
        Ok(())
    }

    /// Removes what it has in a cluster that goes on.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn stop(self) -> Result<()> {
        self.delete("v1", "Node", &self.namespace).await?;
        if self.shared.is_none() {
            self.delete("v1", "Namespace", &self.namespace).await?;
        }
        Ok(())
    }

    /// Kubeconfig of the trainer.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Verbs and resources that the trainer has used, where the API is in this process.
    #[must_use]
    pub fn used(&self) -> Option<BTreeSet<(String, String)>> {
        let shared = self.shared.as_ref();
        shared.map(|it| it.lock().used.clone())
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Names of the pods whose processes run.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.kubelet.running()
    }

    /// Has the node start nothing more, or do so again.
    pub fn set_paused(&self, paused: bool) {
        self.kubelet.set_paused(paused);
    }

    /// Names and uids of the pods of workers.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn pods(&self) -> Result<Vec<(String, String)>> {
        let (api, _) = self.objects("v1", "Pod");
        let workers = ListParams::default().labels("app.kubernetes.io/managed-by=digits-trainer");
        let pods = api.list(&workers).await?.items.into_iter();
        let pods = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let named = pods.map(|pod| (pod.metadata.name, pod.metadata.uid));
        Ok(named
            .map(|(name, uid)| (name.unwrap_or_default(), uid.unwrap_or_default()))
            .collect())
    }

    /// Kills the process of a pod.
    pub fn kill(&self, pod: &str) {
        self.kubelet.kill(pod);
    }

    /// Evicts a pod, as a drain of its node does.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn evict(&self, pod: &str) -> Result<()> {
        let pods = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(
            self.client.clone(),
            &self.namespace,
        );
        pods.evict(pod, &kube::api::EvictParams::default()).await?;
        Ok(())
    }

    /// Creates an object.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn create(&self, group: &str, kind: &str, name: &str, data: Value) -> Result<Value> {
        let (api, resource) = self.objects(group, kind);
        let mut object = DynamicObject::new(name, &resource);
        object.metadata.namespace = (!is_of_cluster(kind)).then(|| self.namespace.clone());
        if let Some(labels) = data.pointer("/metadata/labels") {
            object.metadata.labels = serde_json::from_value(labels.clone())?;
        }
        if let Some(owners) = data.pointer("/metadata/ownerReferences") {
            object.metadata.owner_references = serde_json::from_value(owners.clone())?;
        }
        object.data = data;
        if let Some(data) = object.data.as_object_mut() {
            data.remove("metadata");
        }
        let created = api.create(&PostParams::default(), &object).await?;
        Ok(serde_json::to_value(created)?)
    }

    /// Merges a patch into an object.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn patch(&self, group: &str, kind: &str, name: &str, patch: Value) -> Result<()> {
        let (api, _) = self.objects(group, kind);
        let parameters = PatchParams::default();
        api.patch(name, &parameters, &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn delete(&self, group: &str, kind: &str, name: &str) -> Result<()> {
        let (api, _) = self.objects(group, kind);
        api.delete(name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// All Jobs, by name.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn jobs(&self) -> Result<Vec<Value>> {
        self.all("batch/v1", "Job").await
    }

    /// All objects of a kind in its namespace, by name.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn all(&self, group: &str, kind: &str) -> Result<Vec<Value>> {
        let (api, _) = self.objects(group, kind);
        let mut all = api.list(&ListParams::default()).await?.items;
        all.sort_by_key(|object| object.metadata.name.clone());
        let all = all.into_iter().map(serde_json::to_value);
        all.collect::<Result<_, _>>().context("JSON")
    }

    fn objects(&self, group: &str, kind: &str) -> (Api<DynamicObject>, ApiResource) {
        let (group, version) = group.split_once('/').unwrap_or(("", group));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let client = self.client.clone();
        let api = match is_of_cluster(kind) {
            true => Api::all_with(client, &resource),
            false => Api::namespaced_with(client, &self.namespace, &resource),
        };
        (api, resource)
    }
}

/// Whether objects of a kind are in no namespace.
fn is_of_cluster(kind: &str) -> bool {
    matches!(
        kind,
        "Node" | "Namespace" | "ResourceFlavor" | "ClusterQueue" | "WorkloadPriorityClass"
    )
}

fn kubeconfig(cluster: &Value, token: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {
            "cluster": "test", "user": "user", "namespace": namespace,
        }}],
    })
}
