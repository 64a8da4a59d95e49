//! Error on simulated canvases and photographs made from MNIST's test images, with and without each
//! step of the normalizer, and what is predicted for pictures that show no digit.
//! `make bench-pictures` trains the networks and runs it.
//!
//! `pictures MNIST_DIR NAME=STORAGE…`, each storage with a model `digits` of MNIST's form.

mod junk;
mod net;
mod printed;
mod scenes;
mod steps;

use anyhow::bail;
use digits_dataset::{Dataset, mnist};
use fastrand::Rng;
use junk::Junk;
use net::{Net, head, row};
use printed::{Answers, Print};
use scenes::Kind;
use steps::ExecutionPath;

/// Pictures of each kind.
const PICTURES: usize = 1_500;
/// One of this many test images is drawn.
const STRIDE: usize = 10_000 / PICTURES;
/// Share of the digits that are to be answered.
const COVERAGE: f64 = 0.95;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let Some((dir, nets)) = arguments.split_first().filter(|(_, nets)| !nets.is_empty()) else {
        bail!("usage: pictures MNIST_DIR NAME=STORAGE…");
    };
    let data = mnist::load(
        &mnist::MnistSource {
            dir: Some(dir.into()),
            cache: dir.into(),
            download: false,
            mirrors: Vec::new(),
        },
        &mut |_| {},
    )?;
    let nets = net::open_all(nets)?;
    steps_table(&data, &nets);
    printed_table(&data, &nets);
    crops_table(&data, &nets);
    junk_table(&data, &nets);
    Ok(())
}

/// The test images that pictures are drawn of, each with its label.
fn digits(data: &Dataset) -> impl Iterator<Item = (usize, &[u8])> {
    (0..PICTURES).map(|index| {
        let at = index * STRIDE;
        let image = data
            .test
            .images
            .image(at)
            .expect("an image of the test set");
        (usize::from(data.test.labels[at]), image)
    })
}

fn steps_table(data: &Dataset, nets: &[Net]) {
    println!(
        "Error in percent, {PICTURES} pictures of each kind from the test images; a picture of which no"
    );
    println!("single digit is read counts as an error.\n");
    head("the same digits, as they are", nets);
    let clean: Vec<_> = digits(data)
        .map(|(label, digit)| (label, Some(digit.to_vec())))
        .collect();
    row("", nets.iter().map(|net| net.error(&clean)));
    for kind in Kind::ALL {
        println!();
        head(kind.name(), nets);
        let mut rng = Rng::with_seed(7);
        let pictures: Vec<_> = digits(data)
            .map(|(label, digit)| (label, scenes::picture(kind, digit, &mut rng)))
            .collect();
        for (name, way) in steps::ways() {
            let inputs: Vec<_> = pictures
                .iter()
                .map(|(label, picture)| (*label, steps::input(way, picture)))
                .collect();
            row(name, nets.iter().map(|net| net.error(&inputs)));
        }
    }
}

/// Answers where lines are printed beside the digit.
fn printed_table(data: &Dataset, nets: &[Net]) {
    println!(
        "\nDigits beside printed lines, and wrong labels of 90 % probability or more, in percent\n"
    );
    let names = nets
        .iter()
        .flat_map(|net| [net.name.clone(), "sure, wrong".to_owned()]);
    print!("{:<32}", "");
    names.for_each(|name| print!("{name:>12}"));
    println!();
    for (name, print) in Print::all() {
        let mut rng = Rng::with_seed(13);
        let inputs: Vec<_> = digits(data)
            .map(|(label, digit)| {
                let picture = printed::picture(print, digit, &mut rng);
                (label, steps::input(ExecutionPath::Service, &picture))
            })
            .collect();
        let answers = nets.iter().map(|net| Answers::of(net, &inputs));
        row(&name, answers.flat_map(|it| [it.right, it.surely_wrong]));
    }
}

/// Labels that change, or are not given, when the margin around a digit is cut off, or all but a
/// pixel of it.
fn crops_table(data: &Dataset, nets: &[Net]) {
    println!("\nOther labels without a margin around the digit than with one, in percent\n");
    head("", nets);
    let kinds = [
        ("black on white", [1.0, 0.0]),
        ("white on black", [0.0, 1.0]),
        ("dark on grey", [0.7, 0.2]),
        ("light on grey", [0.35, 0.9]),
    ];
    let margins = [(0.0, ""), (0.05, ", 1 pixel")];
    let rows = margins.map(|margin| kinds.map(|kind| (kind, margin)));
    for ((name, levels), (margin, of_margin)) in rows.into_iter().flatten() {
        let pictures: Vec<_> = digits(data)
            .map(|(_, digit)| {
                [0.5, margin].map(|margin| {
                    let picture = scenes::cropped(digit, margin, levels);
                    steps::input(ExecutionPath::Service, &picture)
                })
            })
            .collect();
        let changed = |net: &Net| {
            let label = |input: &Option<Vec<u8>>| input.as_ref().map(|input| net.answer(input).0);
            let differ = pictures
                .iter()
                .filter(|[with, without]| label(with) != label(without));
            100.0 * differ.count() as f64 / pictures.len() as f64
        };
        let name = format!("{name}{of_margin}");
        row(&name, nets.iter().map(changed));
    }
}

fn junk_table(data: &Dataset, nets: &[Net]) {
    println!("\nAt the probability that keeps 95 % of the test digits as they are, in percent\n");
    head("", nets);
    let kept: Vec<Kept> = nets.iter().map(|net| Kept::of(net, data)).collect();
    row(
        "that probability",
        kept.iter().map(|kept| f64::from(100.0 * kept.threshold)),
    );
    row("error of what is kept", kept.iter().map(|kept| kept.error));
    let all: Vec<(usize, &[u8])> = digits(data).collect();
    for junk in Junk::ALL {
        let mut rng = Rng::with_seed(11);
        let inputs: Vec<Option<Vec<u8>>> = (0..PICTURES)
            .map(|index| {
                let pair = [all[index].1, all[(index + 1) % all.len()].1];
                steps::input(ExecutionPath::Service, &junk::picture(junk, pair, &mut rng))
            })
            .collect();
        let accepted = |net: &Net, threshold: f32| {
            let answered = inputs
                .iter()
                .flatten()
                .filter(|input| net.answer(input).1 >= threshold);
            100.0 * answered.count() as f64 / inputs.len() as f64
        };
        let figures = nets.iter().zip(&kept);
        row(
            &format!("accepted: {}", junk.name()),
            figures.map(|(net, kept)| accepted(net, kept.threshold)),
        );
    }
}

/// The digits of which a network is sure enough.
struct Kept {
    threshold: f32,
    error: f64,
}

impl Kept {
    fn of(net: &Net, data: &Dataset) -> Self {
        let mut answers: Vec<(f32, bool)> = (0..data.test.labels.len())
            .filter_map(|at| Some((at, data.test.images.image(at)?)))
            .map(|(at, image)| {
                let (label, probability) = net.answer(image);
                (probability, label == usize::from(data.test.labels[at]))
            })
            .collect();
        answers.sort_by(|a, b| b.0.total_cmp(&a.0));
        answers.truncate((answers.len() as f64 * COVERAGE) as usize);
        let wrong = answers.iter().filter(|(_, right)| !right).count();
        Self {
            threshold: answers.last().map_or(0.0, |(probability, _)| *probability),
            error: 100.0 * wrong as f64 / answers.len() as f64,
        }
    }
}
