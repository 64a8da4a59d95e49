//! Keys on the storage, below its prefix.

use crate::{
    id::{CheckpointId, ModelName},
    trainer_name::TrainerName,
};

/// Digits of a sequence number in a key.
const SEQUENCE_DIGITS: usize = 20;
/// Largest sequence of a record. Logs grow by one, so none gets there; a larger number is no record,
/// or a stray file would end its log.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 32;

/// Folder of all checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The weights of a checkpoint.
pub(crate) const MODEL: &str = "model.safetensors";
/// The exam of a checkpoint.
pub(crate) const EXAM: &str = "exam.safetensors";
/// The commit of a checkpoint.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Marks a checkpoint that is about to be deleted.
pub(crate) const TOMBSTONE: &str = "tombstone.json";

/// Key of a checkpoint's file.
pub(crate) fn file(id: CheckpointId, name: &str) -> String {
    format!("{CHECKPOINTS}/{id}/{name}")
}

/// The checkpoint and the file of a key below [`CHECKPOINTS`].
pub(crate) fn parse_file(key: &str) -> Option<(CheckpointId, &str)> {
    let (id, name) = key
        .strip_prefix(CHECKPOINTS)?
        .strip_prefix('/')?
        .split_once('/')?;
    Some((id.parse().ok()?, name))
}

/// Folder of the marks of jobs.
pub(crate) const JOBS: &str = "jobs";

/// Key of the mark of a job that ended in `state` before its end.
pub(crate) fn unfinished(job: &str, state: &str) -> String {
    format!("{JOBS}/{job}/{state}.json")
}

/// The job and the state of a key below [`JOBS`].
pub(crate) fn parse_unfinished(key: &str) -> Option<(&str, &str)> {
    let (job, name) = key.strip_prefix(JOBS)?.strip_prefix('/')?.split_once('/')?;
    Some((job, name.strip_suffix(".json")?))
}

/// Folder of the attempts that train outside the trainer's process.
pub(crate) const RUNS: &str = "runs";

/// Folder of a job's attempts.
pub(crate) fn runs_of(job: &str) -> String {
    format!("{RUNS}/{job}")
}

/// Key of the record of an attempt.
pub(crate) fn run_record(job: &str, attempt: u32) -> String {
    format!("{RUNS}/{job}/{attempt}/attempt.pb")
}

/// Key of a report of an attempt.
pub(crate) fn run_report(job: &str, attempt: u32, number: u64) -> String {
    format!("{RUNS}/{job}/{attempt}/reports/{}.pb", digits(number))
}

/// Key of a resume bundle of an attempt.
pub(crate) fn run_bundle(job: &str, attempt: u32, number: u64) -> String {
    format!("{RUNS}/{job}/{attempt}/bundles/{}", digits(number))
}

/// Key of a file of the draft of a checkpoint of an attempt.
pub(crate) fn run_draft(job: &str, attempt: u32, number: u64, name: &str) -> String {
    format!(
        "{RUNS}/{job}/{attempt}/checkpoints/{}/{name}",
        digits(number)
    )
}

/// The job of a key below [`RUNS`].
pub(crate) fn parse_run(key: &str) -> Option<&str> {
    let (job, _) = key.strip_prefix(RUNS)?.strip_prefix('/')?.split_once('/')?;
    Some(job)
}

/// Folder of a trainer's epochs.
pub(crate) fn epochs(trainer: &TrainerName) -> String {
    format!("trainer/{trainer}/epochs")
}

/// Key of the record of an epoch.
pub(crate) fn epoch(trainer: &TrainerName, epoch: u64) -> String {
    format!("{}/{}", epochs(trainer), record_file(epoch))
}

/// The epoch of a key below [`epochs`].
pub(crate) fn parse_epoch(key: &str) -> Option<u64> {
    parse_record_file(key.rsplit('/').next()?)
}

/// Folder of a trainer's journal.
pub(crate) fn journal(trainer: &TrainerName) -> String {
    format!("trainer/{trainer}/journal")
}

/// Folder of the entries of an epoch.
pub(crate) fn journal_of(trainer: &TrainerName, epoch: u64) -> String {
    format!("{}/{}", journal(trainer), digits(epoch))
}

/// Key of an entry.
pub(crate) fn journal_entry(trainer: &TrainerName, epoch: u64, number: u64) -> String {
    format!("{}/{}", journal_of(trainer, epoch), digits(number))
}

/// Epoch and number of a key below [`journal`].
pub(crate) fn parse_journal_entry(key: &str) -> Option<(u64, u64)> {
    let (rest, number) = key.rsplit_once('/')?;
    let (_, epoch) = rest.rsplit_once('/')?;
    Some((parse_digits(epoch)?, parse_digits(number)?))
}

