//! Classifies one image with a running inference service: `client URL FILE`, where the file holds
//! 784 grey bytes. The README shows its middle.

use anyhow::Context as _;
use digits_client::{InferenceClient, Options};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("client URL FILE")?;
    let image = std::fs::read(arguments.next().context("client URL FILE")?)?;

    let client = InferenceClient::new(&url, &Options::default())?;
    let answer = client.predict_pixels(image).await?;
    let sequence = answer.served_by.map_or(0, |served| served.sequence);
    println!("{} by version {sequence}", answer.predictions[0].label);
    Ok(())
}
