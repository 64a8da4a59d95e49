//! The results of a sweep: a table of its trials, and a chart of its configurations.

use crate::context::Context;
use digits_cli::{
    format,
    render::{Column, DotRow, Table, dots},
};
use digits_proto::v1::{Sweep, SweepState, Trial};
use std::collections::BTreeMap;

/// Configurations in the chart.
const SHOWN: usize = 30;

/// The lines of table and chart, and which trial is the best.
pub fn lines(sweep: &Sweep, context: &Context) -> Vec<String> {
    let mut lines = context.table(&table(sweep));
    let rows = rows(sweep);
    if rows.len() > 1 {
        lines.push(String::new());
        lines.push(match sweep.rungs.len() {
            0 | 1 => "accuracy on the validation set:".to_owned(),
            _ => "accuracy on the validation set, in the newest rung of each configuration:"
                .to_owned(),
        });
        lines.extend(dots(
            &rows[..rows.len().min(SHOWN)],
            context.style.width,
            &context.style,
        ));
        if rows.len() > SHOWN {
            lines.push(format!("and {} more", rows.len() - SHOWN));
        }
    }
    lines.extend(best(sweep));
    lines
}

/// A line about a trial that has ended.
pub fn ended(trial: &Trial, fields: &[String]) -> String {
    let result = match trial.validation {
        Some(it) => format!("accuracy {}, loss {:.4}", accuracy(it.accuracy), it.loss),
        None if trial.error.is_empty() => String::new(),
        None => trial.error.clone(),
    };
    format!(
        "trial {}  {}  {}  {result}",
        trial.number,
        settings(trial, fields),
        format::trial_state(trial)
    )
}

