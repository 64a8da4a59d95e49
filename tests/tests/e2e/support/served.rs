//! Starts both services and trains what the inference service serves.

use anyhow::Result;
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::GetModelRequest;
use digits_testing::{patience, until};

/// Both services, started with `flags`, and the id of the job whose checkpoint is served.
pub async fn served_pair(flags: &[&str]) -> Result<(Sandbox, String)> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(flags).await?;
    sandbox.start_inference(flags).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(2)).await?;
    let mut client = sandbox.predict().await?;
    until("a served checkpoint", async || {
        let model = client.get_model(GetModelRequest::default()).await;
        Ok(model
            .ok()
            .filter(|model| !model.get_ref().served.is_empty()))
    })
    .await?;
    Ok((sandbox, job.job_id))
}
