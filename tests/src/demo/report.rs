//! Prints the results of the demo's parts.

use super::{times::Times, train::Run};
use crate::{
    notebook::{ACCURACY_TOLERANCE, Comparison, LOSS_TOLERANCE},
    sandbox::Sandbox,
    watcher::Seen,
};
use anyhow::{Result, ensure};
use digits_cli::{
    evaluate::Evaluation,
    format,
    render::{self, Bar, Column, Ink, Picture, Style, Table},
};
use digits_client::InferenceClient;
use digits_dataset::{Dataset, mnist::Progress};
use digits_proto::v1;
use std::time::Duration;

pub fn heading(style: &Style, text: &str) {
    println!("\n{}", style.paint(Ink::Strong, text));
}

/// Shows the progress of a download.
pub fn download() -> impl FnMut(Progress<'_>) {
    let mut shown = (String::new(), 0);
    move |progress| {
        let tenth = 10 * progress.received_bytes / progress.total_bytes.unwrap_or(0).max(1);
        if shown.0 != progress.file || shown.1 != tenth {
            eprintln!("downloading {}: {} %", progress.file, 10 * tenth.min(10));
            shown = (progress.file.to_owned(), tenth);
        }
    }
}

pub fn training(style: &Style, run: &Run) {
    let progress = run.job.progress.unwrap_or_default();
    let network = run.job.network.unwrap_or_default();
    println!(
        "{} on {}; {} epochs, {} steps",
        format::network(&network),
        run.job.device,
        progress.epochs,
        format::grouped(progress.steps)
    );
    println!(
        "training {}, validation {}",
        style.paint(Ink::Strong, &seconds(progress.train_seconds)),
        seconds(progress.validation_seconds)
    );
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

pub fn hot_loads(style: &Style, run: &Run, seen: &Seen) {
    let mut slowest = Duration::ZERO;
    for (sequence, published) in &run.published {
        // A version may be overtaken by the next one before it answers.
        if let Some(first) = seen.first.range(sequence..).next().map(|(_, first)| first) {
            slowest = slowest.max(first.saturating_duration_since(*published));
        }
    }
    println!(
        "{} checkpoints published, {} of them seen in answers; {} requests meanwhile, {}",
        run.published.len(),
        seen.first.len(),
        format::grouped(seen.answered),
        style.paint(Ink::Good, "0 failed")
    );
    println!(
        "slowest from published to answering: {} ms",
        slowest.as_millis()
    );
}

pub fn printed_rows(style: &Style, comparisons: &[Comparison]) -> Result<()> {
    let mut table = Table::new(&[
        ("epoch", Column::Number),
        ("step", Column::Number),
        ("printed", Column::Number),
        ("ours", Column::Number),
        ("printed loss", Column::Number),
        ("our loss", Column::Number),
        ("", Column::Word),
    ]);
    for comparison in comparisons {
        let printed = &comparison.printed;
        let good = comparison.agrees();
        table.row(vec![
            if printed.test {
                "test".to_owned()
            } else {
                printed.epoch.to_string()
            },
            printed.step_in_epoch.to_string(),
            format!("{:.1} %", printed.accuracy_percent),
            format!("{:.2} %", comparison.accuracy_percent),
            format!("{:.6}", printed.loss_batch_mean),
            format!("{:.6}", comparison.loss_batch_mean),
            if good {
                style.choose("✓", "ok")
            } else {
                style.choose("✗", "NO")
            }
            .to_owned(),
        ]);
    }
    print_lines(&table.lines(style));
    let agree = comparisons
        .iter()
        .filter(|comparison| comparison.agrees())
        .count();
    println!(
        "{agree} of {} rows agree (loss within {LOSS_TOLERANCE:.0e}, accuracy within {ACCURACY_TOLERANCE} points)",
        comparisons.len()
    );
    ensure!(
        agree == comparisons.len(),
        "the notebook's printed run was not reproduced"
    );
    Ok(())
}

pub fn test_through_predict(
    style: &Style,
    through: &Evaluation,
    test: &v1::Evaluation,
    labels: &[String],
) -> Result<()> {
    println!(
        "accuracy {}, loss {} (the trainer measured {}, {:.6})",
        style.paint(Ink::Strong, &format::percent(through.accuracy())),
        style.paint(Ink::Strong, &format!("{:.6}", through.loss_batch_mean)),
        format::percent(test.accuracy),
        test.loss_batch_mean
    );
    let rate = through.images_per_second() as u64;
    println!(
        "{} images, {} a second\n",
        format::grouped(through.images),
        format::grouped(rate)
    );
    print_lines(&render::confusion(&through.confusion, labels, style));
    ensure!(
        through.correct == test.correct
            && (through.loss_batch_mean - test.loss_batch_mean).abs() < 5e-7,
        "Predict and the trainer's test differ"
    );
    Ok(())
}

/// Draws the first test image, as the notebook's last cell does, and the first one that is misread.
pub async fn few_digits(style: &Style, client: &InferenceClient, set: &Dataset) -> Result<()> {
    let size = set.test.images.height * set.test.images.width;
    let some = 200.min(set.test.images.count);
    let pixels = set.test.images.pixels[..some * size].to_vec();
    let answer = client.predict_pixels(pixels).await?;
    let wrong = (0..some).find(|&index| {
        let label = answer.predictions[index].label_index;
        label.is_some_and(|label| label != u32::from(set.test.labels[index]))
    });
    for index in [0, 1].into_iter().chain(wrong) {
        let prediction = &answer.predictions[index];
        let picture = Picture {
            height: set.test.images.height,
            width: set.test.images.width,
            pixels: &set.test.images.pixels[index * size..][..size],
        };
        let truth = &set.label_names[usize::from(set.test.labels[index])];
        let title = format!(
            "test image {index}: prediction {}, truth {truth}",
            prediction.label
        );
        let ink = if prediction.label == *truth {
            Ink::Good
        } else {
            Ink::Bad
        };
        let bars: Vec<Bar> = prediction
            .probabilities
            .iter()
            .enumerate()
            .map(|(label, &share)| Bar {
                label: set.label_names[label].clone(),
                share: f64::from(share),
                chosen: Some(label as u32) == prediction.label_index,
            })
            .collect();
        println!("{}", style.paint(ink, &title));
        let right = render::bars(&bars, 40, style);
        print_lines(&render::side_by_side(
            &render::digit(picture, style),
            &right,
            3,
        ));
        println!();
    }
    Ok(())
}

pub fn left_running(sandbox: Sandbox) -> Result<()> {
    let (trainer, inference) = (sandbox.trainer()?.grpc(), sandbox.inference()?.grpc());
    let admin = (
        sandbox.trainer()?.admin().to_owned(),
        sandbox.inference()?.admin().to_owned(),
    );
    let digits = sandbox.binary("digits");
    let (dir, pids) = sandbox.leave_running();
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    println!("export DIGITS_TRAINER={trainer} DIGITS_INFERENCE={inference}");
    for command in ["predict mnist:test/0", "train --epochs 10", "jobs", "model"] {
        println!("{} {command}", digits.display());
    }
    println!(
        "curl http://{}/metrics; curl http://{}/metrics",
        admin.0, admin.1
    );
    println!(
        "folder {}; stop both with: kill {}",
        dir.display(),
        pids.join(" ")
    );
    Ok(())
}

pub fn times(style: &Style, times: &Times) {
    let mut table = Table::new(&[("part", Column::Word), ("time", Column::Number)]);
    for (part, time) in &times.0 {
        table.row(vec![(*part).to_owned(), seconds(time.as_secs_f64())]);
    }
    let total: Duration = times.0.iter().map(|(_, time)| *time).sum();
    table.row(vec!["all".to_owned(), seconds(total.as_secs_f64())]);
    print_lines(&table.lines(style));
}

fn print_lines(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}
