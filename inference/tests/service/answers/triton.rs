//! What the clients of Triton and others send and read beyond the core of the protocol, over HTTP:
//! `null` for absent fields, further data types, configuration, statistics, other extensions.

use super::rest::{document, get, http, infer};
use crate::support::{Setup, image, setup};
use serde_json::{Value, json};

/// Clients in other languages serialize what is not set as `null`.
#[tokio::test(flavor = "multi_thread")]
async fn optional_fields_may_be_null_and_unknown_ones_are_ignored() {
    let Setup { service, .. } = setup("digits", &[]).await;
    let good = document("UINT8", json!([1, 28, 28]), json!(image(1)));
    let expected = infer(&service, &good).await.json();
    let mut nulls = good.clone();
    nulls["parameters"] = Value::Null;
    nulls["outputs"] = Value::Null;
    nulls["inputs"][0]["parameters"] = json!({ "binary_data_size": null, "other": null });
    let mut unknown = good.clone();
    unknown["model_name"] = json!("digits");
    unknown["extra"] = json!({ "a": [1] });
    let mut output = good.clone();
    output["outputs"] = json!(
        expected["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|output| json!({ "name": output["name"], "parameters": null }))
            .collect::<Vec<_>>()
    );
    let mut number = good.clone();
    number["id"] = json!(7);
    let mut floats = good.clone();
    floats["inputs"][0]["shape"] = json!([1.0, 28.0, 28.0]);
    let bytes: Vec<f64> = image(1).into_iter().map(f64::from).collect();
    floats["inputs"][0]["data"] = json!(bytes);
    for document in [nulls, unknown, output, number, floats] {
        let answer = infer(&service, &document).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(answer.json(), expected);
    }
    let mut without = good.clone();
    without["id"] = Value::Null;
    assert_eq!(infer(&service, &without).await.json()["id"], Value::Null);
    let mut texts = good;
    texts["inputs"][0]["shape"] = json!(["1", "28", "28"]);
    let answer = infer(&service, &texts).await;
    assert_eq!(answer.status, 400);
    let error = answer.json()["error"].to_string();
    assert!(
        error.contains("shape must be a list of whole numbers"),
        "{error}"
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_numeric_type_is_taken_over_http() {
    let Setup { service, .. } = setup("digits", &[]).await;
    // Grey values that INT8 holds as well.
    let bytes: Vec<u8> = image(1).into_iter().map(|byte| byte / 2).collect();
    let good = document("UINT8", json!([1, 784]), json!(bytes));
    let expected = infer(&service, &good).await.json();
    for datatype in [
        "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    ] {
        let document = document(datatype, json!([1, 784]), json!(bytes));
        let answer = infer(&service, &document).await;
        assert_eq!(answer.json(), expected, "{datatype}");
    }
    let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    for datatype in ["FP16", "BF16", "FP32", "FP64"] {
        let document = document(datatype, json!([1, 784]), json!(floats));
        let answer = infer(&service, &document).await;
        assert_eq!(answer.json()["outputs"], expected["outputs"], "{datatype}");
    }
    for (datatype, value, part) in [
        (
            "INT16",
            256,
            "value 0 must be a whole number from 0 to 255, not 256",
        ),
        ("INT8", 128, "from 0 to 127"),
        ("FP64", 2, "must be from 0 to 1"),
        ("BOOL", 1, "inputs[0].datatype"),
        ("BYTES", 1, "inputs[0].datatype"),
    ] {
        let mut values = vec![0; 784];
        values[0] = value;
        let answer = infer(
            &service,
            &document(datatype, json!([1, 784]), json!(values)),
        )
        .await;
        assert_eq!(answer.status, 400, "{datatype}");
        let error = answer.json()["error"].to_string();
        assert!(error.contains(part), "{datatype}: {error}");
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_and_statistics_are_those_that_tritons_clients_read() {
    let Setup { service, .. } = setup("digits", &["--max-images", "64"]).await;
    for path in [
        "/v2/models/digits/config",
        "/v2/models/digits/versions/1/config",
    ] {
        let config = get(&service, path).await.json();
        assert_eq!(
            config,
            json!({
                "name": "digits",
                "platform": "digits_mlp",
                "backend": "digits",
                "version_policy": { "specific": { "versions": [1] } },
                "max_batch_size": 64,
                "input": [{ "name": "pixels", "data_type": "TYPE_UINT8", "dims": [28, 28] }],
                "output": [
                    { "name": "logits", "data_type": "TYPE_FP32", "dims": [10] },
                    { "name": "probabilities", "data_type": "TYPE_FP32", "dims": [10] },
                    { "name": "label", "data_type": "TYPE_STRING", "dims": [1], "reshape": { "shape": [] } },
                    { "name": "text", "data_type": "TYPE_STRING", "dims": [1], "reshape": { "shape": [] } },
                ],
            }),
        );
    }
    let good = document("UINT8", json!([2, 784]), json!(vec![7; 2 * 784]));
    assert_eq!(infer(&service, &good).await.status, 200);
    let too_many = document("FP32", json!([1, 784]), json!(vec![7; 784]));
    assert_eq!(infer(&service, &too_many).await.status, 400);
    for path in [
        "/v2/models/digits/stats",
        "/v2/models/digits/versions/1/stats",
        "/v2/models/stats",
    ] {
        let all = get(&service, path).await.json();
        let model = &all["model_stats"][0];
        assert_eq!(
            (&model["name"], &model["version"]),
            (&json!("digits"), &json!("1"))
        );
        assert_eq!(model["inference_count"], 2, "{path}");
        assert_eq!(model["execution_count"], 1, "{path}");
        assert!(model["last_inference"].as_u64() > Some(1_700_000_000_000));
        let count = |name: &str| &model["inference_stats"][name]["count"];
        assert_eq!((count("success"), count("fail")), (&json!(1), &json!(1)));
        assert_eq!(
            (count("compute_infer"), count("queue")),
            (&json!(1), &json!(0))
        );
        assert!(model["inference_stats"]["success"]["ns"].as_u64() > Some(0));
    }
    assert_eq!(get(&service, "/v2/models/other/stats").await.status, 404);
    assert_eq!(
        get(&service, "/v2/models/digits/versions/9/config")
            .await
            .status,
        404
    );
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_that_are_not_offered_say_so() {
    let Setup { service, .. } = setup("digits", &[]).await;
    for (method, path, part) in [
        ("POST", "/v2/repository/index", "the model repository"),
        (
            "POST",
            "/v2/repository/models/digits/load",
            "the model repository",
        ),
        ("GET", "/v2/systemsharedmemory/status", "shared memory"),
        (
            "POST",
            "/v2/cudasharedmemory/region/a/register",
            "shared memory",
        ),
        ("GET", "/v2/trace/setting", "trace settings"),
        ("GET", "/v2/models/digits/trace/setting", "trace settings"),
        ("POST", "/v2/models/digits/generate", "generation"),
        ("GET", "/v2/logging", "log settings"),
    ] {
        let answer = http(&service, method, path, "", b"{}").await;
        assert_eq!(answer.status, 501, "{path}");
        let error = answer.json()["error"].to_string();
        assert!(
            error.contains(part) && error.contains("does not offer"),
            "{error}"
        );
    }
    service.end().await;
}
