//! The OpenAPI document of the services' descriptors.

use digits_transcode::openapi::{Document, UploadPath};
use serde_json::Value;

fn document() -> Value {
    let document = Document {
        title: "digits-inference",
        version: "1",
        services: &["digits.v1.InferenceService", "digits.v1.TrainingService"],
        uploads: &[UploadPath {
            path: "/v1/predict",
            method: "/digits.v1.InferenceService/Predict",
            field: "pictures.encoded",
        }],
    };
    document
        .write(digits_proto::FILE_DESCRIPTOR_SET)
        .expect("a document")
}

#[test]
fn every_method_and_every_field_is_described_by_its_comment() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), 4 + 8 + 1);
    let predict = &paths["/digits.v1.InferenceService/Predict"]["post"];
    assert_eq!(predict["summary"], "Classifies one or more images.");
    assert_eq!(predict["operationId"], "InferenceService_Predict");
    let request = &predict["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(request, "#/components/schemas/digits.v1.PredictRequest");
    let schemas = &document["components"]["schemas"];
    for (schema, field, part) in [
        ("digits.v1.PredictRequest", "topK", "most probable labels"),
        (
            "digits.v1.PredictRequest",
            "expect",
            "What a picture may show",
        ),
        (
            "digits.v1.GetModelResponse",
            "refusals",
            "Number of refusals",
        ),
        ("digits.v1.JobSpec", "labels", "Labels to filter jobs by"),
    ] {
        let field = &schemas[schema]["properties"][field];
        let text = field["description"].as_str().expect("a description");
        assert!(text.contains(part) && !text.starts_with(' '), "{field}");
    }
    let about = schemas["digits.v1.PredictRequest"]["description"].as_str();
    assert!(
        about
            .expect("text")
            .contains("At most one of: pixels, pictures.")
    );
    let verdict = &schemas["digits.v1.Verdict"];
    assert_eq!(verdict["enum"][1], "VERDICT_LABEL");
    let sequence = &schemas["digits.v1.ServedBy"]["properties"]["sequence"];
    assert_eq!(
        (&sequence["type"], &sequence["format"]),
        (&"string".into(), &"uint64".into())
    );
    for (schema, message) in schemas.as_object().expect("schemas") {
        let text = message["description"].as_str();
        assert!(text.is_some_and(|text| !text.is_empty()), "{schema}");
    }
}

#[test]
fn an_upload_has_the_other_fields_as_parameters() {
    let document = document();
    let upload = &document["paths"]["/v1/predict"]["post"];
    let parameters = upload["parameters"].as_array().expect("parameters");
    let names: Vec<_> = parameters
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "model",
            "normalizePixels",
            "topK",
            "wantLogits",
            "wantInput",
            "minProbability",
            "routingKey",
            "expect"
        ]
    );
}

#[test]
fn every_reference_leads_to_a_component() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let pointer = reference.trim_start_matches('#');
                    let found = document.pointer(pointer);
                    assert!(found.is_some_and(|it| !it.is_null()), "{reference}");
                }
                fields.values().for_each(|value| check(value, document));
            }
            Value::Array(values) => values.iter().for_each(|value| check(value, document)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}