/// Folder of the snapshots of a trainer's database.
pub(crate) fn snapshots(trainer: &TrainerName) -> String {
    format!("trainer/{trainer}/snapshots")
}

/// Key of the snapshot after an entry.
pub(crate) fn snapshot(trainer: &TrainerName, epoch: u64, number: u64) -> String {
    let folder = snapshots(trainer);
    format!("{folder}/{}-{}.sqlite3", digits(epoch), digits(number))
}

/// Epoch and number of a key below [`snapshots`].
pub(crate) fn parse_snapshot(key: &str) -> Option<(u64, u64)> {
    let (_, name) = key.rsplit_once('/')?;
    let (epoch, number) = name.strip_suffix(".sqlite3")?.split_once('-')?;
    Some((parse_digits(epoch)?, parse_digits(number)?))
}

fn parse_digits(text: &str) -> Option<u64> {
    let plain = text.len() == SEQUENCE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// Folder of all serving logs.
pub(crate) const SERVING: &str = "serving";

/// Folder of a model's serving log.
pub(crate) fn log(model: &ModelName) -> String {
    format!("{SERVING}/{model}")
}

/// Key of a serving record.
pub(crate) fn record(model: &ModelName, sequence: u64) -> String {
    format!("{SERVING}/{model}/{}", record_file(sequence))
}

/// File name of record `sequence` of an append-only log.
#[must_use]
pub fn record_file(sequence: u64) -> String {
    format!("{}.json", digits(sequence))
}

fn digits(sequence: u64) -> String {
    format!("{sequence:0width$}", width = SEQUENCE_DIGITS)
}

/// The sequence, from 1, in the file name of a record; `None` for any other file.
#[must_use]
pub fn parse_record_file(name: &str) -> Option<u64> {
    // 20 digits may exceed u64; 0 is "no record".
    let sequence = record_digits(name)?.parse().ok()?;
    (1..=MAX_SEQUENCE).contains(&sequence).then_some(sequence)
}

fn record_digits(name: &str) -> Option<&str> {
    let digits = name.strip_suffix(".json")?;
    let plain = digits.len() == SEQUENCE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some(digits)
}

/// Whether a key has the form of a record's in a serving log, and a number that no log reaches.
pub(crate) fn is_stray_record(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    record_digits(name).is_some() && parse_record_file(name).is_none()
}

/// The model and the sequence of a key below [`SERVING`].
pub(crate) fn parse_record(key: &str) -> Option<(ModelName, u64)> {
    let (model, name) = key
        .strip_prefix(SERVING)?
        .strip_prefix('/')?
        .split_once('/')?;
    Some((model.parse().ok()?, parse_record_file(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_as_they_are_written() {
        let id = CheckpointId::generate();
        assert_eq!(parse_file(&file(id, MODEL)), Some((id, MODEL)));
        let mark = unfinished("j", "failed");
        assert_eq!(mark, "jobs/j/failed.json");
        assert_eq!(parse_unfinished(&mark), Some(("j", "failed")));
        for key in [
            run_record("j", 2),
            run_report("j", 2, 7),
            run_bundle("j", 2, 7),
            run_draft("j", 2, 7, MODEL),
        ] {
            assert!(key.starts_with(&runs_of("j")), "{key}");
            assert_eq!(parse_run(&key), Some("j"), "{key}");
        }
        let trainer: TrainerName = "t-1".parse().expect("a name");
        let key = epoch(&trainer, 3);
        assert_eq!(key, "trainer/t-1/epochs/00000000000000000003.json");
        assert_eq!(parse_epoch(&key), Some(3));
        let key = journal_entry(&trainer, 3, 7);
        assert_eq!(parse_journal_entry(&key), Some((3, 7)), "{key}");
        let key = snapshot(&trainer, 3, 0);
        assert_eq!(parse_snapshot(&key), Some((3, 0)), "{key}");
        let model = ModelName::default();
        for sequence in [1, 42, MAX_SEQUENCE] {
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
    fn numbers_beyond_any_log_are_stray() {
        for (number, is_stray) in [
            ("00000000000000000000", true),
            ("00000000000000000001", false),
            ("00000000004294967296", false),
            ("00000000004294967297", true),
            ("18446744073709551615", true),
            ("99999999999999999999", true),
            ("7", false),
            ("0000000000000000000x", false),
        ] {
            let key = format!("serving/digits/{number}.json");
            assert_eq!(is_stray_record(&key), is_stray, "{key}");
        }
    }

    #[test]
    fn other_keys_are_ignored() {
        for key in [
            "serving/digits/00000000000000000000.json",
            "serving/digits/7.json",
            "serving/digits/+0000000000000000007.json",
            "serving/digits/99999999999999999999.json",
            "serving/digits/18446744073709551615.json",
            "serving/digits/00000000004294967297.json",
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
