use super::*;
use crate::{
    spec::request::{OptimizerRequest, SgdRequest},
    sweep::Halving,
};

fn parameter(field: &str, values: &str) -> Parameter {
    Parameter {
        field: field.to_owned(),
        values: values.split(',').map(str::to_owned).collect(),
        range: None,
    }
}

fn range(field: &str, low: f64, high: f64, log: bool) -> Parameter {
    Parameter {
        field: field.to_owned(),
        values: Vec::new(),
        range: Some(NumberRange { low, high, log }),
    }
}

fn sweep(parameters: &[Parameter]) -> SweepRequest {
    SweepRequest {
        job: SpecMessage::from_json(r#"{"preset": "fast"}"#).expect("a spec"),
        parameters: parameters.to_vec(),
        seeds: 1,
        random: None,
        halving: None,
    }
}

fn random(parameters: &[Parameter], configurations: u32, seed: u64) -> SweepRequest {
    SweepRequest {
        random: Some(RandomSearch {
            configurations,
            seed,
        }),
        ..sweep(parameters)
    }
}

fn values(request: &SweepRequest) -> Vec<String> {
    let all = configurations(request).expect("configurations");
    all.iter().map(|it| it.values.join(" ")).collect()
}

fn refusal(request: &SweepRequest) -> String {
    let found = configurations(request).expect_err("refused");
    let lines = found
        .iter()
        .map(|it| format!("{}: {}", it.field, it.message));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_grid_has_every_combination_and_the_last_parameter_varies_fastest() {
    let grid = sweep(&[
        parameter("learning_rate", "0.03,0.1"),
        parameter("hidden", "64,192-32"),
    ]);
    assert_eq!(
        values(&grid),
        ["0.03 64", "0.03 192-32", "0.1 64", "0.1 192-32"]
    );
    let last = configurations(&grid)
        .expect("configurations")
        .pop()
        .expect("one");
    let spec = last.spec.request();
    assert_eq!(spec.architecture.hidden, Some(vec![192, 32]));
    let sgd = SgdRequest {
        learning_rate: Some(0.1),
        ..SgdRequest::default()
    };
    assert_eq!(spec.optimizer, Some(OptimizerRequest::Sgd(sgd)));
    // For the variance between seeds alone.
    assert_eq!(values(&sweep(&[])), [""]);
}

#[test]
fn a_field_belongs_to_the_optimizer_of_its_own_trial() {
    let grid = sweep(&[
        parameter("learning_rate", "0.1"),
        parameter("optimizer", "sgd,adamw"),
    ]);
    let all = configurations(&grid).expect("configurations");
    let optimizers = all
        .iter()
        .map(|it| it.spec.request().optimizer.expect("set"));
    let rates: Vec<Option<f64>> = optimizers
        .map(|optimizer| match optimizer {
            OptimizerRequest::Sgd(sgd) => sgd.learning_rate,
            OptimizerRequest::AdamW(adamw) => adamw.learning_rate.map(|rate| -rate),
        })
        .collect();
    assert_eq!(rates, [Some(0.1), Some(-0.1)]);
}

#[test]
fn random_search_is_reproducible_and_draws_within_its_ranges() {
    let parameters = [
        range("learning_rate", 0.001, 0.1, true),
        range("batch_size", 16.0, 256.0, false),
        parameter("activation", "relu,gelu"),
    ];
    let first = values(&random(&parameters, 100, 7));
    assert_eq!(first, values(&random(&parameters, 100, 7)));
    assert_ne!(first, values(&random(&parameters, 100, 8)));
    // Draws of a parameter do not depend on the others.
    let alone = values(&random(&parameters[..1], 10, 7));
    assert!(
        first
            .iter()
            .zip(&alone)
            .all(|(all, alone)| all.starts_with(alone.as_str()))
    );
    let mut below = 0;
    for line in &first {
        let parts: Vec<&str> = line.split(' ').collect();
        let rate: f64 = parts[0].parse().expect("a number");
        let batch: u32 = parts[1].parse().expect("a whole number");
        assert!(
            (0.001..=0.1).contains(&rate) && (16..=256).contains(&batch),
            "{line}"
        );
        assert!(parts[0].len() <= 8, "four significant digits: {line}");
        below += u32::from(rate < 0.01);
    }
    assert!(
        (35..=65).contains(&below),
        "half of the logarithms: {below}"
    );
}

#[test]
fn random_search_finds_no_configuration_twice() {
    let few = [
        parameter("activation", "relu,gelu"),
        parameter("nesterov", "true,false"),
    ];
    let mut found = values(&random(&few, 4, 1));
    found.sort_unstable();
    assert_eq!(
        found,
        ["gelu false", "gelu true", "relu false", "relu true"]
    );
    let refused = refusal(&random(&few, 5, 1));
    assert!(
        refused.starts_with(
            "spec.random.configurations: only 4 different configurations were found, not 5"
        ),
        "{refused}"
    );
}

#[test]
fn what_is_wrong_with_parameters_is_named_by_field() {
    let parameters = [
        parameter("learning_rat", "0.1"),
        parameter("dataset", "mnist,synthetic"),
        parameter("hidden", "64,wide"),
        parameter("hidden", "32"),
        parameter("architecture.activation", "relu"),
    ];
    let refused = |indices: &[usize]| {
        let chosen: Vec<Parameter> = indices
            .iter()
            .map(|&index| parameters[index].clone())
            .collect();
        refusal(&sweep(&chosen))
    };
    assert_eq!(
        refused(&[0]),
        "spec.parameters[0].field: a job spec has no field \"learning_rat\"; did you mean \"learning_rate\"?"
    );
    assert_eq!(
        refused(&[1]),
        "spec.parameters[0].field: data.dataset is the same for all trials: set it in the job"
    );
    assert_eq!(
        refused(&[4, 2]),
        "spec.parameters[1].values: \"wide\" is not widths joined by \"-\", such as 128-64, or none"
    );
    assert_eq!(
        refused(&[2, 3]).lines().next(),
        Some("spec.parameters[1].field: architecture.hidden is given twice")
    );
}

#[test]
fn contradictions_are_refused() {
    let rate = || range("learning_rate", 0.1, 1.0, false);
    let both = Parameter {
        values: vec!["1".to_owned()],
        ..rate()
    };
    for (request, expected) in [
        (sweep(&[rate()]), "range: is drawn from by random search"),
        (random(&[both], 1, 0), "range: excludes values"),
        (
            random(&[range("learning_rate", 1.0, 0.1, false)], 1, 0),
            "not from 1 to 0.1",
        ),
        (
            random(&[range("learning_rate", 0.0, 0.1, true)], 1, 0),
            "above 0 for its logarithm",
        ),
        (
            random(&[range("activation", 0.0, 0.1, false)], 1, 0),
            "activation takes no numbers",
        ),
        (
            random(&[], 1, 0),
            "parameters: must have at least one field",
        ),
        (
            random(&[rate()], 0, 0),
            "random.configurations: must be at least 1",
        ),
        (
            random(&[rate()], 501, 0),
            "would have 501 trials, and may have 500",
        ),
        (
            sweep(&[parameter("epochs", "1,2,1")]),
            "\"1\" is given twice",
        ),
        (
            sweep(&[parameter("name", "a,b")]),
            "name is the same for all trials",
        ),
        (
            SweepRequest {
                seeds: 2,
                ..sweep(&[parameter("seed", "1,2")])
            },
            "seeds: must not be set if seed is among the parameters",
        ),
        (
            SweepRequest {
                halving: Some(Halving {
                    factor: 3,
                    min_epochs: 1,
                }),
                ..sweep(&[parameter("epochs", "1,2")])
            },
            "epochs follow from successive halving",
        ),
    ] {
        let refused = refusal(&request);
        assert!(refused.contains(expected), "{expected} in {refused}");
    }
    let many: Vec<String> = (1..=23).map(|width| width.to_string()).collect();
    let many = |field| parameter(field, &many.join(","));
    let refused = refusal(&sweep(&[many("hidden"), many("batch_size")]));
    assert!(refused.contains("would have 529 trials"), "{refused}");
}
