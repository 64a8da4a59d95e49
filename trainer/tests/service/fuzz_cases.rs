//! The inputs of the fuzz targets that link libtorch (`fuzz/cases`).

use digits_fuzz::replay;
use digits_fuzz_trainer::TARGETS;

#[test]
fn inputs_of_fuzz_targets_are_refused_or_answered() {
    for target in TARGETS {
        assert!(replay(*target) > 0, "{} has no inputs", target.0);
    }
}
