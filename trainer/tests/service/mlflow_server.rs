//! A server with the part of MLflow's REST API that the trainer calls. It fails on request.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What the server has, and how it answers.
#[derive(Debug, Default)]
pub struct Content {
    /// Statuses of the next answers; 0 is none at all. Then it answers.
    pub failures: VecDeque<u16>,
    /// Calls with these words in them are refused for good.
    pub refused: Option<&'static str>,
    /// Where artifacts are, if it is not the server's proxy.
    pub artifacts_at: Option<&'static str>,
    pub experiments: Vec<String>,
    pub runs: Vec<Run>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    /// Versions of models, as they were created.
    pub versions: Vec<Value>,
    /// The version with the alias, by model.
    pub champions: BTreeMap<String, String>,
    models: BTreeMap<String, Value>,
    pub authorizations: Vec<String>,
    /// Connections that outlast the server are closed.
    is_stopped: bool,
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub name: String,
    pub tags: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    /// Key and step of each metric, in the order of arrival; equal ones are stored once.
    pub metrics: Vec<(String, u64, f64)>,
    pub status: String,
    artifact_uri: String,
    pub is_deleted: bool,
}

impl Run {
    /// Steps of a metric.
    pub fn steps(&self, key: &str) -> Vec<u64> {
        let metrics = self.metrics.iter().filter(|(name, ..)| name == key);
        metrics.map(|(_, step, _)| *step).collect()
    }

    fn info(&self, number: usize) -> Value {
        json!({ "info": {
            "run_id": number.to_string(), "artifact_uri": self.artifact_uri,
            "lifecycle_stage": if self.is_deleted { "deleted" } else { "active" },
        }})
    }
}

/// A running server.
pub struct MlflowServer {
    pub address: SocketAddr,
    content: Arc<Mutex<Content>>,
    task: JoinHandle<()>,
}

impl MlflowServer {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0", Content::default()).await
    }

    pub async fn start_at(address: &str, content: Content) -> Self {
        let content = Arc::new(Mutex::new(content));
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&content));
        let task =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self {
            address,
            content,
            task,
        }
    }

    pub fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("the content")
    }

    /// Ends it; what it has can be served again.
    pub async fn stop(self) -> Content {
        self.task.abort();
        let _ = self.task.await;
        let stopped = Content {
            is_stopped: true,
            ..Content::default()
        };
        std::mem::replace(&mut *self.content.lock().expect("the content"), stopped)
    }
}

async fn answer(
    State(content): State<Arc<Mutex<Content>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (failure, answer) = {
        let mut content = content.lock().expect("the content");
        let authorization = headers.get("authorization");
        content
            .authorizations
            .extend(authorization.map(|it| it.to_str().expect("text").to_owned()));
        match content.failures.pop_front() {
            _ if content.is_stopped => {
                return (StatusCode::BAD_GATEWAY, [("connection", "close")]).into_response();
            }
            Some(failure) => (Some(failure), Err("")),
            None => {
                let path = uri.path().trim_start_matches("/api/2.0/");
                let query = uri.query().unwrap_or_default();
                let query = url::form_urlencoded::parse(query.as_bytes());
                (
                    None,
                    content.call(&method, path, &query.into_owned().collect(), &body),
                )
            }
        }
    };
    match failure {
        Some(0) => std::future::pending().await,
        Some(status) => StatusCode::from_u16(status)
            .expect("a status")
            .into_response(),
        None => match answer {
            Ok(value) => value.to_string().into_response(),
            Err(code) => {
                let error = json!({ "error_code": code, "message": "refused" });
                (StatusCode::BAD_REQUEST, error.to_string()).into_response()
            }
        },
    }
}

