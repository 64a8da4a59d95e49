//! The accuracy that a preset promises on MNIST, for the one preset that trains quickly enough for
//! a test.

use crate::support::{Record, mnist, mnist_dir};
use digits_dataset::mnist::MnistSource;
use digits_testing::skip;
use digits_trainer::datasets::Catalog;
use digits_trainer::spec::{JobRequest, resolve};
use digits_trainer::train::run;

#[test]
fn the_fast_preset_errs_on_at_most_1_7_percent() {
    let Some(dir) = mnist_dir() else {
        return skip(
            "the_fast_preset_errs_on_at_most_1_7_percent",
            "set DIGITS_MNIST_DIR to a folder with MNIST's four files",
        );
    };
    let spec = JobRequest {
        preset: "fast".to_owned(),
        device: Some("cpu".to_owned()),
        ..JobRequest::default()
    };
    let catalog = Catalog::open(MnistSource::default(), Vec::new()).expect("a catalog");
    let resolved = resolve(&spec, &catalog, None).expect("a good preset");
    let plan = resolved.plan.train;
    let outcome = run(&plan, &mnist(&dir), None, &mut Record::default()).expect("a training");
    let test = outcome.test.expect("completed");
    let seconds = outcome.train_seconds + outcome.validation_seconds;
    println!("{} of {} right, {seconds:.2} s", test.correct, test.images);
    assert!(test.accuracy() >= 0.983, "{}", test.accuracy());
}
