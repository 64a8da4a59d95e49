//! Translates names of the gRPC API in the services' messages into words of the command line: fields
//! into flags and arguments, methods into commands, values of enums into values of flags.

/// Fields of requests, by their path below `spec.` or `header.` where they are there, and what the
/// command line calls them: flags, arguments in capitals, or words where nothing sets them.
const FIELDS: &[(&str, &str)] = &[
    // SubmitJob
    ("request_id", "--request-id"),
    ("spec", "the job"),
    ("preset", "--preset"),
    ("name", "--name"),
    ("labels", "--label"),
    ("spec.model", "--model"),
    ("header.model", "--model"),
    // A flag of some commands and an argument of others.
    ("model", "model"),
    ("data", "the data"),
    ("data.dataset", "--dataset"),
    ("data.split", "split of the images"),
    ("data.counts", "--train-count, --validation-count"),
    ("data.counts.train", "--train-count"),
    ("data.counts.validation", "--validation-count"),
    ("data.fractions", "split of the images"),
    ("data.fractions.train", "fraction to train on"),
    ("data.fractions.validation", "fraction to validate on"),
    ("data.split_seed", "seed of the split"),
    ("data.mean", "mean of the pixels"),
    ("data.std", "standard deviation of the pixels"),
    (
        "data.synthetic",
        "--synthetic-train, --synthetic-test, --synthetic-seed",
    ),
    ("data.synthetic.train_images", "--synthetic-train"),
    ("data.synthetic.test_images", "--synthetic-test"),
    ("data.synthetic.seed", "--synthetic-seed"),
    ("architecture", "--hidden, --activation"),
    ("architecture.hidden", "--hidden"),
    ("architecture.hidden.widths", "--hidden"),
    ("architecture.activation", "--activation"),
    ("architecture.negative_slope", "--negative-slope"),
    ("init_from", "--init-from"),
    ("sgd", "--optimizer sgd"),
    ("sgd.learning_rate", "--learning-rate"),
    ("sgd.momentum", "--momentum"),
    ("sgd.nesterov", "Nesterov momentum"),
    ("sgd.weight_decay", "--weight-decay"),
    ("adamw", "--optimizer adamw"),
    ("adamw.learning_rate", "--learning-rate"),
    ("adamw.beta1", "beta 1 of AdamW"),
    ("adamw.beta2", "beta 2 of AdamW"),
    ("adamw.epsilon", "epsilon of AdamW"),
    ("adamw.weight_decay", "--weight-decay"),
    ("constant", "--schedule constant"),
    ("step", "--schedule step"),
    (
        "step.every_epochs",
        "epochs between two steps of the schedule",
    ),
    ("step.factor", "factor of the schedule"),
    ("cosine", "--schedule cosine"),
    ("cosine.warmup", "warm-up of the schedule"),
    ("cosine.final_factor", "final factor of the schedule"),
    ("one_cycle", "--schedule one-cycle"),
    ("one_cycle.up", "rising part of the schedule"),
    ("one_cycle.initial_factor", "initial factor of the schedule"),
    ("one_cycle.final_factor", "final factor of the schedule"),
    ("batch_size", "--batch-size"),
    ("epochs", "--epochs"),
    ("seed", "--seed"),
    ("generator_skip", "--generator-skip"),
    ("device", "--device"),
    ("evaluation", "--validate-every"),
    ("evaluation.every_steps", "--validate-every"),
    ("evaluation.batch_size", "batch size of the validation"),
    ("publish", "--publish"),
    ("publish.policy", "--publish"),
    ("promotion", "--promotion"),
    ("limits", "--deadline"),
    ("limits.deadline", "--deadline"),
    ("augmentation", "--augment"),
    ("augmentation.enabled", "--augment"),
    ("augmentation.rotation_degrees", "--rotation"),
    ("augmentation.shear_degrees", "--shear"),
    ("augmentation.scale_min", "--scale"),
    ("augmentation.scale_max", "--scale"),
    // In the message about the other one.
    ("scale_max", "the largest factor"),
    ("augmentation.shift_pixels", "--shift"),
    ("augmentation.elastic_alpha", "--elastic"),
    ("augmentation.elastic_sigma", "--elastic"),
    ("augmentation.noise", "--noise"),
    ("augmentation.pen", "--pen"),
    ("augmentation.outlier_share", "--outlier-share"),
    ("augmentation.styles", "--styles"),
    ("augmentation.letters", "--letters"),
    (
        "regularization",
        "--dropout, --label-smoothing, --ema-decay, --clip-norm",
    ),
    ("regularization.label_smoothing", "--label-smoothing"),
    ("regularization.dropout", "--dropout"),
    ("regularization.ema_decay", "--ema-decay"),
    ("regularization.max_gradient_norm", "--clip-norm"),
    ("early_stopping", "--early-stopping"),
    ("early_stopping.patience_rows", "--early-stopping"),
    ("precision", "--precision"),
    ("calibrate", "--calibrate"),
    ("report", "--report"),
    // SubmitSweep: below `spec.job` are the fields of a job.
    ("job", "the job"),
    ("parameters", "--grid"),
    ("parameters.field", "--grid"),
    ("parameters.values", "--grid"),
    ("parameters.range", "--range"),
    ("parameters.range.low", "--range"),
    ("parameters.range.high", "--range"),
    ("parameters.range.log", "--log-range"),
    ("seeds", "--seeds"),
    ("random", "--random"),
    ("random.configurations", "--random"),
    ("random.seed", "--random-seed"),
    ("halving", "--halving"),
    ("halving.factor", "--halving"),
    ("halving.min_epochs", "--min-epochs"),
    ("sweep_id", "SWEEP"),
    // Jobs
    ("job_id", "JOB"),
    ("states", "--state"),
    ("after_sequence", "--after-sequence"),
    ("max_rows", "--max-rows"),
    ("page_size", "--limit"),
    ("page_token", "the page"),
    // Checkpoints and serving
    ("checkpoint_id", "CHECKPOINT"),
    ("expected_sequence", "--expected-sequence"),
    ("to_sequence", "--to"),
    ("role", "--canary, --shadow"),
    ("share", "--canary"),
    ("by", "--by"),
    ("measure_again", "--again"),
    // ImportCheckpoint
    ("header", "the import"),
    ("header.checkpoint_id", "--checkpoint-id"),
    ("piece", "the file"),
    ("activation", "--activation"),
    ("negative_slope", "--negative-slope"),
    ("batch_norm", "--batch-norm"),
    ("batch_norm_epsilon", "--batch-norm-eps"),
    ("dataset", "--dataset"),
    ("input", "--height, --width, --scale, --mean, --std"),
    ("input.height", "--height"),
    ("input.width", "--width"),
    ("input.scale", "--scale"),
    ("input.mean", "--mean"),
    ("input.std", "--std"),
    ("label_names", "--labels"),
    ("picture_normalization", "--pictures"),
    ("temperature", "--temperature"),
    // Predict
    ("images", "the picture"),
    ("pixels", "the picture"),
    ("pictures", "the picture"),
    ("pictures.encoded", "the picture"),
    ("expect", "what is expected in a picture"),
    ("min_probability", "--min-probability"),
    ("routing_key", "routing key"),
    ("normalize_pixels", "normalization of the pixels"),
    ("top_k", "--top"),
];

