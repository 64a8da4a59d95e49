//! What an import found out about a network: how good it is, under which settings it is best, and
//! whether it is worse than what serves.

use crate::format;
use digits_dataset::synthetic;
use digits_proto::v1::{
    BatchNormPlace, Evaluation, ImportCheckpointResponse, ImportMeasurement, ImportSettings,
};

/// Loss of accuracy against what serves from which on `--promote` is refused.
const MAX_LOSS: f64 = 0.02;
/// An accuracy that no usual setting exceeds although the network was trained on such images.
const POOR: f64 = 0.5;

/// The notes and the figures.
#[must_use]
pub fn lines(imported: &ImportCheckpointResponse) -> Vec<String> {
    let mut lines: Vec<String> = imported
        .notes
        .iter()
        .map(|it| format!("note: {it}"))
        .collect();
    let Some((measurement, given)) = measured(imported) else {
        lines.push(not_measured(imported));
        return lines;
    };
    lines.push(format!(
        "measured on {}: accuracy {}, loss {:.4} ({} test images)",
        images(measurement),
        percent(given.accuracy),
        given.loss,
        format::grouped(given.images)
    ));
    if measurement.dataset == synthetic::NAME {
        lines.push(
            "the program draws these digits, so handwriting may give other figures: --dataset names other images"
                .to_owned(),
        );
    }
    match (&measurement.best, &measurement.best_evaluation) {
        (Some(best), Some(evaluation)) if measurement.best_is_clearly_better => {
            lines.push(format!(
                "best of the usual scalings and activations: accuracy {}, loss {:.4} with {}",
                percent(evaluation.accuracy),
                evaluation.loss,
                flags(best)
            ));
        }
        // ReLU and GELU, for instance, differ by less than chance.
        _ => lines.push("no other usual scaling or activation is clearly better".to_owned()),
    }
    if let Some(served) = &measurement.served {
        lines.push(format!(
            "serving now: checkpoint {}, accuracy {} on the same images",
            measurement.served_checkpoint_id,
            percent(served.accuracy)
        ));
    }
    lines
}

/// What is probably wrong with the settings.
#[must_use]
pub fn warnings(imported: &ImportCheckpointResponse) -> Vec<String> {
    let Some((measurement, given)) = measured(imported) else {
        return Vec::new();
    };
    let Some(best) = &measurement.best_evaluation else {
        return Vec::new();
    };
    if measurement.best_is_clearly_better {
        let flags = measurement.best.as_ref().map(flags).unwrap_or_default();
        return vec![format!(
            "the network was probably trained with another scaling or activation: with {flags} its accuracy is {} \
             instead of {}; import it again with these flags",
            percent(best.accuracy),
            percent(given.accuracy)
        )];
    }
    if best.accuracy < POOR {
        return vec![format!(
            "no usual scaling and activation gives more than {} on {}: its pixels may have been inverted or transposed, \
             its classes in another order, or it was trained on other images (name them with --dataset)",
            percent(best.accuracy),
            images(measurement)
        )];
    }
    Vec::new()
}

/// Both figures, if the network is so much worse than what serves that it is not promoted.
#[must_use]
pub fn loss(imported: &ImportCheckpointResponse) -> Option<String> {
    let (measurement, given) = measured(imported)?;
    let served = measurement.served.as_ref()?;
    (served.accuracy - given.accuracy > MAX_LOSS).then(|| {
        format!(
            "its accuracy on {} is {}, and that of checkpoint {}, which serves, is {}, more than {:.0} points better",
            images(measurement),
            percent(given.accuracy),
            measurement.served_checkpoint_id,
            percent(served.accuracy),
            MAX_LOSS * 100.0
        )
    })
}

fn measured(imported: &ImportCheckpointResponse) -> Option<(&ImportMeasurement, &Evaluation)> {
    let measurement = imported.measurement.as_ref()?;
    Some((measurement, measurement.evaluation.as_ref()?))
}

/// The images that the network was measured on.
fn images(measurement: &ImportMeasurement) -> &str {
    match measurement.dataset.as_str() {
        synthetic::NAME => "synthetic digits",
        other => other,
    }
}

fn not_measured(imported: &ImportCheckpointResponse) -> String {
    let checkpoint = imported.checkpoint.clone().unwrap_or_default();
    let input = checkpoint.input.unwrap_or_default();
    format!(
        "not measured: the trainer has no labelled images of {}x{} pixels with {} classes; \
         `digits dataset push` gives it some",
        input.height,
        input.width,
        checkpoint.label_names.len()
    )
}

