//! `digits dataset show`: what is in a data set, in the terminal and as a sheet of samples.

use super::{list, short};
use crate::{
    args::{SetPart, ShowDataset},
    commands::fields,
    context::Context,
    source,
};
use digits_cli::{
    Error, json,
    render::{Align, Table},
    sheet::{self, Sheet},
    text,
};
use digits_dataset::{Dataset, mnist, pushed::Reference, synthetic};
use digits_proto::v1::{self, DatasetOrigin};

/// Labels that are counted line by line.
const COUNTED: usize = 40;
/// Labels that are named.
const NAMED: usize = 100;

/// Runs the command.
pub async fn run(args: ShowDataset, context: &Context) -> Result<(), Error> {
    if let Some(path) = &args.output
        && path
            .extension()
            .is_none_or(|it| !it.eq_ignore_ascii_case("png"))
    {
        let shown = path.display();
        return Err(Error::Usage(format!("{shown}: name the file .png")));
    }
    let (dataset, message) = load(&args).await?;
    let sheet = Sheet {
        set: match args.part {
            SetPart::Train => &dataset.train,
            SetPart::Test => &dataset.test,
        },
        names: &dataset.label_names,
    };
    let drawn = match &args.output {
        None => sheet::terminal(sheet, &context.style),
        Some(path) => {
            let png = sheet::png(sheet, args.samples.map(|count| count as usize));
            std::fs::write(path, &png).map_err(|source| Error::Write {
                path: path.clone(),
                source,
            })?;
            vec![format!("{}: {} bytes", path.display(), png.len())]
        }
    };
    if context.json {
        return context.document(&json::of(&message));
    }
    context.print(about(&message))?;
    context.print([String::new()])?;
    if message.label_names.len() <= COUNTED {
        context.table(&counts(&message))?;
        context.print([String::new()])?;
    }
    context.print(drawn)
}

/// A data set, and what is told of it.
async fn load(args: &ShowDataset) -> Result<(Dataset, v1::Dataset), Error> {
    let name = args.dataset.as_str();
    if name == mnist::NAME || name == synthetic::NAME || name.contains(std::path::MAIN_SEPARATOR) {
        let dataset = source::load_here(name).await?;
        let message = message(&dataset);
        return Ok((dataset, message));
    }
    let reference: Reference = name.parse()?;
    let Some(url) = &args.storage else {
        return Err(Error::Usage(format!(
            "{name} is none of mnist and synthetic: say where it was pushed with --storage URL or DIGITS_STORAGE, or \
             write a folder's path with a `/`"
        )));
    };
    let (dataset, listed) = source::load_pushed(url, &reference).await?;
    Ok((dataset, list::message(listed)))
}

/// What is told of a data set of this machine.
fn message(dataset: &Dataset) -> v1::Dataset {
    let pixels = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let built_in = [mnist::NAME, synthetic::NAME].contains(&dataset.name.as_str());
    v1::Dataset {
        name: dataset.name.clone(),
        height: pixels(dataset.height()),
        width: pixels(dataset.width()),
        label_names: dataset.label_names.clone(),
        digest: dataset.digest.clone(),
        origin: match built_in {
            true => DatasetOrigin::BuiltIn.into(),
            false => DatasetOrigin::Unspecified.into(),
        },
        train_images: dataset.train.images.count as u64,
        test_images: dataset.test.images.count as u64,
        train_label_counts: dataset.train.class_counts(dataset.classes()),
        test_label_counts: dataset.test.class_counts(dataset.classes()),
        handwriting: built_in,
        ..v1::Dataset::default()
    }
}

fn about(it: &v1::Dataset) -> Vec<String> {
    let mut labels = format!("{}: ", it.label_names.len());
    let named: Vec<&str> = it
        .label_names
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect();
    labels.push_str(&named.join(" "));
    if it.label_names.len() > NAMED {
        labels.push_str(" …");
    }
    let pushed = it.pushed_at.as_ref().map(|at| {
        let at = text::time(Some(at));
        let by = match it.pushed_by.as_str() {
            "" => String::new(),
            by => format!(" by {by}"),
        };
        let newer = if it.superseded {
            "; the name alone means newer data"
        } else {
            ""
        };
        format!("{at}{by}{newer}")
    });
    let pictures = match it.handwriting {
        true => "ink is found and centred, as MNIST's",
        false => "only scaled to the size",
    };
    let train = per_label(&it.train_label_counts);
    fields(&[
        ("data set", it.name.clone()),
        ("", it.description.clone()),
        ("digest", it.digest.clone()),
        (
            "images",
            format!(
                "{}x{} pixels, {} to train on and {} to test",
                it.height,
                it.width,
                text::grouped(it.train_images),
                text::grouped(it.test_images)
            ),
        ),
        ("labels", labels),
        ("per label", train),
        ("pictures", pictures.to_owned()),
        (
            "size",
            match it.size_bytes {
                0 => String::new(),
                bytes => format!("{} bytes on the storage", text::grouped(bytes)),
            },
        ),
        ("pushed", pushed.unwrap_or_default()),
        (
            "to train",
            match it.superseded {
                _ if it.size_bytes == 0 => String::new(),
                true => format!("digits train --dataset {}@{}", it.name, short(&it.digest)),
                false => format!("digits train --dataset {}", it.name),
            },
        ),
    ])
}

/// The least, the middle and the most.
fn per_label(counts: &[u64]) -> String {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    match (sorted.first(), sorted.last()) {
        (Some(&least), Some(&most)) => format!(
            "{} to {} images to train on, half of the labels have at least {}",
            text::grouped(least),
            text::grouped(most),
            text::grouped(sorted[sorted.len() / 2])
        ),
        _ => String::new(),
    }
}

fn counts(it: &v1::Dataset) -> Table {
    let mut table = Table::new(&[
        ("label", Align::Left),
        ("train", Align::Right),
        ("test", Align::Right),
    ]);
    let counts = it.train_label_counts.iter().zip(&it.test_label_counts);
    for (name, (&train, &test)) in it.label_names.iter().zip(counts) {
        table.row(vec![
            name.clone(),
            text::grouped(train),
            text::grouped(test),
        ]);
    }
    table
}
