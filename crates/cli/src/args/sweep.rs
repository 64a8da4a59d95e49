//! Flags of `digits sweep`.

use super::{
    train::Train,
    values::{whole, whole_as},
};
use clap::{Args, Subcommand};

const SWEEP: &str = "Sweep";

/// Examples in the help of the command.
pub const EXAMPLES: &str = "\
Examples:
  digits sweep --preset fast --grid learning_rate=0.03,0.1 --grid hidden=64,192 --seeds 3
      Every combination with three seeds: twelve jobs, a table and a chart of their results.
  digits sweep --preset fast --epochs 9 --random 27 --log-range learning_rate=0.001..0.3 --halving
      27 random rates for one epoch, the best third for three, the best of these for nine.
  digits sweep promote latest
      Serves the best checkpoint of the newest sweep.";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Sweep {
    #[command(subcommand)]
    pub command: Option<SweepCommand>,
    #[command(flatten)]
    pub submit: SubmitSweep,
}

#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// List sweeps.
    List(ListSweeps),
    /// Show the trials of a sweep: a table and a chart of their results.
    Show(SweepId),
    /// Watch a sweep to its end.
    Watch(SweepId),
    /// Stop a sweep and its jobs.
    Cancel(SweepId),
    /// Serve the best checkpoint of a sweep and pause automatic promotion.
    Promote(PromoteTrial),
}

#[derive(Debug, Args)]
pub struct SubmitSweep {
    /// Field with the values to try; may be given several times, for every combination. FIELD is a
    /// flag of `digits train` without its dashes, or a field of a job spec. Widths of several
    /// layers are joined by `-`: hidden=64,128-64.
    #[arg(long, help_heading = SWEEP, value_name = "FIELD=VALUE,VALUE", value_parser = grid)]
    pub grid: Vec<Grid>,
    /// Number of seeds that each configuration is trained with, starting at --seed.
    #[arg(long, help_heading = SWEEP, default_value_t = 1, value_parser = whole::<u32>(1..=100))]
    pub seeds: u32,
    /// Draw this many configurations at random, in place of every combination.
    #[arg(long, help_heading = SWEEP, value_name = "CONFIGURATIONS", value_parser = whole_as::<u32>("from 1 to 500"))]
    pub random: Option<u32>,
    /// With --random: range to draw the numbers of a field from; may be given several times.
    #[arg(long, help_heading = SWEEP, value_name = "FIELD=LOW..HIGH", value_parser = range, requires = "random")]
    pub range: Vec<Range>,
    /// As --range, with the logarithm drawn uniformly, as is usual for learning rates.
    #[arg(long, help_heading = SWEEP, value_name = "FIELD=LOW..HIGH", value_parser = range, requires = "random")]
    pub log_range: Vec<Range>,
    /// Seed of the random configurations; the same seed draws the same.
    #[arg(long, help_heading = SWEEP, value_name = "SEED", default_value_t = 0, value_parser = whole::<u64>(0..=u64::MAX))]
    pub random_seed: u64,
    /// Successive halving: train all configurations for few epochs, then the best 1/FACTOR of them
    /// for FACTOR times as many, up to --epochs; 3 if no factor is given.
    #[arg(
        long, help_heading = SWEEP, value_name = "FACTOR", num_args = 0..=1, require_equals = true,
        default_missing_value = "3", value_parser = whole_as::<u32>("from 2 to 16")
    )]
    pub halving: Option<u32>,
    /// With --halving: least epochs of a training.
    #[arg(long, help_heading = SWEEP, value_name = "EPOCHS", default_value_t = 1, value_parser = whole::<u32>(1..=10_000))]
    pub min_epochs: u32,
    #[command(flatten)]
    pub train: Train,
}

#[derive(Debug, Args)]
pub struct ListSweeps {
    /// Maximum number of sweeps, newest first.
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(0..=u64::from(u32::MAX)))]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub struct SweepId {
    /// Sweep: its id, the start of its id, its name, or `latest`.
    pub sweep: String,
}

