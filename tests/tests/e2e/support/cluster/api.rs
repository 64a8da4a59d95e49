//! The API of an in-process cluster over HTTP: get, list, watch, create, patch, delete and evict,
//! with the rights of a Role for the trainer.

use super::{
    controllers::delete,
    objects::{Change, Key},
    shared::Shared,
};
use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, convert::Infallible, sync::Arc};
use tokio::net::TcpListener;

/// Token of the trainer, whose rights are checked.
pub const TRAINER: &str = "trainer";

/// What a request is about.
struct Target {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Clone)]
struct Server {
    objects: Arc<Shared>,
    /// The rules of the trainer's Role.
    rules: Arc<[Value]>,
}

/// Serves the API on a free port of loopback; returns its address.
pub async fn serve(objects: Arc<Shared>, rules: Vec<Value>) -> Result<String> {
    let server = Server {
        objects,
        rules: rules.into(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(answer).with_state(server);
    tokio::spawn(async { axum::serve(listener, router).await });
    Ok(address)
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let query = url::form_urlencoded::parse(query.as_bytes());
    let query: BTreeMap<String, String> = query.into_owned().collect();
    let Some(target) = target(uri.path()) else {
        return failure(
            StatusCode::NOT_FOUND,
            "the server could not find the requested resource",
        );
    };
    let watches = query
        .get("watch")
        .is_some_and(|it| it == "true" || it == "1");
    let verb = match (&method, target.name.is_empty()) {
        (&Method::GET, false) => "get",
        (&Method::GET, true) if watches => "watch",
        (&Method::GET, true) => "list",
        (&Method::POST, _) => "create",
        (&Method::PATCH, _) => "patch",
        _ => "delete",
    };
    let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    if token == Some(&format!("Bearer {TRAINER}")) {
        let right = (verb.to_owned(), target.resource.clone());
        server.objects.lock().used.insert(right);
        if !server.rules.iter().any(|rule| allows(rule, verb, &target)) {
            let text = format!("cannot {verb} resource \"{}\"", target.resource);
            return failure(StatusCode::FORBIDDEN, &text);
        }
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match verb {
        "list" => list(&server, &target, &query),
        "watch" => watch(server.objects, target, query),
        "get" => get(&server, &target),
        "create" => create(&server, &target, body),
        "patch" => patch(&server, &target, &body),
        _ => remove(&server, &target, &body),
    }
}

/// Reads `/api/v1/…` and `/apis/GROUP/VERSION/…`.
fn target(path: &str) -> Option<Target> {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let skipped = match *parts.first()? {
        "api" => 2,
        "apis" => 3,
        _ => return None,
    };
    parts.drain(..skipped.min(parts.len()));
    let mut namespace = "";
    if parts.len() > 2 && parts[0] == "namespaces" {
        namespace = parts[1];
        parts.drain(..2);
    }
    let part = |index: usize| parts.get(index).copied().unwrap_or_default().to_owned();
    Some(Target {
        resource: part(0),
        name: part(1),
        subresource: part(2),
        namespace: namespace.to_owned(),
    })
}

fn allows(rule: &Value, verb: &str, target: &Target) -> bool {
    let has = |field: &str, value: &str| {
        let all = rule[field].as_array();
        all.is_some_and(|all| all.iter().any(|it| it == value))
    };
    has("verbs", verb)
        && has("resources", &target.resource)
        && (rule["resourceNames"].is_null() || has("resourceNames", &target.name))
}

fn key(target: &Target) -> Key {
    let Target {
        resource,
        namespace,
        name,
        ..
    } = target;
    (resource.clone(), namespace.clone(), name.clone())
}

fn get(server: &Server, target: &Target) -> Response {
    let objects = server.objects.lock();
    let found = objects.get(&key(target)).cloned();
    drop(objects);
    found.map_or_else(|| missing(target), |object| ok(&object))
}

fn list(server: &Server, target: &Target, query: &BTreeMap<String, String>) -> Response {
    let objects = server.objects.lock();
    let items = objects
        .list(&target.resource, &target.namespace)
        .into_iter();
    let items: Vec<Value> = items
        .map(|(_, object)| object)
        .filter(|object| selected(query, object))
        .collect();
    let metadata = json!({"resourceVersion": objects.version().to_string()});
    drop(objects);
    ok(&json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
}

fn watch(objects: Arc<Shared>, target: Target, query: BTreeMap<String, String>) -> Response {
    let from = query.get("resourceVersion").and_then(|it| it.parse().ok());
    let state = (objects, target, query, from.unwrap_or(0_u64));
    let lines = futures::stream::unfold(state, |(objects, target, query, version)| async move {
        objects.changed_since(version).await;
        let changes = objects.lock().since(version);
        let last = changes.last().map_or(version, |it| it.version);
        let seen = changes.into_iter().filter(|it| {
            it.key.0 == target.resource
                && it.key.1 == target.namespace
                && selected(&query, &it.object)
        });
        let lines: String = seen.map(line).collect();
        Some((Ok::<_, Infallible>(lines), (objects, target, query, last)))
    });
    Body::from_stream(lines).into_response()
}

fn line(change: Change) -> String {
    format!(
        "{}\n",
        json!({"type": change.kind, "object": change.object})
    )
}

fn create(server: &Server, target: &Target, body: Value) -> Response {
    if target.subresource == "eviction" {
        return evict(server, target);
    }
    let name = body["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let key = (
        target.resource.clone(),
        target.namespace.clone(),
        name.clone(),
    );
    let created = server.objects.change(|objects| {
        let free = objects.get(&key).is_none();
        free.then(|| objects.create(key.clone(), body))
    });
    match created {
        Some(object) => (StatusCode::CREATED, ok(&object)).into_response(),
        None => failure(StatusCode::CONFLICT, &format!("{name:?} already exists")),
    }
}

fn evict(server: &Server, target: &Target) -> Response {
    let key = key(target);
    server.objects.change(|objects| {
        objects.update(&key, |pod| {
            if let Some(conditions) = pod["status"]["conditions"].as_array_mut() {
                conditions.push(json!({
                    "type": "DisruptionTarget", "status": "True",
                    "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
                }));
            }
        });
        delete(objects, &key, None);
    });
    ok(&json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
}

fn patch(server: &Server, target: &Target, body: &Value) -> Response {
    let key = key(target);
    let uid = &body["metadata"]["uid"];
    let patched = server.objects.change(|objects| {
        let found = objects.get(&key)?;
        if !uid.is_null() && found["metadata"]["uid"] != *uid {
            return Some(None);
        }
        Some(objects.update(&key, |object| merge(object, body)))
    });
    match patched {
        Some(Some(object)) => ok(&object),
        Some(None) => failure(
            StatusCode::CONFLICT,
            "Precondition failed: UID in precondition",
        ),
        None => missing(target),
    }
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    for (field, value) in fields {
        match value {
            Value::Null => {
                if let Some(object) = into.as_object_mut() {
                    object.remove(field);
                }
            }
            value => merge(&mut into[field], value),
        }
    }
}

fn remove(server: &Server, target: &Target, body: &Value) -> Response {
    let key = key(target);
    let grace = body["gracePeriodSeconds"].as_i64();
    let found = server.objects.change(|objects| {
        let found = objects.get(&key).cloned();
        delete(objects, &key, grace);
        found
    });
    found.map_or_else(|| missing(target), |object| ok(&object))
}

/// Whether a label selector (`a=b` and `a`) and a field selector (`a.b=c`) select an object.
fn selected(query: &BTreeMap<String, String>, object: &Value) -> bool {
    let terms = |name: &str| {
        let text = query.get(name).cloned().unwrap_or_default();
        let terms = text.split(',').filter(|it| !it.is_empty());
        terms.map(str::to_owned).collect::<Vec<_>>()
    };
    let labels = &object["metadata"]["labels"];
    let labelled = terms("labelSelector")
        .iter()
        .all(|term| match term.split_once('=') {
            Some((label, value)) => labels[label] == value,
            None => labels[term.as_str()].is_string(),
        });
    labelled
        && terms("fieldSelector").iter().all(|term| {
            term.split_once('=').is_some_and(|(field, value)| {
                object.pointer(&format!("/{}", field.replace('.', "/"))) == Some(&json!(value))
            })
        })
}

fn ok(object: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], object.to_string()).into_response()
}

fn missing(target: &Target) -> Response {
    let text = format!("{} {:?} not found", target.resource, target.name);
    failure(StatusCode::NOT_FOUND, &text)
}

fn failure(code: StatusCode, message: &str) -> Response {
    let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, ok(&status)).into_response()
}
