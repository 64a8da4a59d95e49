//! `digits predict`: classifies images and draws each with the probabilities of its labels.

mod drawing;
mod query;

use crate::{args::Predict, context::Context, image_source};
use digits_cli::{Error, error_report, render::Ink};
use digits_client::{Error as ClientError, InferenceClient, Service};
use digits_proto::{
    json,
    v1::{Expect, PredictRequest, PredictResponse, Prediction},
};
use query::{Query, Reader};
use serde_json::json;

/// Runs the command. A picture that cannot be read or is refused is named, and the others are
/// answered nevertheless.
pub async fn run(args: Predict, context: &Context) -> Result<(), Error> {
    let client = context.inference()?;
    let mut reader = Reader::new(args.storage.as_deref());
    let mut failed = Vec::new();
    let pictures = image_source::expand(&args.pictures);
    let total = pictures.len();
    for picture in pictures {
        let answered = match picture {
            Ok(name) => answer(&name, &args, &client, &mut reader, context)
                .await
                .map_err(|error| (name, error)),
            Err(failure) => Err(failure),
        };
        match answered {
            Ok(()) => {}
            Err((name, error)) if concerns_picture(&error) => {
                let error = named(&name, error);
                if context.json {
                    let reasons = error_report::lines(&error, &context.endpoints);
                    let error = reasons.join("; ");
                    context.document(&json!({ "source": name, "error": error }))?;
                }
                // The last line of a single picture is the command's own error.
                if total > 1 {
                    context.report(&error);
                }
                failed.push(error);
            }
            Err((_, error)) => return Err(error),
        }
    }
    let count = failed.len();
    match failed.into_iter().next() {
        None => Ok(()),
        Some(error) if total == 1 => Err(error),
        Some(first) => Err(Error::Inputs {
            failed: count,
            total,
            exit_code: first.exit_code(),
        }),
    }
}

async fn answer(
    name: &str,
    args: &Predict,
    client: &InferenceClient,
    reader: &mut Reader<'_>,
    context: &Context,
) -> Result<(), Error> {
    let query = reader.read(name).await?;
    let request = PredictRequest {
        model: args.model.clone(),
        images: Some(query.images.clone()),
        want_input: true,
        min_probability: args.min_probability,
        expect: Expect::Number.into(),
        ..Default::default()
    };
    let answer = client.predict(request).await?;
    let [prediction] = &answer.predictions[..] else {
        let reason = format!("{} predictions for one image", answer.predictions.len());
        return Err(Error::from(ClientError::Answer {
            service: Service::Inference,
            reason,
        }));
    };
    show(name, &answer, prediction, &query, args.top, context)
}

fn show(
    name: &str,
    answer: &PredictResponse,
    prediction: &Prediction,
    query: &Query,
    top: Option<usize>,
    context: &Context,
) -> Result<(), Error> {
    let document = || {
        let truth = query.truth.as_ref();
        json!({
            "source": name,
            "truth": truth.map(|(index, name)| json!({"index": index, "name": name})),
            "prediction": json::display(prediction),
            "served_by": answer.served_by.as_ref().map(json::display),
        })
    };
    let lines = || {
        let served = answer.served_by.clone().unwrap_or_default();
        let by = format!(
            "{} {}  {}",
            served.model, served.sequence, served.checkpoint_id
        );
        let mut lines = drawing::show(name, prediction, query, top, &context.style);
        lines.push(context.style.paint(Ink::Faint, &by));
        lines
    };
    context.show(document, lines)
}

/// Whether only this picture failed, so that others can be answered.
fn concerns_picture(error: &Error) -> bool {
    match error {
        Error::Input { .. } | Error::Usage(_) | Error::Negative(_) => true,
        Error::Client(error) => error_report::picture_refusal(error).is_some(),
        _ => false,
    }
}

/// The service's refusal of a picture with the picture's name, as errors of reading have it.
fn named(name: &str, error: Error) -> Error {
    let refusal = match &error {
        Error::Client(error) => error_report::picture_refusal(error),
        _ => None,
    };
    match refusal {
        Some(reason) => Error::Usage(format!("{name}: {reason}")),
        None => error,
    }
}
