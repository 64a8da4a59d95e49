use super::*;

fn spec(json: &str) -> SpecMessage {
    SpecMessage::from_json(json).expect(json)
}

fn adamw() -> SpecMessage {
    spec(r#"{"adamw": {}, "cosine": {}}"#)
}

#[test]
fn a_name_is_a_path_or_the_last_name_of_the_nearest_field() {
    let sgd = spec(r#"{"sgd": {}}"#);
    for (name, preset, expected) in [
        ("sgd.learning_rate", &sgd, "sgd.learning_rate"),
        ("learning_rate", &sgd, "sgd.learning_rate"),
        ("learning_rate", &adamw(), "adamw.learning_rate"),
        ("final_factor", &adamw(), "cosine.final_factor"),
        ("batch_size", &sgd, "batch_size"),
        ("seed", &sgd, "seed"),
        ("hidden", &sgd, "architecture.hidden"),
        ("momentum", &adamw(), "sgd.momentum"),
        ("optimizer", &sgd, "optimizer"),
    ] {
        let found = ParameterField::find(name, &spec("{}"), preset).expect(name);
        assert_eq!(found.path, expected);
    }
}

#[test]
fn a_name_that_no_field_has_or_that_the_spec_excludes_is_refused() {
    let message = |name: &str, spec: &SpecMessage| {
        let found = ParameterField::find(name, spec, &spec.clone());
        found.expect_err(name).to_string()
    };
    let empty = spec("{}");
    assert_eq!(
        message("learning_rat", &empty),
        "a job spec has no field \"learning_rat\"; did you mean \"learning_rate\"?"
    );
    assert_eq!(
        message("nonsense_at_all", &empty),
        "a job spec has no field \"nonsense_at_all\""
    );
    assert_eq!(
        message("momentum", &adamw()),
        "sgd.momentum belongs to sgd, and the job has another one, adamw"
    );
    // Of neither a preset's nor an own optimizer.
    assert_eq!(
        message("learning_rate", &empty),
        "\"learning_rate\" is the name of several fields: use one of sgd.learning_rate, adamw.learning_rate"
    );
}

#[test]
fn values_are_set_by_the_type_of_their_field() {
    let base = spec(r#"{"sgd": {"momentum": 0.5}, "architecture": {"hidden": {"widths": [9]}}}"#);
    for (path, value, expected) in [
        (
            "sgd.learning_rate",
            "0.03",
            r#"{"sgd": {"momentum": 0.5, "learning_rate": 0.03}}"#,
        ),
        ("epochs", "3", r#"{"epochs": 3, "sgd": {"momentum": 0.5}}"#),
        ("optimizer", "adamw", r#"{"adamw": {}}"#),
        ("optimizer", "SGD", r#"{"sgd": {"momentum": 0.5}}"#),
        (
            "schedule",
            "one-cycle",
            r#"{"sgd": {"momentum": 0.5}, "one_cycle": {}}"#,
        ),
        (
            "precision",
            "bfloat16",
            r#"{"sgd": {"momentum": 0.5}, "precision": "PRECISION_BFLOAT16"}"#,
        ),
        (
            "calibrate",
            "true",
            r#"{"sgd": {"momentum": 0.5}, "calibrate": true}"#,
        ),
        (
            "device",
            "cpu",
            r#"{"sgd": {"momentum": 0.5}, "device": "cpu"}"#,
        ),
    ] {
        let field = ParameterField::find(path, &spec("{}"), &base).expect(path);
        let set = field.set(&base, value).expect(value);
        let mut expected = v1::JobSpec::from(spec(expected));
        expected.architecture = v1::JobSpec::from(base.clone()).architecture;
        assert_eq!(v1::JobSpec::from(set), expected, "{path}");
    }
    let hidden = ParameterField::find("hidden", &base, &base).expect("a field");
    let widths = |value: &str| {
        let set = v1::JobSpec::from(hidden.set(&base, value).expect(value));
        set.architecture
            .and_then(|it| it.hidden)
            .expect("set")
            .widths
    };
    assert_eq!((widths("128-64"), widths("none")), (vec![128, 64], vec![]));
}

#[test]
fn a_value_of_another_type_is_refused_with_what_the_field_takes() {
    let base = spec("{}");
    for (path, value, expected) in [
        ("epochs", "-1", "\"-1\" is not a whole number"),
        (
            "epochs",
            "4294967296",
            "\"4294967296\" is not a whole number",
        ),
        ("sgd.momentum", "much", "\"much\" is not a number"),
        ("sgd.nesterov", "1", "\"1\" is not true or false"),
        ("optimizer", "lion", "\"lion\" is not one of sgd, adamw"),
        (
            "precision",
            "half",
            "\"half\" is not one of FLOAT32, TF32, BFLOAT16",
        ),
        (
            "hidden",
            "64,32",
            "\"64,32\" is not widths joined by \"-\", such as 128-64, or none",
        ),
    ] {
        let field = ParameterField::find(path, &base, &base).expect(path);
        let error = field.set(&base, value).expect_err(value);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_trial_is_labelled_and_named() {
    let trial = spec(r#"{"name": "wide", "labels": {"a": "b"}}"#).of_trial("s", 7);
    let trial = trial.request();
    assert_eq!(trial.name, "wide/7");
    let labels: Vec<String> = trial
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(labels, ["a=b", "sweep=s", "trial=7"]);
    assert_eq!(spec("{}").of_trial("s", 1).request().name, "");
}
