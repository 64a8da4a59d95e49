//! Where things lie on the storage, below its prefix.

use crate::id::{CheckpointId, ModelName};

/// Digits of a sequence number in a key.
const SEQUENCE_DIGITS: usize = 20;

/// Folder of all checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The weights of a checkpoint.
pub(crate) const MODEL: &str = "model.safetensors";
/// The exam of a checkpoint.
pub(crate) const EXAM: &str = "exam.safetensors";
/// The commit of a checkpoint.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Says that a checkpoint is about to be deleted.
pub(crate) const TOMBSTONE: &str = "tombstone.json";

/// Key of a checkpoint's file.
pub(crate) fn file(id: CheckpointId, name: &str) -> String {
    format!("{CHECKPOINTS}/{id}/{name}")
}

/// The checkpoint and the file that a key below [`CHECKPOINTS`] means.
pub(crate) fn parse_file(key: &str) -> Option<(CheckpointId, &str)> {
    let (id, name) = key
        .strip_prefix(CHECKPOINTS)?
        .strip_prefix('/')?
        .split_once('/')?;
    Some((id.parse().ok()?, name))
}

/// Folder of all serving logs.
pub(crate) const SERVING: &str = "serving";

/// Folder of a model's serving log.
pub(crate) fn log(model: &ModelName) -> String {
    format!("{SERVING}/{model}")
}

/// Key of a serving record.
pub(crate) fn record(model: &ModelName, sequence: u64) -> String {
    format!(
        "{SERVING}/{model}/{sequence:0width$}.json",
        width = SEQUENCE_DIGITS
    )
}

/// The model and the sequence that a key below [`SERVING`] means.
pub(crate) fn parse_record(key: &str) -> Option<(ModelName, u64)> {
    let (model, name) = key
        .strip_prefix(SERVING)?
        .strip_prefix('/')?
        .split_once('/')?;
    let digits = name.strip_suffix(".json")?;
    let plain = digits.len() == SEQUENCE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    // 20 digits may exceed u64; 0 is "no record".
    let sequence = plain.then(|| digits.parse().ok()).flatten()?;
    (sequence > 0).then_some((model.parse().ok()?, sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let id = CheckpointId::generate();
        assert_eq!(parse_file(&file(id, MODEL)), Some((id, MODEL)));
        let model = ModelName::default();
        for sequence in [1, 42, u64::MAX] {
            assert_eq!(
                parse_record(&record(&model, sequence)),
                Some((model.clone(), sequence))
            );
        }
        assert_eq!(
            record(&model, 7),
            "serving/digits/00000000000000000007.json"
        );
    }

    #[test]
    fn foreign_keys_mean_nothing() {
        for key in [
            "serving/digits/00000000000000000000.json",
            "serving/digits/7.json",
            "serving/digits/+0000000000000000007.json",
            "serving/digits/99999999999999999999.json",
            "serving/digits/00000000000000000007.json#1",
            "serving/Digits/00000000000000000007.json",
            "serving/00000000000000000007.json",
            "other",
        ] {
            assert_eq!(parse_record(key), None, "{key}");
        }
        for key in ["checkpoints/x/manifest.json", "checkpoints/manifest.json"] {
            assert_eq!(parse_file(key), None, "{key}");
        }
    }
}