#[derive(Debug, Args)]
pub struct PromoteTrial {
    /// Sweep: its id, the start of its id, its name, or `latest`.
    pub sweep: String,
    /// Number of the trial whose checkpoint is served; the best one if not given.
    #[arg(long, value_name = "TRIAL", value_parser = whole::<u32>(1..=500))]
    pub trial: Option<u32>,
    /// Sequence of the serving record that must still be the newest; the current one if not given.
    #[arg(long, value_name = "SEQUENCE", value_parser = whole::<u64>(0..=u64::MAX))]
    pub expected_sequence: Option<u64>,
    /// Who makes the change; stored in the serving record.
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

/// Values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub field: String,
    pub values: Vec<String>,
}

/// A range of the numbers of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    pub field: String,
    pub low: f64,
    pub high: f64,
}

/// Flags of `digits train` whose fields have other names.
const FLAGS: &[(&str, &str)] = &[
    ("clip_norm", "regularization.max_gradient_norm"),
    ("early_stopping", "early_stopping.patience_rows"),
    ("validate_every", "evaluation.every_steps"),
    ("rotation", "augmentation.rotation_degrees"),
    ("shear", "augmentation.shear_degrees"),
    ("shift", "augmentation.shift_pixels"),
];

/// The name of the field that a flag of `digits train` sets.
fn field(flag: &str) -> String {
    let name = flag.trim().trim_start_matches("--").replace('-', "_");
    let known = FLAGS.iter().find(|(flag, _)| *flag == name);
    known.map_or(name.clone(), |(_, field)| (*field).to_owned())
}

fn grid(text: &str) -> Result<Grid, String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let parts = parts.filter(|(_, values)| values.split(',').all(|value| !value.trim().is_empty()));
    parts
        .map(|(name, values)| Grid {
            field: field(name),
            values: values
                .split(',')
                .map(|value| value.trim().to_owned())
                .collect(),
        })
        .ok_or_else(|| {
            "takes FIELD=VALUE,VALUE with commas between values, such as learning_rate=0.03,0.1"
                .to_owned()
        })
}

fn range(text: &str) -> Result<Range, String> {
    let parsed = text.split_once('=').and_then(|(name, range)| {
        let (low, high) = range.split_once("..")?;
        Some(Range {
            field: field(name),
            low: low.trim().parse().ok()?,
            high: high.trim().parse().ok()?,
        })
    });
    parsed
        .filter(|range| !range.field.is_empty())
        .ok_or_else(|| {
            "takes FIELD=LOW..HIGH with two numbers, such as learning_rate=0.001..0.3".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::json::DESCRIPTORS;

    #[test]
    fn a_grid_is_a_field_with_values() {
        for (text, field, values) in [
            (
                "learning-rate=0.03, 0.1",
                "learning_rate",
                &["0.03", "0.1"][..],
            ),
            ("hidden=64,128-64,none", "hidden", &["64", "128-64", "none"]),
            ("--clip-norm=1", "regularization.max_gradient_norm", &["1"]),
            ("sgd.momentum=0.9", "sgd.momentum", &["0.9"]),
        ] {
            let values = values.iter().map(|it| (*it).to_owned()).collect();
            let field = field.to_owned();
            assert_eq!(grid(text), Ok(Grid { field, values }), "{text}");
        }
        for bad in ["hidden", "=1", "hidden=", "hidden=1,,2"] {
            assert!(
                grid(bad).is_err_and(|text| text.starts_with("takes FIELD=")),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_range_has_two_numbers() {
        let expected = Range {
            field: "learning_rate".to_owned(),
            low: 1e-3,
            high: 0.3,
        };
        assert_eq!(range("learning-rate=1e-3..0.3"), Ok(expected));
        for bad in ["x", "x=1", "x=1..", "x=a..b", "=1..2"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_with_names_of_their_own_are_fields_of_a_job_spec() {
        for (flag, path) in FLAGS {
            let mut message = DESCRIPTORS.get_message_by_name("digits.v1.JobSpec");
            for name in path.split('.') {
                let found = message.expect("a message").get_field_by_name(name);
                let kind = found.expect(flag).kind();
                message = kind.as_message().cloned();
            }
        }
    }
}
