//! Trains and serves a network with each activation: libtorch and the inference engine give the
//! same answers.

use anyhow::{Context as _, Result};
use digits_cli::evaluate;
use digits_dataset::synthetic;
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{
    Activation, AdamW, ArchitectureSpec, GetCheckpointRequest, GetModelRequest, HiddenLayers,
    JobSpec, job_spec::Optimizer,
};
use digits_testing::{patience, until};

/// The activation between hidden layers of different widths, so that a mistake in one grows in the
/// next, and a temperature of its own.
fn spec(activation: Activation) -> JobSpec {
    JobSpec {
        architecture: Some(ArchitectureSpec {
            hidden: Some(HiddenLayers {
                widths: vec![24, 17],
            }),
            activation: activation.into(),
            negative_slope: (activation == Activation::LeakyRelu).then_some(0.2),
        }),
        optimizer: Some(Optimizer::Adamw(AdamW {
            learning_rate: Some(5e-3),
            ..AdamW::default()
        })),
        calibrate: Some(true),
        ..specs::synthetic(3)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_activation_is_served_as_it_was_trained() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    let mut checkpoints = sandbox.checkpoints().await?;
    let mut client = sandbox.predict().await?;
    let (_, inference) = sandbox.clients()?;
    // The images of the jobs.
    let data = synthetic::generate(&synthetic::Options {
        train: 1,
        test: 500,
        seed: 1,
    });
    for activation in [
        Activation::Relu,
        Activation::ScaledTanh,
        Activation::Gelu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::LeakyRelu,
    ] {
        let job = jobs::run(&mut training, spec(activation)).await?;
        let id = job.checkpoint_ids.last().context("a checkpoint")?;
        // It is served only after its exam has passed on every path of the engine.
        until("the last checkpoint", async || {
            let request = GetModelRequest::default();
            let model = client.get_model(request).await?.into_inner();
            let refusal = &model.last_refusal;
            anyhow::ensure!(refusal.is_none(), "{activation:?}: {refusal:?}");
            let served = model.served.first();
            let newest = served.and_then(|served| served.checkpoint.as_ref());
            Ok(newest
                .is_some_and(|checkpoint| &checkpoint.checkpoint_id == id)
                .then_some(()))
        })
        .await?;
        let request = GetCheckpointRequest {
            checkpoint_id: id.clone(),
        };
        let answer = checkpoints.get_checkpoint(request).await?.into_inner();
        let checkpoint = answer.checkpoint.context("a checkpoint")?;
        let architecture = checkpoint.architecture.context("an architecture")?;
        assert_eq!(architecture.activation(), activation);
        let leaky = activation == Activation::LeakyRelu;
        assert_eq!(architecture.negative_slope, leaky.then_some(0.2));

        let options = evaluate::Options::default();
        let through = evaluate::evaluate(&inference, &data.test, &options, |_| {}).await?;
        let test = checkpoint.test.context("a test")?;
        assert!(test.accuracy > 0.6, "{activation:?}: {}", test.accuracy);
        assert_eq!(through.correct, test.correct, "{activation:?}");
        let close = |one: f64, other: f64| (one - other).abs() < 1e-5 * (1.0 + other);
        assert!(close(through.loss, test.loss), "{activation:?}: {test:?}");
        // The client's probabilities use the fitted temperature.
        let fit = checkpoint.calibration.context("a fit")?;
        assert_ne!(checkpoint.temperature, 1.0);
        assert!(fit.loss <= fit.loss_before, "{fit:?}");
        let calibrated = fit.test_loss.context("the loss of the test")?;
        let served = through.loss_served.context("probabilities")?;
        assert!(
            close(served, calibrated),
            "{activation:?}: {served} for {calibrated}"
        );
    }
    sandbox.stop().await
}
