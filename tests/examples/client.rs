//! Asks a running inference service for the digit of one image, as an application would: `client URL FILE`, where the file holds
//! 784 grey bytes. The README shows its middle.

use anyhow::Context as _;
use digits_proto::v1::{
    PredictRequest, inference_service_client::InferenceServiceClient, predict_request::Images,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("client URL FILE")?;
    let image = std::fs::read(arguments.next().context("client URL FILE")?)?;

    let mut client = InferenceServiceClient::connect(url).await?;
    let request = PredictRequest {
        images: Some(Images::Pixels(image.into())),
        ..PredictRequest::default()
    };
    let answer = client.predict(request).await?.into_inner();
    let sequence = answer.served_by.map_or(0, |served| served.sequence);
    println!("{} by version {sequence}", answer.predictions[0].label);
    Ok(())
}
