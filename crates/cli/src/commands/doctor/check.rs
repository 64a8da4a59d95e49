//! Result and remedy of one check of `digits doctor`.

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In order.
    Ok,
    /// Something does not work; the role works without it.
    Warn,
    /// The role does not work.
    Fail,
}

/// A check with its result.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// The result.
    pub outcome: Outcome,
    /// What was found.
    pub message: String,
    /// What to do; empty when there is nothing to do.
    pub remedy: String,
}

impl Check {
    fn new(name: &str, outcome: Outcome, message: impl Into<String>, remedy: &str) -> Self {
        Self {
            name: name.to_owned(),
            outcome,
            message: message.into(),
            remedy: remedy.to_owned(),
        }
    }

    pub fn ok(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, message, "")
    }

    pub fn warn(name: &str, message: impl Into<String>, remedy: &str) -> Self {
        Self::new(name, Outcome::Warn, message, remedy)
    }

    pub fn fail(name: &str, message: impl Into<String>, remedy: &str) -> Self {
        Self::new(name, Outcome::Fail, message, remedy)
    }
}
