//! `digits dataset show`: describes a data set and draws samples of it.

use super::message;
use crate::{
    args::{ReadFolder, SetPart, ShowDataset},
    context::Context,
    data_source::{self, Loaded},
    image_source,
};
use digits_checkpoint::manifest::PictureNormalization;
use digits_cli::{
    Error,
    contact_sheet::{self, ContactSheet},
    error::write_file,
    format,
    render::{Column, Table, fields},
};
use digits_dataset::{Dataset, messages, mnist, pushed::Reference, synthetic};
use digits_proto::{json, v1};

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
    let (dataset, message) = load(&args, context).await?;
    let sheet = ContactSheet {
        set: match args.part {
            SetPart::Train => &dataset.train,
            SetPart::Test => &dataset.test,
        },
        names: &dataset.label_names,
    };
    let drawn = match &args.output {
        None => contact_sheet::terminal(sheet, &context.style),
        Some(path) => {
            let png = contact_sheet::png(sheet, args.samples.map(|count| count as usize));
            write_file(path, &png)?;
            vec![format!("{}: {} bytes", path.display(), png.len())]
        }
    };
    context.show(
        || json::display(&message),
        || {
            let mut lines = fields(&about(&message), context.width());
            lines.push(String::new());
            if message.label_names.len() <= COUNTED {
                lines.extend(context.table(&counts(&message)));
                lines.push(String::new());
            }
            lines.extend(drawn);
            lines
        },
    )
}

/// A data set, and its description.
async fn load(args: &ShowDataset, context: &Context) -> Result<(Dataset, v1::Dataset), Error> {
    let name = args.dataset.as_str();
    if name == mnist::NAME || name == synthetic::NAME || name.contains(std::path::MAIN_SEPARATOR) {
        let Loaded { dataset, notes } =
            data_source::load(name, &args.read, false, data_source::progress(context)).await?;
        for note in notes {
            context.hint(&format!("warning: {note}"));
        }
        let message = message::local(&dataset);
        return Ok((dataset, message));
    }
    if args.read != ReadFolder::default() {
        return Err(Error::Usage(format!(
            "{name} was pushed already: --transpose, --labels-from, --invert, --test-fraction, --size, --label-column and --white are for files of this machine"
        )));
    }
    let reference: Reference = name.parse()?;
    let Some(url) = &args.storage else {
        return Err(Error::Usage(format!(
            "{name} is neither mnist nor synthetic: if it was pushed, name its storage with --storage URL or \
             DIGITS_STORAGE; if it is a folder or file, write its path with a `/`"
        )));
    };
    let (dataset, listed) = image_source::load_pushed(url, &reference).await?;
    Ok((dataset, messages::pushed(listed)))
}

fn about(it: &v1::Dataset) -> Vec<(&'static str, String)> {
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
        let at = format::time(Some(at));
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
    let pictures = message::pictures(match it.handwriting {
        true => PictureNormalization::Mnist,
        false => PictureNormalization::None,
    });
    let train = per_label(&it.train_label_counts);
    vec![
        ("data set", it.name.clone()),
        ("", it.description.clone()),
        ("digest", it.digest.clone()),
        (
            "images",
            format!(
                "{}x{} pixels, {} to train on and {} to test",
                it.height,
                it.width,
                format::grouped(it.train_images),
                format::grouped(it.test_images)
            ),
        ),
        ("labels", labels),
        ("per label", train),
        ("pictures", pictures.to_owned()),
        (
            "size",
            match it.size_bytes {
                0 => String::new(),
                bytes => format!("{} bytes on the storage", format::grouped(bytes)),
            },
        ),
        ("pushed", pushed.unwrap_or_default()),
        (
            "to train",
            match it.superseded {
                _ if it.size_bytes == 0 => String::new(),
                true => format!("digits train --dataset {}", message::reference(it)),
                false => format!("digits train --dataset {}", it.name),
            },
        ),
    ]
}

/// Smallest, median and largest number of images of a label.
fn per_label(counts: &[u64]) -> String {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    match (sorted.first(), sorted.last()) {
        (Some(&least), Some(&most)) => format!(
            "{} to {} images to train on, half of the labels have at least {}",
            format::grouped(least),
            format::grouped(most),
            format::grouped(sorted[sorted.len() / 2])
        ),
        _ => String::new(),
    }
}

fn counts(it: &v1::Dataset) -> Table {
    let mut table = Table::new(&[
        ("label", Column::Text),
        ("train", Column::Number),
        ("test", Column::Number),
    ]);
    let counts = it.train_label_counts.iter().zip(&it.test_label_counts);
    for (name, (&train, &test)) in it.label_names.iter().zip(counts) {
        table.row(vec![
            name.clone(),
            format::grouped(train),
            format::grouped(test),
        ]);
    }
    table
}
