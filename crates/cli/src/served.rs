//! Marks what is served in lists and details of jobs and checkpoints.

use digits_cli::{Error, registry::Registry};
use digits_proto::v1::{Job, ServingRecord, ServingRole};
use std::collections::{BTreeSet, HashMap};

/// Role of each checkpoint, or of each job's checkpoints, that the newest serving records name.
#[derive(Debug, Default)]
pub struct Served(HashMap<String, Route>);

/// How a checkpoint is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `primary`, `canary` or `shadow`.
    pub role: &'static str,
    /// Checkpoint that is served.
    pub checkpoint_id: String,
    /// Sequence of the serving record.
    pub sequence: u64,
}

impl Served {
    /// The served checkpoints of these models, by their ids.
    pub async fn checkpoints<'a>(
        models: impl IntoIterator<Item = &'a str>,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let mut served = Self::default();
        for model in models.into_iter().collect::<BTreeSet<_>>() {
            for record in registry.serving_records(model, 1).await? {
                served.add(&record);
            }
        }
        Ok(served)
    }

    /// The served checkpoints of the jobs' models, by the ids of the jobs that published them.
    pub async fn jobs(jobs: &[Job], registry: &Registry) -> Result<Self, Error> {
        let checkpoints = Self::checkpoints(jobs.iter().map(model), registry).await?;
        let mut served = Self::default();
        for route in checkpoints.0.into_values() {
            let checkpoint = registry.checkpoint(&route.checkpoint_id).await?;
            let job_id = checkpoint.lineage.unwrap_or_default().job_id;
            served.insert(job_id, route);
        }
        Ok(served)
    }

    /// How a checkpoint or a job is served; `None` if it is not.
    pub fn get(&self, id: &str) -> Option<&Route> {
        self.0.get(id)
    }

    /// The role of a checkpoint or a job in a word; empty if it is not served.
    pub fn role(&self, id: &str) -> String {
        self.get(id)
            .map(|it| it.role.to_owned())
            .unwrap_or_default()
    }

    fn add(&mut self, record: &ServingRecord) {
        for route in &record.routes {
            let role = match route.role() {
                ServingRole::Canary => "canary",
                ServingRole::Shadow => "shadow",
                ServingRole::Primary | ServingRole::Unspecified => "primary",
            };
            let route = Route {
                role,
                checkpoint_id: route.checkpoint_id.clone(),
                sequence: record.sequence,
            };
            self.insert(route.checkpoint_id.clone(), route);
        }
    }

    /// Adds a route; of several of one job the primary counts.
    fn insert(&mut self, id: String, route: Route) {
        if route.role == "primary" || !self.0.contains_key(&id) {
            self.0.insert(id, route);
        }
    }
}

/// The model that is used where none is named.
pub const DEFAULT_MODEL: &str = "digits";

/// Name of the model that a job's checkpoints belong to.
pub fn model(job: &Job) -> &str {
    let spec = job.resolved.as_ref().or(job.requested.as_ref());
    spec.and_then(|it| it.model.as_deref())
        .unwrap_or(DEFAULT_MODEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::ServingRoute;

    #[test]
    fn roles_are_those_of_the_newest_record() {
        let route = |id: &str, role: ServingRole| ServingRoute {
            checkpoint_id: id.to_owned(),
            role: role.into(),
            share: 0.5,
        };
        let record = ServingRecord {
            sequence: 7,
            routes: vec![
                route("a", ServingRole::Primary),
                route("b", ServingRole::Canary),
                route("a", ServingRole::Shadow),
            ],
            ..ServingRecord::default()
        };
        let mut served = Served::default();
        served.add(&record);
        assert_eq!(
            (served.role("a"), served.role("b"), served.role("c")),
            ("primary".to_owned(), "canary".to_owned(), String::new())
        );
        assert_eq!(served.get("b").map(|it| it.sequence), Some(7));
    }
}