/// An accuracy with two digits, because trials are close to each other.
pub fn accuracy(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn settings(trial: &Trial, fields: &[String]) -> String {
    let pairs = fields.iter().zip(&trial.values);
    let mut words: Vec<String> = pairs
        .map(|(field, value)| format!("{}={value}", short(field)))
        .collect();
    words.push(format!("seed={}", trial.seed));
    words.join(" ")
}

/// The last name of a field.
fn short(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or(field)
}

fn table(sweep: &Sweep) -> Table {
    let mut columns = vec![("trial", Column::Number)];
    columns.extend(
        sweep
            .fields
            .iter()
            .map(|field| (short(field), Column::Number)),
    );
    columns.push(("seed", Column::Number));
    if sweep.rungs.len() > 1 {
        columns.push(("rung", Column::Number));
    }
    columns.extend([
        ("epochs", Column::Number),
        ("loss", Column::Number),
        ("accuracy", Column::Number),
        ("state", Column::Word),
        ("checkpoint", Column::Text),
    ]);
    let mut table = Table::new(&columns);
    let best = sweep.best.as_ref().map(|best| best.number);
    for trial in &sweep.trials {
        let mut cells = vec![trial.number.to_string()];
        cells.extend(trial.values.iter().cloned());
        cells.push(trial.seed.to_string());
        if sweep.rungs.len() > 1 {
            cells.push(trial.rung.to_string());
        }
        let result = |text: fn(f64, f64) -> String| {
            let found = trial.validation.map(|it| text(it.loss, it.accuracy));
            found.unwrap_or_else(|| "-".to_owned())
        };
        cells.extend([
            trial.epochs.to_string(),
            result(|loss, _| format!("{loss:.4}")),
            result(|_, share| accuracy(share)),
            match best == Some(trial.number) {
                true => format!("{}, best", format::trial_state(trial)),
                false => format::trial_state(trial),
            },
            match trial.checkpoint_id.as_str() {
                "" => trial.error.clone(),
                id => id.to_owned(),
            },
        ]);
        table.row(cells);
    }
    table
}

/// A row of the chart for each configuration with a result, the best first: the results of its
/// seeds in its newest rung.
fn rows(sweep: &Sweep) -> Vec<DotRow> {
    let mut newest: BTreeMap<u32, Vec<&Trial>> = BTreeMap::new();
    for trial in sweep
        .trials
        .iter()
        .filter(|trial| trial.validation.is_some())
    {
        let of_configuration = newest.entry(trial.configuration).or_default();
        // Later rungs have larger numbers.
        of_configuration.retain(|earlier| earlier.rung == trial.rung);
        of_configuration.push(trial);
    }
    let best = sweep.best.as_ref().map(|best| best.configuration);
    let mut rows: Vec<(u32, DotRow)> = newest
        .into_values()
        .map(|trials| {
            let first = trials[0];
            let pairs = sweep.fields.iter().zip(&first.values);
            let words: Vec<String> = pairs
                .map(|(field, value)| format!("{}={value}", short(field)))
                .collect();
            let values = trials.iter().filter_map(|trial| trial.validation);
            let row = DotRow {
                label: words.join(" "),
                values: values.map(|it| it.accuracy * 100.0).collect(),
                chosen: best == Some(first.configuration),
            };
            (first.rung, row)
        })
        .collect();
    // Results of different rungs are of different numbers of epochs.
    rows.sort_by(|(left_rung, left), (right_rung, right)| {
        right_rung
            .cmp(left_rung)
            .then(right.mean().total_cmp(&left.mean()))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

fn best(sweep: &Sweep) -> Vec<String> {
    let Some(best) = &sweep.best else {
        return Vec::new();
    };
    let so_far = match sweep.state() {
        SweepState::Running => " so far",
        _ => "",
    };
    vec![
        String::new(),
        format!(
            "best{so_far}: trial {}, {}",
            best.number,
            settings(best, &sweep.fields)
        ),
        format!("  to serve it: digits sweep promote {}", sweep.sweep_id),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::Style;
    use digits_proto::v1::{Evaluation, Rung};

    fn trial(number: u32, rung: u32, configuration: u32, accuracy: f64) -> Trial {
        Trial {
            number,
            rung,
            configuration,
            values: vec![["0.1", "0.3", "1"][configuration as usize - 1].to_owned()],
            seed: 17,
            epochs: rung * 3,
            state: 4,
            checkpoint_id: format!("c{number}"),
            validation: Some(Evaluation {
                accuracy,
                loss: 1.0 - accuracy,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn halved() -> Sweep {
        let trials = vec![
            trial(1, 1, 1, 0.96),
            trial(2, 1, 2, 0.97),
            trial(3, 1, 3, 0.98),
            trial(4, 2, 3, 0.975),
        ];
        Sweep {
            sweep_id: "s".to_owned(),
            state: 2,
            fields: vec!["sgd.learning_rate".to_owned()],
            rungs: vec![Rung::default(); 2],
            best: trials.last().cloned(),
            trials,
            ..Default::default()
        }
    }

    #[test]
    fn each_trial_has_a_row() {
        assert_eq!(
            table(&halved()).lines(&Style::plain(100)),
            [
                "trial  learning_rate  seed  rung  epochs    loss  accuracy  state            checkpoint",
                "    1            0.1    17     1       3  0.0400   96.00 %  succeeded        c1",
                "    2            0.3    17     1       3  0.0300   97.00 %  succeeded        c2",
                "    3              1    17     1       3  0.0200   98.00 %  succeeded        c3",
                "    4              1    17     2       6  0.0250   97.50 %  succeeded, best  c4",
            ]
        );
    }

    #[test]
    fn the_chart_has_the_newest_rung_of_each_configuration() {
        let rows = rows(&halved());
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.label.as_str(), row.values.len(), row.chosen))
            .collect();
        assert_eq!(
            found,
            [
                ("learning_rate=1", 1, true),
                ("learning_rate=0.3", 1, false),
                ("learning_rate=0.1", 1, false)
            ]
        );
    }

    #[test]
    fn a_failed_trial_has_its_error_in_place_of_a_checkpoint() {
        let mut sweep = halved();
        sweep.trials.truncate(1);
        sweep.trials[0] = Trial {
            state: 5,
            error: "no room".to_owned(),
            checkpoint_id: String::new(),
            validation: None,
            ..sweep.trials[0].clone()
        };
        let lines = table(&sweep).lines(&Style::plain(100));
        assert!(
            lines[1].ends_with("-         -  failed  no room"),
            "{lines:#?}"
        );
        let line = ended(&sweep.trials[0], &sweep.fields);
        assert_eq!(line, "trial 1  learning_rate=0.1 seed=17  failed  no room");
    }
}
