//! The inputs in `fuzz/cases`, a test for each target.

use digits_fuzz::{TARGETS, Target, replay};

/// Runs a target of `fuzz/fuzz_targets` on its inputs.
fn check(name: &str) {
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    let target: &Target = target.unwrap_or_else(|| panic!("there is no fuzz target {name}"));
    assert!(replay(*target) > 0, "{name} has no inputs");
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), tested);
        }
    };
}

targets! {
    manifest
    safetensors
    exam
    serving_record
    idx
    pictures
    grpc_web
    connect
    oip_tensors
    rest_json
    inference_requests
}
