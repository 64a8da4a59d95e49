//! Draws a classified picture with the probabilities of its labels.

use super::query::Query;
use digits_cli::render::{Bar, Ink, Style, bars, digit, side_by_side};
use digits_figure::Picture;
use digits_proto::v1::{Prediction, Verdict};

/// Widest picture in the terminal, in pixels; MNIST's 28 fit.
const WIDEST: usize = 64;

/// A picture's name and prediction, above its drawing and the probabilities of its labels.
pub fn show(
    name: &str,
    prediction: &Prediction,
    query: &Query,
    top: Option<usize>,
    style: &Style,
) -> Vec<String> {
    let pixels = if prediction.input.is_empty() {
        &query.pixels
    } else {
        &prediction.input
    };
    // A network input of unknown size is taken to be square.
    let side = pixels.len().isqrt();
    let (height, width) = query.size.unwrap_or((side, side));
    let narrow = Style {
        width: WIDEST.min(style.width),
        ..*style
    };
    let drawing = digit(
        Picture {
            pixels,
            height,
            width,
        },
        &narrow,
    );
    let room = style
        .width
        .saturating_sub(width.min(narrow.width) + 3)
        .max(20);
    let right = bars(&shares(prediction, top), room, style);
    let title = format!(
        "{name}  {}",
        headline(prediction, query.truth.as_ref(), style)
    );
    std::iter::once(title)
        .chain(side_by_side(&drawing, &right, 3))
        .collect()
}

/// Prediction and truth, in the words of the notebook's last cell.
fn headline(prediction: &Prediction, truth: Option<&(u16, String)>, style: &Style) -> String {
    let verdict = match prediction.verdict() {
        Verdict::Blank => "blank: no ink in the picture".to_owned(),
        Verdict::SeveralDigits if !prediction.text.is_empty() => {
            format!("number: {}", prediction.text.replace('\n', " / "))
        }
        Verdict::SeveralDigits => {
            let place = |it: &digits_proto::v1::Box| {
                format!("{}x{} at {},{}", it.width, it.height, it.left, it.top)
            };
            let places: Vec<String> = prediction.boxes.iter().map(place).collect();
            format!("several digits: {}", places.join("; "))
        }
        Verdict::Unsure => "unsure: no label is probable enough".to_owned(),
        _ => format!("prediction: {}", prediction.label),
    };
    let Some((index, name)) = truth else {
        return style.paint(Ink::Strong, &verdict);
    };
    let right = prediction.label_index == Some(u32::from(*index));
    style.paint(
        if right { Ink::Good } else { Ink::Bad },
        &format!("{verdict}, truth: {name}"),
    )
}

/// The digits of a number, or the labels of a digit.
fn shares(prediction: &Prediction, top: Option<usize>) -> Vec<Bar> {
    if prediction.verdict() != Verdict::SeveralDigits {
        return probabilities(prediction, top);
    }
    let digits = prediction.parts.iter().map(|part| {
        let chosen = part.verdict() == Verdict::Label;
        Bar {
            label: if chosen {
                part.label.clone()
            } else {
                "?".to_owned()
            },
            share: f64::from(part.probabilities.iter().copied().fold(0.0, f32::max)),
            chosen,
        }
    });
    digits.collect()
}

fn probabilities(prediction: &Prediction, top: Option<usize>) -> Vec<Bar> {
    let chosen = prediction.label_index;
    let mut bars: Vec<Bar> = prediction
        .probabilities
        .iter()
        .enumerate()
        .map(|(index, &share)| {
            let here = chosen == Some(index as u32);
            // The response names only the predicted label; the others are known by index.
            let label = if here {
                prediction.label.clone()
            } else {
                index.to_string()
            };
            Bar {
                label,
                share: f64::from(share),
                chosen: here,
            }
        })
        .collect();
    if let Some(top) = top.or((bars.len() > 20).then_some(10)) {
        bars.sort_by(|a, b| b.share.total_cmp(&a.share));
        bars.truncate(top);
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::predict_request::Images;

    fn seven() -> (Prediction, Query) {
        let mut probabilities = vec![0.0; 10];
        (probabilities[7], probabilities[9]) = (0.75, 0.25);
        let prediction = Prediction {
            label_index: Some(7),
            label: "7".to_owned(),
            probabilities,
            verdict: Verdict::Label.into(),
            ..Default::default()
        };
        let query = Query {
            images: Images::Pixels(bytes::Bytes::new()),
            truth: Some((7, "7".to_owned())),
            pixels: vec![255, 255, 255, 0, 255, 0, 0, 255, 0],
            size: Some((3, 3)),
        };
        (prediction, query)
    }

    #[test]
    fn an_image_is_drawn_with_its_probabilities() {
        let (prediction, query) = seven();
        let lines = show(
            "mnist:test/0",
            &prediction,
            &query,
            Some(2),
            &Style::plain(40),
        );
        assert_eq!(
            lines,
            [
                "mnist:test/0  prediction: 7, truth: 7".to_owned(),
                format!("+@+   7 {}{}  75.00 %", "#".repeat(17), " ".repeat(6)),
                format!(" +    9 {}{}  25.00 %", "#".repeat(6), " ".repeat(17)),
            ]
        );
    }

    #[test]
    fn a_number_is_printed_with_the_probability_of_each_digit() {
        let (mut prediction, mut query) = seven();
        (query.truth, query.pixels, query.size) = (None, Vec::new(), None);
        let digit = |label: &str, share: f32| digits_proto::v1::Part {
            label: label.to_owned(),
            probabilities: vec![1.0 - share, share],
            verdict: if label.is_empty() {
                Verdict::Unsure
            } else {
                Verdict::Label
            }
            .into(),
            ..Default::default()
        };
        prediction.verdict = Verdict::SeveralDigits.into();
        prediction.parts = vec![digit("4", 0.75), digit("", 0.625), digit("2", 1.0)];
        prediction.text = "4?\n2".to_owned();
        let lines = show("number.jpg", &prediction, &query, None, &Style::plain(40));
        assert_eq!(lines[0], "number.jpg  number: 4? / 2");
        for (line, (label, share)) in
            lines[1..]
                .iter()
                .zip([("4", "75.00 %"), ("?", "62.50 %"), ("2", "100.00 %")])
        {
            let line = line.trim();
            assert!(line.starts_with(label) && line.ends_with(share), "{line}");
        }
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_verdict_without_a_label_is_explained() {
        let (mut prediction, query) = seven();
        let style = Style::plain(80);
        for (verdict, text) in [
            (Verdict::Blank, "blank"),
            (Verdict::Unsure, "unsure"),
            (Verdict::SeveralDigits, "several digits: 3x4 at 1,2"),
        ] {
            prediction.verdict = verdict.into();
            prediction.boxes = vec![digits_proto::v1::Box {
                left: 1,
                top: 2,
                width: 3,
                height: 4,
            }];
            let line = headline(&prediction, query.truth.as_ref(), &style);
            assert!(
                line.starts_with(text) && line.ends_with("truth: 7"),
                "{line}"
            );
        }
    }
}
