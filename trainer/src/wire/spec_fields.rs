//! The fields of a job's resolved spec as names and texts, for experiment trackers.

use digits_proto::{json, v1::JobSpec};
use prost::Message as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a spec says of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecFields {
    /// Name of the job, or of its preset.
    pub name: String,
    /// Labels of the job.
    pub labels: BTreeMap<String, String>,
    /// Everything else by path, such as `sgd.learning_rate`.
    pub params: BTreeMap<String, String>,
}

/// The fields of an encoded spec; none of one that this version cannot read.
#[must_use]
pub fn spec_fields(spec: &[u8]) -> SpecFields {
    let Ok(spec) = JobSpec::decode(spec) else {
        return SpecFields::default();
    };
    let name = match &*spec.name {
        "" => spec.preset.clone(),
        name => name.to_owned(),
    };
    let fields = json::flat(&spec).into_iter();
    let fields = fields.filter(|(path, _)| path != "name" && !path.starts_with("labels."));
    SpecFields {
        name,
        labels: spec.labels.into_iter().collect(),
        params: fields.map(|(path, value)| (path, text(value))).collect(),
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_named_by_the_fields_of_the_spec() {
        let spec = JobSpec {
            name: "night run".to_owned(),
            preset: "fast".to_owned(),
            epochs: Some(3),
            labels: [("team".to_owned(), "a".to_owned())].into(),
            ..JobSpec::default()
        };
        let fields = spec_fields(&spec.encode_to_vec());
        assert_eq!(fields.name, "night run");
        assert_eq!(fields.labels["team"], "a");
        assert_eq!(fields.params["epochs"], "3");
        assert_eq!(fields.params["preset"], "fast");
        assert!(!fields.params.contains_key("name"));
        assert!(!fields.params.contains_key("labels.team"));
        assert_eq!(spec_fields(&[255]), SpecFields::default());
    }
}