/// Methods, and the commands that call them or do what they do.
const METHODS: &[(&str, &str)] = &[
    ("SubmitJob", "`digits train`"),
    ("GetJob", "`digits jobs JOB`"),
    ("ListJobs", "`digits jobs`"),
    ("CancelJob", "`digits cancel`"),
    ("WatchJob", "`digits watch`"),
    ("GetHistory", "`digits plot`"),
    ("ListPresets", "`digits presets`"),
    ("ListDatasets", "`digits dataset list`"),
    ("SubmitSweep", "`digits sweep`"),
    ("GetSweep", "`digits sweep show`"),
    ("ListSweeps", "`digits sweep list`"),
    ("CancelSweep", "`digits sweep cancel`"),
    ("ListCheckpoints", "`digits checkpoints`"),
    ("GetCheckpoint", "`digits checkpoints CHECKPOINT`"),
    ("Promote", "`digits promote`"),
    ("Rollback", "`digits rollback`"),
    ("Release", "`digits release`"),
    ("DropCandidates", "`digits drop`"),
    ("ListServing", "`digits serving`"),
    ("ReportCheckpoint", "`digits report`"),
    ("ImportCheckpoint", "`digits import`"),
    ("PredictStream", "`digits predict`"),
    ("Predict", "`digits predict`"),
    ("GetModel", "`digits model`"),
    ("ReportOutcome", "reports of outcomes"),
];

