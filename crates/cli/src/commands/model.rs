//! `digits model`: shows what is served.

use super::checkpoints;
use crate::{args::Model, context::Context};
use digits_cli::{Error, format, render::fields};
use digits_proto::{json, v1::GetModelResponse};
use jiff::Timestamp;

/// Runs the command.
pub async fn run(args: Model, context: &Context) -> Result<(), Error> {
    let model = context.inference()?.model(&args.model).await?;
    context.show(
        || json::display(&model),
        || lines(&model, Timestamp::now(), context.width()),
    )
}

fn lines(model: &GetModelResponse, now: Timestamp, width: usize) -> Vec<String> {
    let mut refusals: Vec<String> = model
        .refusals
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    refusals.sort();
    let last = model.last_refusal.as_ref().map(|it| {
        format!(
            "record {}, {}: {} ({})",
            it.sequence, it.checkpoint_id, it.message, it.reason
        )
    });
    let faults: Vec<&str> = model
        .storage_faults
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    let behind = match model.behind_head {
        0 => String::new(),
        1 => ", 1 record behind it".to_owned(),
        count => format!(", {count} records behind it"),
    };
    let pinned = match model.pinned_sequence {
        0 => String::new(),
        sequence => format!("to record {sequence}, by --pin"),
    };
    let pairs = [
        ("model", model.model.clone()),
        ("head", format!("record {}{behind}", model.head_sequence)),
        ("pinned", pinned),
        (
            "storage",
            format!(
                "read {} ago",
                format::age(model.storage_read_at.as_ref(), now)
            ),
        ),
        ("storage faults", faults.join("; ")),
        ("refused", refusals.join(", ")),
        ("last refusal", last.unwrap_or_default()),
    ];
    let mut lines = fields(&pairs, width);
    for served in &model.served {
        let role = format::word(served.role().as_str_name(), "SERVING_ROLE_");
        lines.push(String::new());
        lines.push(format!(
            "{role}, {:.0} % of the requests, record {}, since {}",
            served.share * 100.0,
            served.sequence,
            format::time(served.since.as_ref())
        ));
        let checkpoint = served.checkpoint.iter();
        lines.extend(checkpoint.flat_map(|it| checkpoints::details(it, width)));
    }
    lines
}
