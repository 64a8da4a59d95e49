//! Pictures with several digits: parts and text, lines, touching digits, and callers that want one.

use crate::support::{self, DRAWN, Net, Service, Store, admin, comparing, drawn, png_of};
use digits_proto::v1::{Expect, PredictRequest, Prediction, Verdict};
use tonic::Code;

/// Digits as (index in [`DRAWN`], left, top), 40 pixels wide and 64 high.
type Writing = [(usize, f32, f32)];

fn written(digits: &Writing) -> Vec<u8> {
    png_of((280, 240), |x, y| {
        let inks = digits.iter().map(|&(label, left, top)| {
            drawn(
                DRAWN[label],
                x as f32 + 0.5,
                y as f32 + 0.5,
                (left, top, 40.0),
            )
        });
        inks.fold(0.0, f32::max)
    })
}

/// A 7, a 0 and a 1, and a 0 and a 7 below.
const TWO_LINES: &Writing = &[
    (2, 30.0, 30.0),
    (0, 110.0, 34.0),
    (1, 190.0, 28.0),
    (0, 60.0, 140.0),
    (2, 140.0, 136.0),
];

/// A network whose labels are digits.
fn net() -> Net {
    Net {
        label: |label| label.to_string(),
        ..comparing()
    }
}

async fn served(arguments: &[&str]) -> (Store, Service) {
    let store = Store::new();
    store.serve("digits", 1, &net()).await;
    let service = Service::start(&store, "digits", arguments).await;
    service.serves("digits", 1).await;
    (store, service)
}

/// A request for the numbers in pictures.
fn pictures(encoded: Vec<Vec<u8>>) -> PredictRequest {
    PredictRequest {
        expect: Expect::Number.into(),
        ..support::pictures("", encoded)
    }
}

async fn predict(service: &Service, request: PredictRequest) -> Prediction {
    let answer = service.client().await.predict(request).await.unwrap();
    answer.into_inner().predictions.remove(0)
}

