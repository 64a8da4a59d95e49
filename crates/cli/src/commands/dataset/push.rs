//! `digits dataset push`: writes a data set to the shared storage.

use super::message;
use crate::{
    args::PushDataset,
    context::Context,
    data_source::{self, Loaded},
};
use digits_checkpoint::{Storage, manifest::PictureNormalization};
use digits_cli::{Error, format};
use digits_dataset::{
    mnist,
    pushed::{self, DatasetName, Pinned, Push, Receipt},
};
use serde_json::json;

/// Runs the command.
pub async fn run(args: PushDataset, context: &Context) -> Result<(), Error> {
    let name = name(&args)?;
    let storage = Storage::open(&args.storage)?;
    let Loaded { dataset, notes } = data_source::load(
        &args.source,
        &args.read,
        args.handwriting,
        data_source::progress(context),
    )
    .await?;
    for note in &notes {
        context.hint(&format!("warning: {note}"));
    }
    let handwriting = args.handwriting || dataset.digest == mnist::content_digest();
    let push = Push {
        name,
        picture_normalization: match handwriting {
            true => PictureNormalization::Mnist,
            false => PictureNormalization::None,
        },
        description: args.description,
        by: args.by,
    };
    pushed::check(&dataset, &push)?;
    // A storage that lets two writers write the same key cannot be shared.
    storage.probe().await?;
    let pushing = data_source::pushing(context);
    let receipt = pushed::push(&storage, dataset, push).await;
    pushing.finish_and_clear();
    let receipt = receipt?;
    context.show(
        || {
            json!({
                "name": receipt.record.name,
                "digest": receipt.record.digest,
                "content_was_there": receipt.content_was_there,
                "name_was_there": receipt.name_was_there,
                "notes": notes,
                "record": receipt.record,
                "manifest": receipt.manifest,
            })
        },
        || lines(&receipt),
    )
}

fn name(args: &PushDataset) -> Result<DatasetName, Error> {
    let name = match (&args.name, args.source.as_str()) {
        (Some(name), _) => name,
        (None, mnist::NAME) => mnist::NAME,
        (None, _) => {
            let remedy = "give --name NAME, by which jobs will refer to the data set";
            return Err(Error::Usage(remedy.to_owned()));
        }
    };
    Ok(name.parse()?)
}

fn lines(receipt: &Receipt) -> Vec<String> {
    let Receipt {
        manifest,
        record,
        content_was_there,
        name_was_there,
    } = receipt;
    let did = match (content_was_there, name_was_there) {
        (true, true) => "was there already",
        (true, false) => "named; the data was there already, and its files are unchanged",
        (false, _) => "pushed",
    };
    // What it names is read as it was pushed now, whatever was pushed before.
    let pinned = Pinned {
        name: record.name.clone(),
        digest: record.digest.clone(),
        picture_normalization: record.picture_normalization,
    };
    vec![
        format!("{pinned} {did}"),
        format!(
            "{}x{} pixels, {} labels, {} images to train on and {} to test, {} bytes",
            manifest.height,
            manifest.width,
            manifest.labels.len(),
            format::grouped(manifest.train.count),
            format::grouped(manifest.test.count),
            format::grouped(manifest.size_bytes()),
        ),
        format!(
            "users' pictures are {}",
            message::pictures(manifest.picture_normalization)
        ),
        format!("train on it with: digits train --dataset {}", record.name),
    ]
}
