//! `digits export --tensorboard`: writes a job as a run of TensorBoard.

use crate::{args::Export, context::Context, lookup};
use digits_checkpoint::{Loaded, Storage, id::CheckpointId};
use digits_cli::{Error, error::write_file};
use digits_proto::v1::Job;
use digits_tensorboard::{self as events, Event, append};
use serde_json::json;
use std::{collections::BTreeSet, fs, path::Path};

/// Rows of the curves, at most: what the trainer gives at once.
const ROWS: u32 = 10_000;

/// Runs the command.
pub async fn run(args: &Export, folder: &Path, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let id = lookup::job_id(&args.checkpoint, &trainer).await?;
    let job = trainer.job(&id).await?;
    let history = trainer.history(&id, ROWS).await?;
    let mut file = Run::new(&job);
    for row in &history.rows {
        file.write(&events::curve(row));
    }
    for event in events::finished(&job) {
        file.write(&event);
    }
    if history.total_rows > history.rows.len() as u64 {
        let (all, kept) = (history.total_rows, history.rows.len());
        context.hint(&format!("the curves have {kept} of {all} rows"));
    }
    let mut weights = BTreeSet::new();
    match &args.storage {
        Some(url) => {
            let storage = Storage::open_existing(url)?;
            for checkpoint in &job.checkpoint_ids {
                weights.extend(file.checkpoint(&storage, checkpoint, context).await);
            }
            let epochs: BTreeSet<u32> = history.rows.iter().map(|row| row.epoch).collect();
            let missing: Vec<u32> = epochs.difference(&weights).copied().collect();
            if !missing.is_empty() {
                let missing = ranges(&missing);
                context.hint(&format!(
                    "no histograms of the weights after epochs {missing}: these have no checkpoint on the storage"
                ));
            }
        }
        None => context.hint(
            "no histograms of the weights and no report card: --storage names the storage with the checkpoints",
        ),
    }
    let folder = folder.join(events::run_name(&job));
    fs::create_dir_all(&folder).map_err(|source| Error::Write {
        path: folder.clone(),
        source,
    })?;
    let path = folder.join(file_name(&job));
    write_file(&path, &file.bytes)?;
    let (shown, rows, size) = (path.display(), history.rows.len(), file.bytes.len());
    context.show(
        || {
            json!({
                "job_id": id, "format": "tensorboard", "file": shown.to_string(), "size_bytes": size,
                "rows": rows, "checkpoints": weights.len(), "pictures": file.pictures,
            })
        },
        || {
            let checkpoints = weights.len();
            vec![format!("{shown}: {rows} rows, weights of {checkpoints} checkpoints")]
        },
    )
}

/// The content of an event file.
struct Run {
    bytes: Vec<u8>,
    pictures: usize,
}

impl Run {
    fn new(job: &Job) -> Self {
        let mut run = Self {
            bytes: Vec::new(),
            pictures: 0,
        };
        run.write(&events::version(events::seconds(job.created_at.as_ref())));
        run.write(&events::started(job));
        run
    }

    fn write(&mut self, event: &Event) {
        append(&mut self.bytes, event);
    }

    /// Writes the histograms and the report card of a checkpoint; returns its epoch, or nothing, with
    /// a hint, where it cannot be read.
    async fn checkpoint(
        &mut self,
        storage: &Storage,
        text: &str,
        context: &Context,
    ) -> Option<u32> {
        let id: CheckpointId = text.parse().ok()?;
        // One that retention deleted is no fault.
        if let Ok(None) = digits_checkpoint::manifest(storage, id).await {
            return None;
        }
        match digits_checkpoint::load(storage, id).await {
            Ok(loaded) => {
                self.weights(&loaded);
                Some(loaded.manifest.lineage.epoch)
            }
            Err(error) => {
                context.hint(&format!("checkpoint {id} is left out: {error}"));
                None
            }
        }
    }

    fn weights(&mut self, loaded: &Loaded) {
        for event in events::checkpoint(loaded) {
            self.write(&event);
        }
        self.pictures += usize::from(loaded.manifest.report.is_some());
    }
}

/// The same for each export of a job, so that a later one replaces an earlier one.
fn file_name(job: &Job) -> String {
    let seconds = job.created_at.map_or(0, |time| time.seconds);
    format!("events.out.tfevents.{seconds}.digits")
}

/// Ascending numbers as text, such as `1-3, 7`.
fn ranges(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|before, after| before + 1 == *after);
    let texts = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(u32::to_string).collect(),
    });
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_epochs_are_shortened() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
        assert_eq!(ranges(&[4]), "4");
    }
}
