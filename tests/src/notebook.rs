//! The output that the notebook printed, and the comparison of a job's curves with it.

use anyhow::{Context as _, Result};
use digits_proto::v1::CurveRow;

/// The 45 validation rows and the test row as the notebook printed them.
const PRINTED: &str = include_str!("../../trainer/tests/fixtures/notebook-printed-run.csv");

/// A loss may differ from the printed one by this much: the notebook prints six digits and ran on
/// another machine.
pub const LOSS_TOLERANCE: f64 = 2e-6;

/// An accuracy may differ from the printed one by this much, in percent: x.x5 may round either way.
pub const ACCURACY_TOLERANCE: f64 = 0.1;

/// One printed row.
#[derive(Debug, Clone, PartialEq)]
pub struct PrintedRow {
    /// Whether it is the test row.
    pub test: bool,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step_in_epoch: u32,
    /// In percent, to one digit.
    pub accuracy_percent: f64,
    /// Mean of the batch losses, to six digits.
    pub loss_batch_mean: f64,
}

/// The printed rows, in order.
pub fn printed() -> Result<Vec<PrintedRow>> {
    PRINTED
        .lines()
        .skip(1)
        .map(|line| parse(line).with_context(|| line.to_owned()))
        .collect()
}

fn parse(line: &str) -> Result<PrintedRow> {
    let mut fields = line.split(',');
    let mut next = || fields.next().context("a field is missing");
    Ok(PrintedRow {
        test: next()? == "test",
        epoch: next()?.parse()?,
        step_in_epoch: next()?.parse()?,
        accuracy_percent: next()?.parse()?,
        loss_batch_mean: next()?.parse()?,
    })
}

/// A printed row with the job's values.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The printed row.
    pub printed: PrintedRow,
    /// The job's accuracy, in percent.
    pub accuracy_percent: f64,
    /// The job's mean of the batch losses.
    pub loss_batch_mean: f64,
}

impl Comparison {
    /// Whether the values agree within the tolerances.
    #[must_use]
    pub fn agrees(&self) -> bool {
        (self.loss_batch_mean - self.printed.loss_batch_mean).abs() <= LOSS_TOLERANCE
            && (self.accuracy_percent - self.printed.accuracy_percent).abs()
                <= ACCURACY_TOLERANCE + 1e-9
    }
}

/// Pairs the rows of a job's curves, and its test, with the printed ones. Fails if their number or
/// a step differs.
pub fn compare(rows: &[CurveRow], test: &digits_proto::v1::Evaluation) -> Result<Vec<Comparison>> {
    let printed = printed()?;
    anyhow::ensure!(
        rows.len() + 1 == printed.len(),
        "the notebook has {} rows before its test, the job has {}",
        printed.len() - 1,
        rows.len()
    );
    let ours = rows
        .iter()
        .map(|row| (Some((row.epoch, row.step_in_epoch)), row.validation));
    let ours = ours.chain([(None, Some(*test))]);
    printed
        .into_iter()
        .zip(ours)
        .map(|(printed, (place, evaluation))| {
            let evaluation = evaluation.context("a row has no validation")?;
            if let Some(place) = place {
                anyhow::ensure!(
                    place == (printed.epoch, printed.step_in_epoch),
                    "row of epoch {} step {} where the notebook has epoch {} step {}",
                    place.0,
                    place.1,
                    printed.epoch,
                    printed.step_in_epoch
                );
            }
            Ok(Comparison {
                printed,
                accuracy_percent: 100.0 * evaluation.accuracy,
                loss_batch_mean: evaluation.loss_batch_mean,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_run_has_45_validations_and_a_test() {
        let rows = printed().expect("the file parses");
        assert_eq!(rows.len(), 46);
        assert_eq!(rows.iter().filter(|row| row.test).count(), 1);
        let last = rows.last().expect("rows");
        assert!(last.test);
        assert_eq!(
            (last.accuracy_percent, last.loss_batch_mean),
            (90.0, 0.351_287)
        );
    }

    #[test]
    fn a_row_agrees_within_the_tolerances_only() {
        let printed = printed().expect("the file parses")[0].clone();
        let row = |loss, accuracy| Comparison {
            printed: printed.clone(),
            accuracy_percent: accuracy,
            loss_batch_mean: loss,
        };
        assert!(row(2.325_170, 10.9).agrees());
        assert!(row(2.325_171_9, 10.95).agrees());
        assert!(!row(2.325_173, 10.9).agrees());
        assert!(!row(2.325_170, 11.1).agrees());
    }
}
