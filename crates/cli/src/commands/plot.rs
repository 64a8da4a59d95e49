//! `digits plot`: draws the curves of a job, in the terminal or into an SVG or PNG file.

use crate::{args::Plot, context::Context, lookup};
use digits_cli::{
    Error,
    error::write_file,
    plot::{Curves, png, svg, terminal},
};
use digits_figure::Size;
use digits_proto::{json, v1::Job};
use serde_json::json;
use std::path::Path;

/// Lines of a plot in the terminal.
const LINES: usize = 24;

/// Runs the command.
pub async fn run(args: Plot, context: &Context) -> Result<(), Error> {
    let format = args.output.as_deref().map(format).transpose()?;
    let trainer = context.trainer()?;
    let id = lookup::job_id(&args.job, &trainer).await?;
    let job = trainer.job(&id).await?;
    let history = trainer.history(&id, args.max_rows).await?;
    let curves = Curves::new(title(&job), &history.rows, job.test.as_ref());
    let (Some(path), Some(format)) = (args.output, format) else {
        return context.show(
            || json::display(&history),
            || terminal(&curves, &context.style, LINES),
        );
    };
    let size = Size {
        width: args.width,
        height: args.height,
    };
    let bytes = match format {
        Format::Svg => svg(&curves, size).into_bytes(),
        Format::Png => png(&curves, size),
    };
    write_file(&path, &bytes)?;
    let (shown, rows) = (path.display(), history.rows.len());
    context.show(
        || json!({"path": shown.to_string(), "rows": rows, "bytes": bytes.len()}),
        || vec![format!("{shown}: {rows} rows")],
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

fn format(path: &Path) -> Result<Format, Error> {
    let extension = path
        .extension()
        .map(|it| it.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("svg") => Ok(Format::Svg),
        Some("png") => Ok(Format::Png),
        _ => Err(Error::Usage(format!(
            "{}: name the file .svg or .png",
            path.display()
        ))),
    }
}

fn title(job: &Job) -> String {
    let spec = job.resolved.as_ref().or(job.requested.as_ref());
    match spec {
        Some(spec) if !spec.name.is_empty() => spec.name.clone(),
        Some(spec) if !spec.preset.is_empty() => format!("{}  ({})", spec.preset, job.job_id),
        _ => job.job_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_of_the_file_gives_the_format() {
        assert_eq!(format(Path::new("a.SVG")).expect("svg"), Format::Svg);
        assert_eq!(format(Path::new("a/b.png")).expect("png"), Format::Png);
        assert_eq!(format(Path::new("a.pdf")).expect_err("pdf").exit_code(), 64);
        assert_eq!(format(Path::new("png")).expect_err("none").exit_code(), 64);
    }
}
