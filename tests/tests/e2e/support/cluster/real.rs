//! What a test needs of a cluster that was there before it.

use anyhow::{Context as _, Result};
use digits_testing::until;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
    core::GroupVersionKind,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const NAME: &str = "digits-trainer";

/// Creates the namespace, and in it an account with these rights; returns a token of it.
pub async fn account(client: &Client, namespace: &str, rules: Vec<Value>) -> Result<String> {
    let parameters = PostParams::default();
    let metadata = |name: &str| json!({"name": name});
    let object = parse::<Namespace>(json!({"metadata": metadata(namespace)}))?;
    Api::all(client.clone())
        .create(&parameters, &object)
        .await?;
    let object = parse::<Role>(json!({"metadata": metadata(NAME), "rules": rules}))?;
    let api = Api::namespaced(client.clone(), namespace);
    api.create(&parameters, &object).await?;
    let object = parse::<RoleBinding>(json!({
        "metadata": metadata(NAME),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
    }))?;
    let api = Api::namespaced(client.clone(), namespace);
    api.create(&parameters, &object).await?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let object = parse::<ServiceAccount>(json!({"metadata": metadata(NAME)}))?;
    accounts.create(&parameters, &object).await?;
    workloads(client).await?;
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: Vec::new(),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let token = accounts.create_token_request(NAME, &parameters, &request);
    Ok(token.await?.status.context("a token")?.token)
}

/// Kueue's objects, unless the cluster has Kueue.
async fn workloads(client: &Client) -> Result<()> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "workloads.kueue.x-k8s.io", "annotations": {
            "api-approved.kubernetes.io": "unapproved, for tests",
        }},
        "spec": {
            "group": "kueue.x-k8s.io",
            "names": {"kind": "Workload", "plural": "workloads", "singular": "workload"},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1beta2", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    });
    // Kueue or another test may have created it.
    let _ = api
        .create(&PostParams::default(), &parse(definition)?)
        .await;
    let kind = GroupVersionKind::gvk("kueue.x-k8s.io", "v1beta2", "Workload");
    let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    until("Kueue's kind", async || {
        Ok(api.list(&ListParams::default()).await.ok().map(|_| ()))
    })
    .await
}

fn parse<K: DeserializeOwned>(object: Value) -> Result<K> {
    Ok(serde_json::from_value(object)?)
}
