//! `digits doctor`: what this machine has and lacks, each with its remedy.

mod check;
mod machine;
mod services;

use crate::{
    args::{Doctor, Role},
    context::Context,
};
use check::{Check, Outcome};
use digits_cli::{
    Error,
    render::{Ink, Style},
};
use serde_json::{Value, json};

/// Runs the command.
pub async fn run(args: Doctor, context: &Context) -> Result<(), Error> {
    let wanted = |role| args.roles.is_empty() || args.roles.contains(&role);
    let mut checks = Vec::new();
    if wanted(Role::Trainer) {
        checks.extend(machine::trainer().await);
        checks.push(machine::mnist().await);
    }
    checks.push(machine::storage(args.storage.as_deref()).await);
    if wanted(Role::Trainer) {
        checks.extend(services::trainer(&context.endpoints).await);
    }
    if wanted(Role::Inference) {
        checks.push(machine::inference().await);
        checks.extend(services::inference(&context.endpoints).await);
    }
    let failed = checks
        .iter()
        .filter(|check| check.outcome == Outcome::Fail)
        .count();
    if context.json {
        let all: Vec<Value> = checks.iter().map(document).collect();
        context.document(&json!({ "ok": failed == 0, "checks": all }))?;
    } else {
        context.print(checks.iter().flat_map(|check| lines(check, &context.style)))?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(Error::Negative("1 check failed".to_owned())),
        count => Err(Error::Negative(format!("{count} checks failed"))),
    }
}

fn document(check: &Check) -> Value {
    let status = match check.outcome {
        Outcome::Ok => "ok",
        Outcome::Warn => "warn",
        Outcome::Fail => "fail",
    };
    let remedy = (!check.remedy.is_empty()).then_some(&check.remedy);
    json!({"name": check.name, "status": status, "message": check.message, "remedy": remedy})
}

fn lines(check: &Check, style: &Style) -> Vec<String> {
    let mark = match check.outcome {
        Outcome::Ok => style.paint(Ink::Good, style.choose("✔", "ok  ")),
        Outcome::Warn => style.paint(Ink::Warning, style.choose("!", "warn")),
        Outcome::Fail => style.paint(Ink::Bad, style.choose("✘", "FAIL")),
    };
    let blank = if style.unicode { " " } else { "    " };
    let mut lines = vec![format!("{mark} {:<18} {}", check.name, check.message)];
    if !check.remedy.is_empty() {
        let arrow = style.choose("→", "->");
        lines.push(format!("{blank} {:<18} {arrow} {}", "", check.remedy));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_lines() {
        let check = Check::fail("storage", "cannot write", "give it to this user");
        assert_eq!(
            lines(&check, &Style::plain(80)),
            [
                "FAIL storage            cannot write",
                "                        -> give it to this user"
            ]
        );
        assert_eq!(
            document(&Check::ok("gpu", "found")),
            json!({"name": "gpu", "status": "ok", "message": "found", "remedy": null})
        );
    }
}