impl Content {
    fn call(
        &mut self,
        method: &Method,
        path: &str,
        query: &HashMap<String, String>,
        body: &Bytes,
    ) -> Result<Value, &'static str> {
        if let Some(path) = path.strip_prefix("mlflow-artifacts/artifacts/") {
            assert_eq!(method, Method::PUT);
            self.artifacts.insert(path.to_owned(), body.to_vec());
            return Ok(Value::Null);
        }
        let path = path.trim_start_matches("mlflow/");
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let words = format!("{path} {body}");
        if self.refused.is_some_and(|refused| words.contains(refused)) {
            return Err("INVALID_PARAMETER_VALUE");
        }
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        match path {
            "experiments/get-by-name" => {
                let name = &query["experiment_name"];
                let mut experiments = self.experiments.iter();
                let number = experiments.position(|it| it == name);
                let number = number.ok_or("RESOURCE_DOES_NOT_EXIST")?.to_string();
                Ok(
                    json!({ "experiment": { "experiment_id": number, "lifecycle_stage": "active" } }),
                )
            }
            "experiments/create" => {
                self.experiments.push(text("name"));
                let number = self.experiments.len() - 1;
                Ok(json!({ "experiment_id": number.to_string() }))
            }
            "runs/search" => {
                let (tag, value) = tagged(&text("filter"));
                let mut runs = self.runs.iter().enumerate();
                let run = runs.find(|(_, run)| run.tags.get(&tag) == Some(&value));
                Ok(run.map_or(
                    json!({}),
                    |(number, run)| json!({ "runs": [run.info(number)] }),
                ))
            }
            "runs/create" => Ok(self.create_run(&body)),
            "runs/log-batch" => self.log(&body),
            "runs/set-tag" => {
                let run = self.run(&body)?;
                run.tags.insert(text("key"), text("value"));
                Ok(json!({}))
            }
            "runs/update" => {
                self.run(&body)?.status = text("status");
                Ok(json!({}))
            }
            _ => self.registry(method, path, query, &body),
        }
    }

    fn create_run(&mut self, body: &Value) -> Value {
        let (number, text) = (self.runs.len(), |value: &Value| {
            value.as_str().expect("a text").to_owned()
        });
        let root = self.artifacts_at.unwrap_or("mlflow-artifacts:");
        let tags = body["tags"].as_array().expect("tags").iter();
        let run = Run {
            name: text(&body["run_name"]),
            tags: tags
                .map(|it| (text(&it["key"]), text(&it["value"])))
                .collect(),
            artifact_uri: format!("{root}/0/{number}/artifacts"),
            status: "RUNNING".to_owned(),
            ..Run::default()
        };
        let info = run.info(number);
        self.runs.push(run);
        json!({ "run": info })
    }

    fn run(&mut self, body: &Value) -> Result<&mut Run, &'static str> {
        let number: usize = body["run_id"]
            .as_str()
            .expect("a run")
            .parse()
            .expect("a number");
        let run = self.runs.get_mut(number).ok_or("RESOURCE_DOES_NOT_EXIST")?;
        match run.is_deleted {
            true => Err("INVALID_PARAMETER_VALUE"),
            false => Ok(run),
        }
    }

    fn log(&mut self, body: &Value) -> Result<Value, &'static str> {
        let (metrics, params) = (body["metrics"].as_array(), body["params"].as_array());
        assert!(
            metrics.is_none_or(|it| it.len() <= 1_000) && params.is_none_or(|it| it.len() <= 100)
        );
        let run = self.run(body)?;
        for metric in metrics.into_iter().flatten() {
            let key = metric["key"].as_str().expect("a key").to_owned();
            let value = metric["value"].as_f64().expect("a number");
            let metric = (key, metric["step"].as_u64().expect("a step"), value);
            if !run.metrics.contains(&metric) {
                run.metrics.push(metric);
            }
        }
        for param in params.into_iter().flatten() {
            let text = |key: &str| param[key].as_str().expect("a text").to_owned();
            run.params.insert(text("key"), text("value"));
        }
        Ok(json!({}))
    }

    fn registry(
        &mut self,
        method: &Method,
        path: &str,
        query: &HashMap<String, String>,
        body: &Value,
    ) -> Result<Value, &'static str> {
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        match path {
            "registered-models/search" => {
                let models: Vec<&Value> = self.models.values().collect();
                Ok(json!({ "registered_models": models }))
            }
            "registered-models/create" if self.models.contains_key(&text("name")) => {
                Err("RESOURCE_ALREADY_EXISTS")
            }
            "registered-models/create" => {
                self.models.insert(text("name"), body.clone());
                Ok(json!({}))
            }
            "registered-models/set-tag" => Ok(json!({})),
            "registered-models/alias" => {
                assert_eq!(body["alias"], "champion");
                match *method {
                    Method::DELETE => self.champions.remove(&text("name")),
                    _ => self.champions.insert(text("name"), text("version")),
                };
                Ok(json!({}))
            }
            "model-versions/search" => {
                let (_, id) = tagged(&query["filter"]);
                let mut versions = self.versions.iter();
                let found = versions.position(|it| it["tags"][0]["value"] == id.as_str());
                let found = found.map(|number| json!({ "version": (number + 1).to_string() }));
                Ok(json!({ "model_versions": found.into_iter().collect::<Vec<_>>() }))
            }
            "model-versions/create" => {
                assert!(self.models.contains_key(&text("name")), "{body}");
                self.versions.push(body.clone());
                Ok(json!({}))
            }
            _ => panic!("a call of {path}"),
        }
    }
}

/// The tag and its value in a filter of a search.
fn tagged(filter: &str) -> (String, String) {
    let (_, rest) = filter.split_once('`').expect("a tag");
    let (tag, rest) = rest.split_once("` = '").expect("a value");
    (tag.to_owned(), rest.trim_end_matches('\'').to_owned())
}
