//! The inference service's page in a browser, with a network trained on MNIST.

use crate::support::{browser::Script, damage, http::request, mnist};
use anyhow::{Context as _, Result};
use digits_e2e::{jobs, sandbox::Sandbox};
use digits_proto::v1::{GetModelRequest, JobSpec, ListServingRequest, PromoteRequest};
use digits_testing::{patience, until};

/// Trains, and waits until the newest serving record is served; returns its sequence.
async fn serve(sandbox: &Sandbox, spec: JobSpec) -> Result<u64> {
    let mut training = sandbox.training().await?;
    jobs::run(&mut training, spec).await?;
    newest_served(sandbox).await
}

/// Appends a record that names a damaged copy of the served checkpoint; returns its sequence.
fn publish_damaged(sandbox: &Sandbox, serving: u64) -> Result<u64> {
    damage::republish(sandbox, |files| {
        let middle = files.model.len() / 2;
        files.model[middle] ^= 1;
    })?;
    Ok(serving + 1)
}

/// Promotes the served checkpoint again after the damaged one; returns its sequence once it is
/// served.
async fn promote_served(sandbox: &Sandbox, head: u64) -> Result<u64> {
    let mut client = sandbox.predict().await?;
    let model = client.get_model(GetModelRequest::default()).await?;
    let served = model.into_inner().served.pop();
    let checkpoint = served.and_then(|served| served.checkpoint);
    let request = PromoteRequest {
        model: "digits".to_owned(),
        checkpoint_id: checkpoint.context("a served checkpoint")?.checkpoint_id,
        expected_sequence: head,
        ..PromoteRequest::default()
    };
    sandbox.checkpoints().await?.promote(request).await?;
    newest_served(sandbox).await
}

async fn newest_served(sandbox: &Sandbox) -> Result<u64> {
    let mut checkpoints = sandbox.checkpoints().await?;
    let records = checkpoints
        .list_serving(ListServingRequest {
            model: "digits".to_owned(),
            ..Default::default()
        })
        .await?;
    let newest = records
        .into_inner()
        .records
        .first()
        .context("a record")?
        .sequence;
    let mut client = sandbox.predict().await?;
    until("a served checkpoint", async || {
        let model = client.get_model(GetModelRequest::default()).await;
        let served = model.ok().and_then(|model| model.into_inner().served.pop());
        Ok(served.filter(|served| served.sequence == newest))
    })
    .await?;
    Ok(newest)
}

#[tokio::test]
async fn a_seven_is_classified_while_it_is_drawn_and_a_hot_load_is_shown() -> Result<()> {
    let name = "a_seven_is_classified_while_it_is_drawn_and_a_hot_load_is_shown";
    if mnist::for_test(name).is_none() {
        return Ok(());
    }
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let spec = JobSpec {
        preset: "fast".to_owned(),
        epochs: Some(2),
        ..JobSpec::default()
    };
    let first = serve(&sandbox, spec.clone()).await?;
    let address = sandbox.inference()?.grpc();
    let arguments = [address.as_str(), &first.to_string()];
    let Some(mut script) = Script::start("page.mjs", &arguments, sandbox.dir(), name)? else {
        return sandbox.stop().await;
    };
    script.wants("a hot load")?;
    let again = JobSpec {
        seed: Some(7),
        generator_skip: Some(0),
        epochs: Some(1),
        ..spec
    };
    let second = serve(&sandbox, again).await?;
    assert!(second > first);
    script.done(&second.to_string())?;
    script.wants("a damaged version")?;
    let damaged = publish_damaged(&sandbox, second)?;
    script.done(&damaged.to_string())?;
    script.wants("a good one again")?;
    let good = promote_served(&sandbox, damaged).await?;
    script.done(&good.to_string())?;
    script.end()?;
    sandbox.stop().await
}

#[tokio::test]
async fn pictures_are_read_drawn_over_and_corrected() -> Result<()> {
    let name = "pictures_are_read_drawn_over_and_corrected";
    if mnist::for_test(name).is_none() {
        return Ok(());
    }
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    // Small limits, so that small pictures exceed them.
    let limits = [
        "--max-message-bytes=1048576",
        "--max-picture-pixels=2000000",
    ];
    sandbox.start_inference(&limits).await?;
    let spec = JobSpec {
        preset: "fast".to_owned(),
        epochs: Some(2),
        ..JobSpec::default()
    };
    serve(&sandbox, spec).await?;
    let address = sandbox.inference()?.grpc();
    let script = Script::start("pictures.mjs", &[address.as_str()], sandbox.dir(), name)?;
    if let Some(script) = script {
        script.end()?;
    }
    sandbox.stop().await
}

#[tokio::test]
async fn page_rest_and_grpc_share_the_port() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_inference(&[]).await?;
    let address = sandbox.inference()?.grpc().replace("http://", "");
    let (head, body) = request(&address, "GET /")?;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
    // Every file that the page names exists on the service itself.
    let named: Vec<&str> = body
        .split(['"', '\''])
        .filter(|word| word.starts_with("/page/"))
        .collect();
    assert!(named.len() >= 3, "{named:?}");
    for path in named
        .into_iter()
        .chain(["/page/models.json", "/page/limits.json", "/v2"])
    {
        let (head, body) = request(&address, &format!("GET {path}"))?;
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        assert!(!body.contains("https://"), "{path}");
    }
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
    let known = format!("GET /\r\nIf-None-Match: {}\r\n", tag.context("an ETag")?);
    assert!(request(&address, &known)?.0.starts_with("http/1.1 304"));
    assert!(request(&address, "POST /")?.0.starts_with("http/1.1 405"));
    assert!(
        request(&address, "GET /absent")?
            .0
            .starts_with("http/1.1 404")
    );
    let mut client = sandbox.predict().await?;
    client.get_model(GetModelRequest::default()).await?;
    sandbox.stop().await
}
