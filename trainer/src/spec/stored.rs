//! A job's resolved spec as it is stored: in the database, and in the manifests of its checkpoints.

use super::{JobPlan, Violation, plan};
use crate::{
    datasets::Catalog,
    proto_json::{self, NoJsonForm},
};
use digits_proto::v1::JobSpec;
use prost::{DecodeError, Message as _};
use serde_json::Value;

/// A resolved spec, read back from the database.
#[derive(Clone, Debug)]
pub struct StoredSpec(JobSpec);

/// A resolved spec as the lineage in a manifest holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct LineageSpec {
    /// For people: the fields of `digits.v1.JobSpec` by name.
    pub json: Value,
    /// For programs: the protocol-buffer bytes, in lower-case hexadecimal.
    pub protobuf: String,
}

impl StoredSpec {
    /// Reads the bytes of the database.
    ///
    /// # Errors
    /// When they are not a job spec.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        JobSpec::decode(bytes).map(Self)
    }

    /// Display name of the job.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Device that the spec names, empty for none.
    #[must_use]
    pub fn device(&self) -> &str {
        self.0.device.as_deref().unwrap_or_default()
    }

    /// What the job is to do on this machine.
    ///
    /// # Errors
    /// What this version or this machine cannot do.
    pub fn plan(&self, catalog: &Catalog) -> Result<JobPlan, Vec<Violation>> {
        plan(&self.0, catalog)
    }

    /// For the manifests of the job's checkpoints.
    ///
    /// # Errors
    /// [`NoJsonForm`] when a value is beyond what protobuf's JSON allows.
    pub fn lineage(&self) -> Result<LineageSpec, NoJsonForm> {
        let bytes = self.0.encode_to_vec();
        Ok(LineageSpec {
            json: proto_json::write("digits.v1.JobSpec", &self.0)?,
            protobuf: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::LimitsSpec;
    use prost_types::Duration;

    fn lineage(spec: &JobSpec) -> Result<LineageSpec, NoJsonForm> {
        let stored = StoredSpec::decode(&spec.encode_to_vec()).expect("a spec");
        stored.lineage()
    }

    /// What stands in the manifests of earlier versions for this spec.
    #[test]
    fn a_manifest_holds_the_spec_in_the_same_form_as_ever() {
        let text = r#"{"preset": "fast", "name": "Ziffern \"1\" ü", "labels": {"team": "a"}, "model": "digits",
            "data": {"dataset": "synthetic", "fractions": {"train": 0.9, "validation": 0.1}, "splitSeed": "7", "mean": 0.1307},
            "sgd": {"learningRate": 0.1, "momentum": 0.9, "nesterov": true},
            "oneCycle": {"up": 0.3, "initialFactor": 0.04}, "seed": "4294967295", "generatorSkip": "15962",
            "limits": {"deadline": "90.5s"}, "promotion": "PROMOTION_POLICY_MANUAL",
            "publish": {"policy": "PUBLISH_POLICY_BEST"}, "precision": "PRECISION_BFLOAT16"}"#;
        let spec: JobSpec = proto_json::read("digits.v1.JobSpec", text).expect("a spec");
        let lineage = lineage(&spec).expect("written");
        let json = r#"{"data":{"dataset":"synthetic","fractions":{"train":0.9,"validation":0.1},"mean":0.1307000070810318,"split_seed":"7"},"generator_skip":"15962","labels":{"team":"a"},"limits":{"deadline":"90.500s"},"model":"digits","name":"Ziffern \"1\" ü","one_cycle":{"initial_factor":0.04,"up":0.3},"precision":"PRECISION_BFLOAT16","preset":"fast","promotion":"PROMOTION_POLICY_MANUAL","publish":{"policy":"PUBLISH_POLICY_BEST"},"seed":"4294967295","sgd":{"learning_rate":0.1,"momentum":0.9,"nesterov":true}}"#;
        assert_eq!(lineage.json.to_string(), json);
        assert_eq!(
            lineage.protobuf,
            "0a0466617374120e5a69666665726e2022312220c3bc1a090a047465616d12016122066469676974732a260a0973796e7468657469631a1209cdccccccccccec3f119a9999999999b93f20072d39d6053e4214099a9999999999b93f11cdccccccccccec3f18016a1209333333333333d33f117b14ae47e17aa43f8001ffffffff0f8801da7ca201020802a80103b2010a0a08085a1080cab5ee01d00103"
        );
    }

    #[test]
    fn a_spec_that_has_no_json_form_is_an_error() {
        let spec = |seconds| JobSpec {
            limits: Some(LimitsSpec {
                deadline: Some(Duration { seconds, nanos: 0 }),
            }),
            ..JobSpec::default()
        };
        let most = 315_576_000_000;
        assert!(lineage(&spec(most)).expect("written").json.is_object());
        let error = lineage(&spec(most + 1)).expect_err("refused").to_string();
        assert!(error.contains("duration out of range"), "{error}");
    }
}
