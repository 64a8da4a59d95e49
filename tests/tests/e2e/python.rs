//! The Python package `digits-client` with both services.

use crate::support::{python_package, served::served_pair};
use anyhow::Result;

#[tokio::test]
async fn the_python_package_predicts_trains_and_survives_connections_that_end() -> Result<()> {
    let name = "the_python_package_predicts_trains_and_survives_connections_that_end";
    let pythons = python_package::pythons(name);
    if pythons.is_empty() {
        return Ok(());
    }
    let (sandbox, _) = served_pair(&["--max-connection-age", "1s"]).await?;
    let (trainer, inference) = (sandbox.trainer()?.grpc(), sandbox.inference()?.grpc());
    let variables = [
        ("DIGITS_TRAINER", trainer.as_str()),
        ("DIGITS_INFERENCE", inference.as_str()),
    ];
    for python in pythons {
        python_package::test(&python, &variables)?;
    }
    sandbox.stop().await
}