/// The flags of `digits import` that give these settings.
fn flags(settings: &ImportSettings) -> String {
    let input = settings.input.unwrap_or_default();
    let name = format::word(settings.activation().as_str_name(), "ACTIVATION_").replace('_', "-");
    let mut flags = format!(
        "--mean {} --std {} --activation {name}",
        input.mean, input.std
    );
    if input.scale != 255.0 {
        flags = format!("--scale {} {flags}", input.scale);
    }
    if let Some(slope) = settings.negative_slope {
        flags = format!("{flags} --negative-slope {slope}");
    }
    match settings.batch_norm() {
        BatchNormPlace::Unspecified => flags,
        BatchNormPlace::BeforeActivation => format!("{flags} --batch-norm before"),
        BatchNormPlace::AfterActivation => format!("{flags} --batch-norm after"),
    }
}

/// With two digits: imports differ in less than one.
fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::{Activation, InputSpec};

    fn evaluation(accuracy: f64) -> Option<Evaluation> {
        Some(Evaluation {
            images: 10_000,
            accuracy,
            loss: 0.25,
            ..Evaluation::default()
        })
    }

    fn imported(given: f64, best: f64, served: Option<f64>) -> ImportCheckpointResponse {
        let input = InputSpec {
            scale: 255.0,
            mean: 0.1307,
            std: 0.3081,
            ..InputSpec::default()
        };
        ImportCheckpointResponse {
            measurement: Some(ImportMeasurement {
                dataset: "mnist".to_owned(),
                evaluation: evaluation(given),
                best: Some(ImportSettings {
                    input: Some(input),
                    activation: Activation::LeakyRelu.into(),
                    negative_slope: Some(0.01),
                    ..ImportSettings::default()
                }),
                best_evaluation: evaluation(best),
                best_is_clearly_better: best > given + 0.01,
                served_checkpoint_id: "a".to_owned(),
                served: served.and_then(evaluation),
                ..ImportMeasurement::default()
            }),
            ..ImportCheckpointResponse::default()
        }
    }

    #[test]
    fn wrong_settings_are_named_with_both_figures_and_the_flags() {
        let imported = imported(0.7895, 0.9384, Some(0.987));
        let lines = lines(&imported);
        assert_eq!(
            lines[0],
            "measured on mnist: accuracy 78.95 %, loss 0.2500 (10,000 test images)"
        );
        let flags = "--mean 0.1307 --std 0.3081 --activation leaky-relu --negative-slope 0.01";
        assert!(lines[1].ends_with(flags), "{lines:?}");
        let warnings = warnings(&imported).join("");
        assert!(
            warnings.contains("93.84 % instead of 78.95 %"),
            "{warnings}"
        );
        assert!(warnings.contains(flags), "{warnings}");
    }

    #[test]
    fn figures_on_synthetic_digits_are_named_as_such() {
        let mut imported = imported(0.4, 0.41, Some(0.99));
        if let Some(measurement) = &mut imported.measurement {
            measurement.dataset = "synthetic".to_owned();
        }
        let lines = lines(&imported);
        assert!(lines[0].starts_with("measured on synthetic digits: accuracy 40.00 %"));
        assert!(lines[1].contains("--dataset"), "{lines:?}");
        let loss = loss(&imported).expect("a loss");
        assert!(
            loss.starts_with("its accuracy on synthetic digits is"),
            "{loss}"
        );
        let warnings = warnings(&imported).join("");
        assert!(warnings.contains("on synthetic digits:"), "{warnings}");
    }

    #[test]
    fn more_than_two_points_below_what_serves_is_a_loss() {
        let found = loss(&imported(0.7895, 0.9384, Some(0.987))).expect("a loss");
        for figure in ["78.95 %", "98.70 %", "checkpoint a"] {
            assert!(found.contains(figure), "{found}");
        }
        assert_eq!(loss(&imported(0.97, 0.97, Some(0.985))), None);
        assert_eq!(loss(&imported(0.5, 0.5, None)), None);
        assert_eq!(loss(&ImportCheckpointResponse::default()), None);
    }

    #[test]
    fn good_settings_bring_no_warning_and_a_poor_network_does() {
        assert_eq!(warnings(&imported(0.98, 0.981, None)), [""; 0]);
        let poor = warnings(&imported(0.1, 0.105, None)).join("");
        assert!(poor.contains("more than 10.50 %"), "{poor}");
        let lines = lines(&ImportCheckpointResponse::default());
        assert!(lines[0].starts_with("not measured"), "{lines:?}");
    }
}
