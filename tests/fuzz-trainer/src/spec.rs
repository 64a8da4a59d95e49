//! Job specs, in JSON and in their encoded form.

use digits_dataset::mnist::MnistSource;
use digits_trainer::{
    datasets::Catalog,
    spec::{SpecError, resolve},
    wire::SpecMessage,
};
use std::sync::LazyLock;

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::open(MnistSource::default(), Vec::new()).expect("no folder"));

/// A spec is refused, or resolved to one that is complete: resolving it again changes nothing.
pub fn job_spec(data: &[u8]) {
    let Some((&form, rest)) = data.split_first() else {
        return;
    };
    let read = if form.is_multiple_of(2) {
        let text = String::from_utf8_lossy(rest);
        SpecMessage::from_json(&text).ok()
    } else {
        SpecMessage::decode(rest).ok()
    };
    let Some(message) = read else {
        return;
    };
    match resolve(&message.request(), &CATALOG, None) {
        Ok(job) => {
            let again = SpecMessage::from(&job.spec);
            let again = resolve(&again.request(), &CATALOG, None);
            assert_eq!(again.expect("it was accepted").spec, job.spec);
            SpecMessage::from(&job.spec)
                .lineage()
                .expect("numbers that JSON has");
        }
        Err(SpecError::Invalid(violations)) => assert!(!violations.is_empty()),
        Err(error) => panic!("{error}"),
    }
}
