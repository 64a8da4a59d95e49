//! Invalid requests over gRPC: each is refused with its status code and a message that names the
//! field.

use crate::support::{Server, assert_status, small_job, submit};
use digits_proto::v1::{
    AdamW, ArchitectureSpec, DataSpec, GetCheckpointRequest, GetHistoryRequest, GetJobRequest,
    HiddenLayers, JobSpec, ListJobsRequest, ListServingRequest, PromoteRequest, Sgd,
    WatchJobRequest, job_spec::Optimizer,
};
use tonic::Code;
use tonic_types::StatusExt as _;

fn rate(learning_rate: f64) -> JobSpec {
    JobSpec {
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(learning_rate),
            ..Sgd::default()
        })),
        ..small_job(1)
    }
}

fn hidden(width: u32) -> JobSpec {
    JobSpec {
        architecture: Some(ArchitectureSpec {
            hidden: Some(HiddenLayers {
                widths: vec![width],
            }),
            ..Default::default()
        }),
        ..small_job(1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_are_refused_by_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let cases = [
        (rate(f64::NAN), "spec.sgd.learning_rate"),
        (rate(0.0), "spec.sgd.learning_rate"),
        (rate(1e9), "spec.sgd.learning_rate"),
        (small_job(0), "spec.epochs"),
        (hidden(0), "spec.architecture.hidden.widths[0]"),
        (hidden(1_000_000_000), "spec.architecture.hidden.widths[0]"),
        (
            JobSpec {
                preset: "nope".to_owned(),
                ..small_job(1)
            },
            "spec.preset",
        ),
        (
            JobSpec {
                data: Some(DataSpec {
                    dataset: Some("../../etc/passwd".to_owned()),
                    ..DataSpec::default()
                }),
                ..JobSpec::default()
            },
            "spec.data.dataset",
        ),
        (
            JobSpec {
                device: Some("tpu".to_owned()),
                ..small_job(1)
            },
            "spec.device",
        ),
        (
            JobSpec {
                batch_size: Some(541),
                ..small_job(1)
            },
            "spec.batch_size",
        ),
        (
            JobSpec {
                optimizer: Some(Optimizer::Adamw(AdamW {
                    beta2: Some(1.0),
                    ..AdamW::default()
                })),
                ..small_job(1)
            },
            "spec.adamw.beta2",
        ),
    ];
    for (spec, field) in cases {
        let status = submit(&mut client, "x", spec).await.expect_err(field);
        assert_status(&status, Code::InvalidArgument, field);
        let details = status.get_details_bad_request().expect("details");
        assert_eq!(details.field_violations.len(), 1, "{details:?}");
        assert_eq!(details.field_violations[0].field, field);
    }
    let both = JobSpec {
        epochs: Some(0),
        ..rate(f64::NAN)
    };
    let status = submit(&mut client, "x", both).await.expect_err("both");
    assert_status(&status, Code::InvalidArgument, "spec.epochs");
    assert_status(&status, Code::InvalidArgument, "spec.sgd.learning_rate");
    for request_id in ["", "é", &"x".repeat(129), "a\nb"] {
        let status = submit(&mut client, request_id, small_job(1))
            .await
            .expect_err("refused");
        assert_status(&status, Code::InvalidArgument, "request_id");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_are_refused_by_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let unknown = "01890000-0000-7000-8000-000000000000".to_owned();
    let job = |job_id: &str| GetJobRequest {
        job_id: job_id.to_owned(),
    };
    let status = client.get_job(job(&unknown)).await.expect_err("unknown");
    assert_status(&status, Code::NotFound, &unknown);
    let resource = status.get_details_resource_info().expect("details");
    assert_eq!(resource.resource_name, unknown);
    let status = client.get_job(job("7")).await.expect_err("no id");
    assert_status(&status, Code::InvalidArgument, "job_id");
    let status = client
        .watch_job(WatchJobRequest {
            job_id: unknown.clone(),
            after_sequence: 0,
        })
        .await
        .expect_err("unknown");
    assert_status(&status, Code::NotFound, &unknown);
    let status = client
        .get_history(GetHistoryRequest {
            job_id: unknown.clone(),
            max_rows: 1,
        })
        .await
        .expect_err("too few");
    assert_status(&status, Code::InvalidArgument, "max_rows");
    for request in [
        ListJobsRequest {
            page_token: "x".to_owned(),
            ..ListJobsRequest::default()
        },
        ListJobsRequest {
            page_token: "serving.1".to_owned(),
            ..ListJobsRequest::default()
        },
    ] {
        let status = client.list_jobs(request).await.expect_err("no token");
        assert_status(&status, Code::InvalidArgument, "page_token");
    }

    let mut client = server.checkpoints().await;
    let get = |checkpoint_id: &str| GetCheckpointRequest {
        checkpoint_id: checkpoint_id.to_owned(),
    };
    let status = client
        .get_checkpoint(get(&unknown))
        .await
        .expect_err("unknown");
    assert_status(&status, Code::NotFound, &unknown);
    let status = client.get_checkpoint(get("../x")).await.expect_err("no id");
    assert_status(&status, Code::InvalidArgument, "checkpoint_id");
    let status = client
        .list_serving(ListServingRequest {
            model: "../x".to_owned(),
            ..ListServingRequest::default()
        })
        .await
        .expect_err("no model");
    assert_status(&status, Code::InvalidArgument, "model");
    let status = client
        .promote(PromoteRequest {
            model: "digits".to_owned(),
            checkpoint_id: unknown,
            share: Some(0.5),
            ..PromoteRequest::default()
        })
        .await
        .expect_err("a share of a primary");
    assert_status(&status, Code::InvalidArgument, "share");
    server.stop().await;
}