fn indices(prediction: &Prediction) -> Vec<u32> {
    prediction
        .parts
        .iter()
        .filter_map(|part| part.label_index)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_answered_with_its_digits_and_its_text() {
    let (_store, service) = served(&[]).await;
    let request = PredictRequest {
        want_input: true,
        ..pictures(vec![written(TWO_LINES)])
    };
    let prediction = predict(&service, request).await;
    assert_eq!(prediction.verdict(), Verdict::SeveralDigits);
    assert_eq!(indices(&prediction), [2, 0, 1, 0, 2], "{prediction:?}");
    assert_eq!(prediction.text, "201\n02");
    let boxes: Vec<_> = prediction
        .parts
        .iter()
        .filter_map(|part| part.r#box)
        .collect();
    assert_eq!(boxes, prediction.boxes);
    for (found, &(_, left, top)) in boxes.iter().zip(TWO_LINES) {
        let inside =
            |at: u32, from: f32, size: f32| (from - 5.0..from + size).contains(&(at as f32));
        assert!(
            inside(found.left, left, 25.0) && inside(found.top, top, 5.0),
            "{found:?}"
        );
    }
    for part in &prediction.parts {
        assert_eq!(part.verdict(), Verdict::Label);
        assert_eq!((part.probabilities.len(), part.input.len()), (3, 784));
    }
    assert!(prediction.probabilities.is_empty() && prediction.label_index.is_none());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_digit_of_a_number_is_an_image_in_the_metrics() {
    let store = Store::new();
    store.serve("counted-numbers", 1, &net()).await;
    let service = Service::start(&store, "counted-numbers", &[]).await;
    service.serves("counted-numbers", 1).await;
    let request = PredictRequest {
        model: "counted-numbers".into(),
        ..pictures(vec![written(TWO_LINES)])
    };
    predict(&service, request).await;
    let (_, metrics) = admin(&service, "/metrics").await;
    // What may be digits and is none is not counted.
    let images = metrics.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let counted = name.starts_with("digits_inference_images_total{")
            && name.contains("model=\"counted-numbers\"");
        counted.then(|| value.parse::<f64>().unwrap())
    });
    assert_eq!(images.sum::<f64>(), 5.0);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_digit_is_a_number_of_one() {
    let (_store, service) = served(&[]).await;
    let prediction = predict(&service, pictures(vec![written(&TWO_LINES[..1])])).await;
    assert_eq!(prediction.verdict(), Verdict::Label);
    assert_eq!(prediction.text, prediction.label);
    let [part] = &prediction.parts[..] else {
        panic!("{prediction:?}");
    };
    assert_eq!(part.label_index, prediction.label_index);
    assert_eq!(part.probabilities, prediction.probabilities);
    assert!(part.r#box.is_some() && prediction.boxes.is_empty());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_that_touch_are_taken_apart() {
    // As sure of its labels as a trained network.
    let mut net = net();
    net.layers[0]
        .weight
        .iter_mut()
        .for_each(|weight| *weight *= 4.0);
    let store = Store::new();
    store.serve("digits", 1, &net).await;
    let service = Service::start(&store, "digits", &[]).await;
    service.serves("digits", 1).await;
    let touching = [(0, 30.0, 30.0), (0, 68.0, 32.0)];
    let prediction = predict(&service, pictures(vec![written(&touching)])).await;
    assert_eq!(indices(&prediction), [0, 0], "{prediction:?}");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsure_digit_is_a_question_mark() {
    let (_store, service) = served(&[]).await;
    let request = PredictRequest {
        min_probability: 1.0,
        top_k: 1,
        ..pictures(vec![written(TWO_LINES)])
    };
    let prediction = predict(&service, request).await;
    assert_eq!(prediction.text, "???\n??");
    for part in &prediction.parts {
        assert_eq!((part.verdict(), part.label_index), (Verdict::Unsure, None));
        assert_eq!((part.top.len(), part.probabilities.len()), (1, 0));
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_expect_one_digit_get_the_boxes_alone() {
    let (_store, service) = served(&[]).await;
    let request = |expect: i32| PredictRequest {
        expect,
        ..pictures(vec![written(TWO_LINES)])
    };
    // Those of before `expect` was there, too.
    for expect in [Expect::Single, Expect::Unspecified] {
        let prediction = predict(&service, request(expect.into())).await;
        assert_eq!(prediction.verdict(), Verdict::SeveralDigits);
        assert_eq!((prediction.boxes.len(), prediction.parts.len()), (5, 0));
        assert_eq!(prediction.text, "");
    }
    let number = predict(&service, request(Expect::Number.into())).await;
    assert_eq!(number.parts.len(), 5);
    let answer = service.client().await.predict(request(9)).await;
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("expect"), "{status:?}");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_the_limit_of_images_get_their_boxes_alone() {
    let (_store, service) = served(&["--max-images", "12"]).await;
    // Nothing is cut where that would exceed the limit, so each digit is one image.
    let request = pictures(vec![
        written(TWO_LINES),
        written(TWO_LINES),
        written(TWO_LINES),
    ]);
    let answer = service.client().await.predict(request).await.unwrap();
    let predictions = answer.into_inner().predictions;
    let found: Vec<_> = predictions
        .iter()
        .map(|it| (it.verdict(), it.boxes.len(), it.parts.len()))
        .collect();
    let several = Verdict::SeveralDigits;
    assert_eq!(found, [(several, 5, 5), (several, 5, 5), (several, 5, 0)]);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_with_other_labels_than_digits_read_one() {
    let store = Store::new();
    store.serve("digits", 1, &comparing()).await;
    let service = Service::start(&store, "digits", &[]).await;
    service.serves("digits", 1).await;
    let prediction = predict(&service, pictures(vec![written(TWO_LINES)])).await;
    assert_eq!(prediction.verdict(), Verdict::SeveralDigits);
    assert_eq!((prediction.boxes.len(), prediction.parts.len()), (5, 0));
    service.end().await;
}