/// What the command line calls a field; its last word where it is unknown here.
pub fn field(path: &str) -> String {
    let path = without_indices(path);
    if let Some(name) = known(&path) {
        return name.to_owned();
    }
    let last = path.rsplit('.').next().unwrap_or_default();
    last.replace('_', " ")
}

/// Whether a field holds the picture of a request to classify it.
pub fn is_picture(path: &str) -> bool {
    known(&without_indices(path)) == Some("the picture")
}

/// A whole message, which may start with a field: `model: …`.
pub fn message(message: &str) -> String {
    match message.split_once(": ") {
        Some((path, rest)) if known(path).is_some() => {
            format!("{}: {}", field(path), text(rest))
        }
        _ => text(message),
    }
}

/// A text whose names of fields, methods and values are translated. A name of one lower-case word
/// stays, for it is a word of the sentence.
pub fn text(text: &str) -> String {
    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '.';
    let mut translated = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let (before, tail) = rest.split_at(start);
        let end = tail.find(|it| !is_name(it)).unwrap_or(tail.len());
        let (name, after) = tail.split_at(end);
        // A full stop ends a sentence.
        let trimmed = name.trim_end_matches('.');
        translated.push_str(before);
        translated.push_str(&word(trimmed));
        translated.push_str(&name[trimmed.len()..]);
        rest = after;
    }
    translated.push_str(rest);
    translated
        .replace("call `digits", "run `digits")
        .replace("ask `digits", "run `digits")
}

fn word(name: &str) -> String {
    if let Some((_, command)) = METHODS.iter().find(|(method, _)| *method == name) {
        return (*command).to_owned();
    }
    let of_several_words = name.contains(['_', '.']);
    if of_several_words && let Some(flag) = known(name) {
        return flag.to_owned();
    }
    if is_value(name) {
        return name.to_ascii_lowercase().replace('_', "-");
    }
    name.to_owned()
}

/// Values of enums that flags take.
const VALUES: &[&str] = &[
    "FLOAT32",
    "TF32",
    "BFLOAT16",
    "EVERY_EPOCH",
    "BEST",
    "FINAL",
    "LATEST",
    "IF_BETTER",
    "MANUAL",
    "QUEUED",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "NONE",
    "PRIMARY",
    "CANARY",
    "SHADOW",
];

fn is_value(name: &str) -> bool {
    VALUES.contains(&name) || ACTIVATIONS.contains(&name)
}

/// Values of `--activation`.
const ACTIVATIONS: &[&str] = &[
    "RELU",
    "SCALED_TANH",
    "GELU",
    "TANH",
    "SIGMOID",
    "LEAKY_RELU",
];

fn known(path: &str) -> Option<&'static str> {
    let find = |path: &str| FIELDS.iter().find(|(name, _)| *name == path);
    let inner = path
        .strip_prefix("spec.job.")
        .or_else(|| path.strip_prefix("spec."))
        .or_else(|| path.strip_prefix("header."))
        .unwrap_or(path);
    find(path).or_else(|| find(inner)).map(|(_, name)| *name)
}

