//! What is accepted: once for a request, and as a whole or not at all.

use super::{accept, grid, sweeps};
use crate::support::{Server, assert_status, small_job};
use digits_proto::v1::{
    CancelSweepRequest, JobSpec, ListJobsRequest, ListSweepsRequest, PromotionPolicy,
    SuccessiveHalving, SweepSpec,
};
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_has_one_sweep_and_another_spec_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let mut client = sweeps(&server).await;
    let spec = grid(small_job(1), &[("epochs", &["1"])]);
    let first = accept(&mut client, "a", spec.clone()).await.unwrap();
    let again = accept(&mut client, "a", spec).await.unwrap();
    assert_eq!(again.sweep_id, first.sweep_id);
    let other = accept(&mut client, "a", grid(small_job(1), &[("epochs", &["2"])])).await;
    assert_status(&other.unwrap_err(), Code::AlreadyExists, "another spec");
    let second = accept(&mut client, "b", grid(small_job(1), &[("epochs", &["2"])])).await;
    let second = second.unwrap();
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListSweepsRequest {
            page_size: 1,
            page_token,
        };
        let page = client.list_sweeps(request).await.unwrap().into_inner();
        pages.extend(page.sweeps.iter().map(|sweep| sweep.sweep_id.clone()));
        assert!(page.sweeps.iter().all(|sweep| sweep.trials.is_empty()));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [second.sweep_id, first.sweep_id.clone()]);
    for id in [&first.sweep_id, "0190a0b0-0000-7000-8000-000000000001", "x"] {
        let request = CancelSweepRequest {
            sweep_id: id.to_owned(),
        };
        let code = client
            .cancel_sweep(request)
            .await
            .map_err(|status| status.code());
        match id {
            "x" => assert_eq!(code.unwrap_err(), Code::InvalidArgument),
            _ if *id == first.sweep_id => assert!(code.is_ok()),
            _ => assert_eq!(code.unwrap_err(), Code::NotFound),
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_trial_refuses_the_whole_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let mut client = sweeps(&server).await;
    let promoting = JobSpec {
        promotion: PromotionPolicy::Latest.into(),
        ..small_job(1)
    };
    let halved = SweepSpec {
        halving: Some(SuccessiveHalving::default()),
        ..grid(small_job(9), &[("learning_rate", &["0.1", "0.2"])])
    };
    let many = SweepSpec {
        seeds: 51,
        ..grid(
            small_job(1),
            &[(
                "batch_size",
                &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
            )],
        )
    };
    for (spec, field, part) in [
        (
            grid(small_job(1), &[("momentum", &["0.5", "2"])]),
            "spec.job.sgd.momentum",
            "not 2",
        ),
        (
            grid(small_job(1), &[("momentun", &["0.5"])]),
            "spec.parameters[0].field",
            "\"momentum\"",
        ),
        (
            grid(small_job(1), &[("epochs", &["1", "few"])]),
            "spec.parameters[0].values",
            "\"few\"",
        ),
        (
            grid(promoting, &[("epochs", &["1"])]),
            "spec.job.promotion",
            "MANUAL",
        ),
        (halved, "spec.halving", "at least 3 configurations"),
        (many, "spec.parameters", "would have 510 trials"),
    ] {
        let refused = accept(&mut client, "a", spec).await.expect_err(field);
        assert_status(&refused, Code::InvalidArgument, part);
        let details = refused.get_details_bad_request().expect("fields");
        assert_eq!(details.field_violations[0].field, field);
    }
    let listed = client
        .list_sweeps(ListSweepsRequest::default())
        .await
        .unwrap();
    assert!(listed.into_inner().sweeps.is_empty());
    let jobs = server
        .training()
        .await
        .list_jobs(ListJobsRequest::default())
        .await;
    assert!(jobs.unwrap().into_inner().jobs.is_empty());
    server.stop().await;
}
