//! `digits plot`: the curves of a job, in the terminal or as a picture.

use super::filled;
use crate::{args::Plot, context::Context};
use digits_cli::{
    Error, Service, json,
    plot::{Curves, Size, png, svg, terminal},
};
use digits_proto::v1::{GetHistoryRequest, GetJobRequest, Job};
use serde_json::json;
use std::path::Path;

/// Lines of a plot in the terminal.
const LINES: usize = 24;

/// Runs the command.
pub async fn run(args: Plot, context: &Context) -> Result<(), Error> {
    let format = args.output.as_deref().map(format).transpose()?;
    let mut client = context.endpoints.training()?;
    let request = GetJobRequest {
        job_id: args.job.clone(),
    };
    let answer = client.get_job(request).await.map_err(Error::trainer)?;
    let job = filled(answer.into_inner().job, Service::Trainer, "job")?;
    let request = GetHistoryRequest {
        job_id: args.job,
        max_rows: args.max_rows,
    };
    let history = client
        .get_history(request)
        .await
        .map_err(Error::trainer)?
        .into_inner();
    let curves = Curves::new(title(&job), &history.rows, job.test.as_ref());
    let (Some(path), Some(format)) = (args.output, format) else {
        return match context.json {
            true => context.document(&json::of(&history)),
            false => context.print(terminal(&curves, &context.style, LINES)),
        };
    };
    let size = Size {
        width: args.width,
        height: args.height,
    };
    let bytes = match format {
        Format::Svg => svg(&curves, size).into_bytes(),
        Format::Png => png(&curves, size),
    };
    std::fs::write(&path, &bytes).map_err(|source| Error::Write {
        path: path.clone(),
        source,
    })?;
    let (shown, rows) = (path.display(), history.rows.len());
    match context.json {
        true => context
            .document(&json!({"path": shown.to_string(), "rows": rows, "bytes": bytes.len()})),
        false => context.print([format!("{shown}: {rows} rows")]),
    }
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
    fn the_name_of_the_file_tells_the_format() {
        assert_eq!(format(Path::new("a.SVG")).expect("svg"), Format::Svg);
        assert_eq!(format(Path::new("a/b.png")).expect("png"), Format::Png);
        assert_eq!(format(Path::new("a.pdf")).expect_err("pdf").exit_code(), 64);
        assert_eq!(format(Path::new("png")).expect_err("none").exit_code(), 64);
    }
}