/// A path without the positions in lists: `pictures.encoded` of `pictures.encoded[3]`.
fn without_indices(path: &str) -> String {
    let parts = path.split('.');
    let names: Vec<&str> = parts
        .map(|part| part.split('[').next().unwrap_or_default())
        .collect();
    names.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::json::DESCRIPTORS;
    use std::collections::BTreeSet;

    /// Requests of methods that no command calls.
    const NOT_CALLED: [&str; 1] = ["ReportOutcomeRequest"];

    fn services() -> impl Iterator<Item = prost_reflect::ServiceDescriptor> {
        DESCRIPTORS
            .services()
            .filter(|it| it.package_name() == "digits.v1")
    }

    fn paths(
        message: &prost_reflect::MessageDescriptor,
        above: &str,
        found: &mut BTreeSet<String>,
    ) {
        for field in message.fields() {
            let path = format!("{above}{}", field.name());
            found.insert(path.clone());
            if let prost_reflect::Kind::Message(inner) = field.kind()
                && inner.package_name() == "digits.v1"
                && !field.is_map()
            {
                paths(&inner, &format!("{path}."), found);
            }
        }
    }

    #[test]
    fn every_field_of_every_request_has_a_name_of_the_command_line() {
        let mut found = BTreeSet::new();
        for method in services().flat_map(|it| it.methods().collect::<Vec<_>>()) {
            let request = method.input();
            if !NOT_CALLED.contains(&request.name()) {
                paths(&request, "", &mut found);
            }
        }
        assert!(found.contains("spec.augmentation.rotation_degrees"));
        // Set by the client itself, from no flag.
        let internal = ["want_input", "want_logits", "request"];
        let missing: Vec<&String> = found
            .iter()
            .filter(|path| known(path).is_none())
            .filter(|path| !internal.contains(&path.split('.').next().unwrap_or_default()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        for path in &found {
            let name = field(path);
            assert!(!name.contains(['_', '.']), "{path}: {name}");
        }
    }

    #[test]
    fn every_method_is_a_command() {
        for method in services().flat_map(|it| it.methods().collect::<Vec<_>>()) {
            assert_ne!(text(method.name()), method.name(), "no command for it");
        }
    }

    #[test]
    fn every_value_of_an_enum_in_a_request_is_translated() {
        for (name, prefix) in [
            ("Precision", "PRECISION_"),
            ("PublishPolicy", "PUBLISH_POLICY_"),
            ("PromotionPolicy", "PROMOTION_POLICY_"),
            ("Activation", "ACTIVATION_"),
            ("JobState", "JOB_STATE_"),
            ("ServingRole", "SERVING_ROLE_"),
        ] {
            let values = DESCRIPTORS.get_enum_by_name(&format!("digits.v1.{name}"));
            for value in values.expect(name).values().filter(|it| it.number() != 0) {
                let value = value.name().trim_start_matches(prefix).to_owned();
                let expected = value.to_ascii_lowercase().replace('_', "-");
                assert_eq!(text(&value), expected);
            }
        }
    }

    #[test]
    fn names_inside_of_texts_are_translated() {
        for (service, expected) in [
            (
                "needs a momentum: set sgd.momentum above 0",
                "needs a momentum: set --momentum above 0",
            ),
            (
                "which checkpoint is the last is known too late with publish.policy BEST: use EVERY_EPOCH or FINAL, or ask \
                 ReportCheckpoint after the job",
                "which checkpoint is the last is known too late with --publish best: use every-epoch or final, or run \
                 `digits report` after the job",
            ),
            (
                "expected_sequence is not the newest record, which is 3: call ListServing and retry with it",
                "--expected-sequence is not the newest record, which is 3: run `digits serving` and retry with it",
            ),
            (
                "there is no job x: ListJobs lists them",
                "there is no job x: `digits jobs` lists them",
            ),
            (
                "must be at most scale_max, 1, not 2",
                "must be at most the largest factor, 1, not 2",
            ),
            (
                "must be 28 pixels, not 3.5. MNIST has no name or seed.",
                "must be 28 pixels, not 3.5. MNIST has no name or seed.",
            ),
        ] {
            assert_eq!(text(service), expected);
        }
        assert_eq!(
            message("model: this server does not serve \"digts\"; it serves digits"),
            "model: this server does not serve \"digts\"; it serves digits"
        );
        assert_eq!(
            message("header.checkpoint_id: x is another checkpoint: make a new id"),
            "--checkpoint-id: x is another checkpoint: make a new id"
        );
        assert_eq!(field("spec.something.new_here"), "new here");
        assert_eq!(field("spec.architecture.hidden.widths[2]"), "--hidden");
        assert!(is_picture("pictures.encoded[0]") && !is_picture("model"));
    }
}
