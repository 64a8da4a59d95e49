//! `POST /v1/predict` with a picture as its body: `Predict` for curl.

use digits_proto::v1::{PredictResponse, Prediction};
use digits_server::connect::Upload;
use prost::Message as _;

/// The path, whose query has the other fields of a `PredictRequest`.
pub const UPLOAD: Upload = Upload {
    path: "/v1/predict",
    method: "/digits.v1.InferenceService/Predict",
    field: "pictures.encoded",
    text,
};

/// A line for the picture: what is written, the label, or a question mark.
fn text(response: &[u8]) -> String {
    let response = PredictResponse::decode(response).unwrap_or_default();
    let lines = response.predictions.iter().map(line);
    lines.collect()
}

fn line(prediction: &Prediction) -> String {
    let found = [&prediction.text, &prediction.label];
    let found = found.into_iter().find(|text| !text.is_empty());
    format!("{}\n", found.map_or("?", String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_was_read() {
        let prediction = |label: &str, text: &str| Prediction {
            label: label.to_owned(),
            text: text.to_owned(),
            ..Prediction::default()
        };
        let response = PredictResponse {
            predictions: vec![
                prediction("7", ""),
                prediction("", "72\n10"),
                prediction("", ""),
            ],
            served_by: None,
        };
        assert_eq!(text(&response.encode_to_vec()), "7\n72\n10\n?\n");
    }
}
