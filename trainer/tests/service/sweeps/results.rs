//! Grids, seeds and halving: which trials there are, which is the best, also over restarts.

use super::{accept, correct, end, grid, members, states, sweeps, when};
use crate::support::{Server, get, small_job, submit, watch_to_end};
use digits_proto::v1::{
    GetCheckpointRequest, Job, JobSpec, ListServingRequest, PromoteRequest, SuccessiveHalving,
    SweepSpec, SweepState, Trial, TrialState,
};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_trains_every_combination_with_every_seed_and_its_best_is_promoted_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let mut client = sweeps(&server).await;
    let job = JobSpec {
        name: "rates".to_owned(),
        ..small_job(1)
    };
    let spec = SweepSpec {
        seeds: 2,
        ..grid(
            job,
            &[
                ("learning_rate", &["0.001", "0.1"]),
                ("hidden", &["8", "16-8"]),
            ],
        )
    };
    let accepted = accept(&mut client, "a", spec.clone()).await.unwrap();
    assert_eq!(
        (accepted.state(), accepted.total_trials),
        (SweepState::Running, 8)
    );
    assert_eq!(accepted.spec, Some(spec));
    let sweep = end(&mut client, &accepted.sweep_id).await;
    assert_eq!(sweep.state(), SweepState::Succeeded);
    assert_eq!(states(&sweep), [TrialState::Succeeded; 8], "{sweep:?}");
    assert_eq!((sweep.ended_trials, sweep.model.as_str()), (8, "digits"));
    let values: Vec<String> = sweep.trials.iter().map(|it| it.values.join(" ")).collect();
    assert_eq!(
        values[..4],
        ["0.001 8", "0.001 8", "0.001 16-8", "0.001 16-8"]
    );

    let best = sweep.best.clone().expect("a best trial");
    assert_eq!(
        correct(&best),
        sweep.trials.iter().map(correct).max().unwrap()
    );
    let mut training = server.training().await;
    let jobs = members(&mut training, &sweep.sweep_id).await;
    assert_eq!(jobs.len(), 8);
    let ids: BTreeSet<&str> = jobs.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!(
        ids,
        sweep.trials.iter().map(|it| it.job_id.as_str()).collect()
    );
    let job = get(&mut training, &best.job_id).await;
    let trained = job.resolved.expect("a spec");
    assert_eq!(trained.name, format!("rates/{}", best.number));
    assert_eq!(trained.seed, Some(best.seed));
    let splits: BTreeSet<Option<u64>> = jobs
        .iter()
        .filter_map(|job| job.resolved.clone()?.data)
        .map(|data| data.split_seed)
        .collect();
    assert_eq!(
        splits,
        [Some(sweep.trials[0].seed)].into(),
        "one validation set"
    );

    best_is_promoted_on_demand(&server, &sweep.model, &best).await;
    server.stop().await;
}

/// Nothing is served yet; then the best trial's checkpoint is.
async fn best_is_promoted_on_demand(server: &Server, model: &str, best: &Trial) {
    let mut checkpoints = server.checkpoints().await;
    let request = GetCheckpointRequest {
        checkpoint_id: best.checkpoint_id.clone(),
    };
    let checkpoint = checkpoints
        .get_checkpoint(request)
        .await
        .expect("found")
        .into_inner();
    assert_eq!(
        checkpoint.checkpoint.and_then(|it| it.validation),
        best.validation
    );
    let request = ListServingRequest {
        model: "digits".to_owned(),
        ..Default::default()
    };
    let served = checkpoints
        .list_serving(request)
        .await
        .expect("records")
        .into_inner();
    assert!(
        served.records.is_empty(),
        "trials do not promote themselves"
    );
    let request = PromoteRequest {
        model: model.to_owned(),
        checkpoint_id: best.checkpoint_id.clone(),
        ..Default::default()
    };
    checkpoints.promote(request).await.expect("promoted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_without_other_seeds_is_the_same_job_as_without_a_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let (mut client, mut training) = (sweeps(&server).await, server.training().await);
    let accepted = accept(
        &mut client,
        "a",
        grid(small_job(1), &[("batch_size", &["10", "20"])]),
    )
    .await;
    let sweep = end(&mut client, &accepted.unwrap().sweep_id).await;
    let alone = submit(&mut training, "alone", small_job(1)).await.unwrap();
    watch_to_end(&mut training, &alone.job_id, 0).await;
    let alone = get(&mut training, &alone.job_id).await;
    let trial = get(&mut training, &sweep.trials[1].job_id).await;
    assert_eq!(trial.test, alone.test);
    let loss = |job: &Job| {
        job.progress
            .and_then(|it| it.latest)
            .map(|row| row.train_loss)
    };
    assert_eq!(loss(&trial), loss(&alone));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn halving_trains_the_best_configurations_for_more_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let mut client = sweeps(&server).await;
    let spec = SweepSpec {
        halving: Some(SuccessiveHalving {
            factor: 2,
            min_epochs: 0,
        }),
        ..grid(
            small_job(4),
            &[("learning_rate", &["0.00001", "0.1", "0.00002", "0.05"])],
        )
    };
    let accepted = accept(&mut client, "a", spec).await.unwrap();
    assert_eq!((accepted.trials.len(), accepted.total_trials), (4, 7));
    let sweep = end(&mut client, &accepted.sweep_id).await;
    let found: Vec<_> = sweep.trials.iter().map(|it| (it.rung, it.epochs)).collect();
    assert_eq!(
        found,
        [(1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 2), (3, 4)]
    );
    let of_rung = |rung: u32| sweep.trials.iter().filter(move |it| it.rung == rung);
    for rung in 1..3 {
        let mut ranked: Vec<&Trial> = of_rung(rung).collect();
        ranked.sort_by(|left, right| {
            let (left, right) = (left.validation.unwrap(), right.validation.unwrap());
            right
                .correct
                .cmp(&left.correct)
                .then(left.loss.total_cmp(&right.loss))
        });
        let next: Vec<u32> = of_rung(rung + 1).map(|it| it.configuration).collect();
        let best: Vec<u32> = ranked
            .iter()
            .take(next.len())
            .map(|it| it.configuration)
            .collect();
        assert_eq!(next, best, "rung {rung}: {sweep:?}");
    }
    assert_eq!(sweep.best.map(|it| it.number), Some(7), "of the last rung");
    let last = get(&mut server.training().await, &sweep.trials[6].job_id).await;
    assert_eq!(last.progress.map(|it| it.epochs), Some(4));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_sweep_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--workers", "1"]).await;
    let spec = SweepSpec {
        halving: Some(SuccessiveHalving {
            factor: 2,
            min_epochs: 0,
        }),
        seeds: 2,
        ..grid(small_job(2), &[("learning_rate", &["0.1", "0.01"])])
    };
    let id = accept(&mut sweeps(&server).await, "a", spec)
        .await
        .unwrap()
        .sweep_id;
    for ended in 1..6 {
        let mut client = sweeps(&server).await;
        when(&mut client, &id, "trials end", |sweep| {
            sweep.ended_trials >= ended
        })
        .await;
        drop(client);
        server.stop().await;
        server = Server::start(folder.path(), &["--workers", "1"]).await;
    }
    let sweep = end(&mut sweeps(&server).await, &id).await;
    assert_eq!(sweep.state(), SweepState::Succeeded);
    assert_eq!(states(&sweep), [TrialState::Succeeded; 6]);
    let jobs = members(&mut server.training().await, &id).await;
    assert_eq!(jobs.len(), 6, "none lost, none twice");
    server.stop().await;
}
