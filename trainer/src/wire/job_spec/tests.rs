use super::*;

/// Compares with a manifest of an earlier version.
#[test]
fn the_form_of_a_spec_in_manifests_does_not_change() {
    let text = r#"{"preset": "fast", "name": "Ziffern \"1\" ü", "labels": {"team": "a"}, "model": "digits",
        "data": {"dataset": "synthetic", "fractions": {"train": 0.9, "validation": 0.1}, "splitSeed": "7", "mean": 0.1307},
        "sgd": {"learningRate": 0.1, "momentum": 0.9, "nesterov": true},
        "oneCycle": {"up": 0.3, "initialFactor": 0.04}, "seed": "4294967295", "generatorSkip": "15962",
        "limits": {"deadline": "90.5s"}, "promotion": "PROMOTION_POLICY_MANUAL",
        "publish": {"policy": "PUBLISH_POLICY_BEST"}, "precision": "PRECISION_BFLOAT16"}"#;
    let spec = SpecMessage::from_json(text).expect("a spec");
    let lineage = spec.lineage().expect("written");
    let json = r#"{"data":{"dataset":"synthetic","fractions":{"train":0.9,"validation":0.1},"mean":0.1307000070810318,"split_seed":"7"},"generator_skip":"15962","labels":{"team":"a"},"limits":{"deadline":"90.500s"},"model":"digits","name":"Ziffern \"1\" ü","one_cycle":{"initial_factor":0.04,"up":0.3},"precision":"PRECISION_BFLOAT16","preset":"fast","promotion":"PROMOTION_POLICY_MANUAL","publish":{"policy":"PUBLISH_POLICY_BEST"},"seed":"4294967295","sgd":{"learning_rate":0.1,"momentum":0.9,"nesterov":true}}"#;
    assert_eq!(lineage.json.to_string(), json);
    assert_eq!(
        lineage.protobuf,
        "0a0466617374120e5a69666665726e2022312220c3bc1a090a047465616d12016122066469676974732a260a0973796e7468657469631a1209cdccccccccccec3f119a9999999999b93f20072d39d6053e4214099a9999999999b93f11cdccccccccccec3f18016a1209333333333333d33f117b14ae47e17aa43f8001ffffffff0f8801da7ca201020802a80103b2010a0a08085a1080cab5ee01d00103"
    );
}

#[test]
fn a_spec_that_has_no_json_form_is_an_error() {
    let spec = |seconds| {
        let deadline = Some(prost_types::Duration { seconds, nanos: 0 });
        spec(|spec| spec.limits = Some(v1::LimitsSpec { deadline }))
    };
    let most = 315_576_000_000;
    assert!(spec(most).lineage().expect("written").json.is_object());
    let error = spec(most + 1).lineage().expect_err("refused").to_string();
    assert!(error.contains("duration out of range"), "{error}");
}

fn spec(change: impl FnOnce(&mut v1::JobSpec)) -> SpecMessage {
    let mut message = v1::JobSpec::default();
    change(&mut message);
    SpecMessage(message)
}

#[test]
fn a_resolved_spec_is_the_same_after_a_round_trip() {
    for preset in crate::spec::presets() {
        let message = SpecMessage::from(&preset.spec);
        assert_eq!(message.request(), preset.spec, "{}", preset.name);
    }
    let text = r#"{"preset": "fast", "name": "x", "labels": {"team": "a"}, "model": "digits",
        "data": {"dataset": "synthetic", "fractions": {"train": 0.9, "validation": 0.1}, "splitSeed": "7",
            "mean": 0.5, "std": 0.25, "synthetic": {"trainImages": 3, "testImages": 4, "seed": "5"}},
        "architecture": {"hidden": {"widths": [3, 4]}, "activation": "ACTIVATION_LEAKY_RELU", "negativeSlope": 0.2}, "initFrom": "y",
        "adamw": {"learningRate": 0.1, "beta1": 0.2, "beta2": 0.3, "epsilon": 0.4, "weightDecay": 0.5},
        "oneCycle": {"up": 0.3, "initialFactor": 0.04, "finalFactor": 0.05}, "batchSize": 1, "epochs": 2,
        "seed": "3", "generatorSkip": "4", "device": "cpu", "evaluation": {"everySteps": 5, "batchSize": 6},
        "publish": {"policy": "PUBLISH_POLICY_BEST"}, "promotion": "PROMOTION_POLICY_MANUAL",
        "limits": {"deadline": "90.5s"}, "augmentation": {"enabled": true, "rotationDegrees": 1, "shearDegrees": 2,
            "scaleMin": 3, "scaleMax": 4, "shiftPixels": 5, "elasticAlpha": 6, "elasticSigma": 7, "noise": 8,
            "pen": true, "outlierShare": 9, "styles": 10, "letters": 11},
        "regularization": {"labelSmoothing": 0.1, "dropout": 0.2, "emaDecay": 0.3, "maxGradientNorm": 0.4},
        "earlyStopping": {"patienceRows": 7}, "precision": "PRECISION_TF32", "calibrate": true, "report": true}"#;
    let message = SpecMessage::from_json(text).expect("a spec");
    assert_eq!(SpecMessage::from(&message.request()), message);
}

#[test]
fn values_of_a_newer_contract_are_not_recognized() {
    let deadline = |seconds, nanos| prost_types::Duration { seconds, nanos };
    let request = |deadline| {
        let limits = Some(v1::LimitsSpec { deadline });
        let spec = spec(|spec| {
            spec.limits = limits;
            spec.promotion = 77;
        });
        spec.request()
    };
    for (seconds, nanos) in [(0, 0), (-1, 0), (1, -5), (1, 1_000_000_000)] {
        let request = request(Some(deadline(seconds, nanos)));
        let found = request.limits.and_then(|limits| limits.deadline);
        assert_eq!(found, Some(Err(Unrecognized)), "{seconds} {nanos}");
    }
    let request = request(None);
    assert_eq!(request.promotion, Some(Err(Unrecognized)));
    assert_eq!(request.precision, None);
}

#[test]
fn equal_specs_have_equal_keys() {
    let labelled = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        let labels = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        spec(|spec| spec.labels = labels.collect()).key()
    };
    let many: Vec<(String, String)> = (0..30)
        .map(|i| (format!("k{i}"), format!("v{i}")))
        .collect();
    let forth = spec(|spec| spec.labels = many.iter().cloned().collect());
    let back = spec(|spec| spec.labels = many.iter().rev().cloned().collect());
    assert_eq!(forth.key(), back.key());
    assert_ne!(labelled(&[("a", "bc")]), labelled(&[("ab", "c")]));
    let sgd = job_spec::Optimizer::Sgd(v1::Sgd::default());
    assert_ne!(
        spec(|_| ()).key(),
        spec(|spec| spec.optimizer = Some(sgd)).key(),
        "an empty message is not an unset one"
    );
    let step = |factor| {
        let step = v1::StepSchedule {
            every_epochs: None,
            factor,
        };
        spec(|spec| spec.schedule = Some(job_spec::Schedule::Step(step))).key()
    };
    assert_ne!(step(None), step(Some(0.5)));
}
