//! Pictures of many requests at a time, which are bounded by their headers.

use crate::support::{Setup, pictures, setup};
use futures::future::join_all;
use image::{GrayImage, ImageFormat, Luma};
use tonic::Code;

/// A blank picture of 12 megapixels.
fn large() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    GrayImage::from_pixel(4_000, 3_000, Luma([200]))
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_pictures_at_once_are_decoded_within_the_bounds_or_refused() {
    // For memory they are decoded one at a time; four requests of one client find room.
    let bounds = [
        "--max-queued-picture-pixels=100000000",
        "--max-picture-memory=20000000",
    ];
    let Setup {
        service, client, ..
    } = setup("crowded", &bounds).await;
    let large = large();
    let predict = |count: usize| {
        let mut client = client.clone();
        let request = pictures("crowded", vec![large.clone(); count]);
        async move { client.predict(request).await }
    };
    let outcomes = join_all((0..40).map(|_| predict(1))).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(
        (1..40).contains(&refused.len()),
        "{} refused",
        refused.len()
    );
    for status in refused.iter() {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains("pictures wait"), "{status:?}");
    }
    let least = refused.len() as f64;
    let series = "digits_inference_pictures_refused_total";
    service.until_series(series, |count| count >= least).await;
    for gauge in ["queued_bytes", "queued_pixels", "memory_bytes"] {
        let series = format!("digits_inference_pictures_{gauge}");
        service.until_series(&series, |value| value == 0.0).await;
    }
    // Alone, a request of any size is admitted.
    let answer = predict(10).await.unwrap().into_inner();
    assert_eq!(answer.predictions.len(), 10);
    service.end().await;
}
