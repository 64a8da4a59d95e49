//! The serving log: `serving/<model>/<sequence>.json`, append-only.

use crate::id::CheckpointId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One record of the serving log of a model. Records are never changed; policy changes by
/// appending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServingRecord {
    /// Version of the layout, [`crate::manifest::FORMAT`].
    pub format: u32,
    /// The model version that clients see, as in the record's path. The first one is 1; it only
    /// grows.
    pub sequence: u64,
    /// Random per write attempt: after AlreadyExists a writer recognizes its own record by it.
    pub nonce: String,
    /// The checkpoints that serve, with their roles and shares.
    pub routes: Vec<Route>,
    /// Whether automatic promotion is held.
    pub hold: bool,
    /// Reason of the change.
    pub reason: Reason,
    /// Author of the record: the authenticated client where there is one, else free text.
    pub by: String,
    /// What an authenticated client says of itself or of the change. `None` in records without a
    /// note, and in those that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was written.
    pub at: Timestamp,
}

impl ServingRecord {
    /// The checkpoint that answers the requests which no canary takes.
    #[must_use]
    pub fn primary(&self) -> Option<CheckpointId> {
        self.primary_route().map(|route| route.checkpoint)
    }

    pub(crate) fn primary_route(&self) -> Option<&Route> {
        let mut routes = self.routes.iter();
        routes.find(|route| route.role == Role::Primary)
    }
}

/// A checkpoint and its role in serving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Its role.
    pub role: Role,
    /// Share of the requests that it answers, from 0 to 1; primary and canary make 1.
    pub share: f64,
    /// SHA-256 of the bytes of its `manifest.json` when it was promoted, in lower-case hexadecimal:
    /// a reader refuses any other manifest. `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<String>,
}

/// The role of a checkpoint in serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers the requests that no canary takes.
    Primary,
    /// A candidate that answers a share of the requests.
    Canary,
    /// A candidate whose predictions are compared but never returned.
    Shadow,
}

impl Role {
    /// Its name in metrics and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// Reason of a change to what is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Promoted by the promotion policy of a job.
    Published,
    /// Promoted, or candidates dropped, by an operator.
    Promoted,
    /// Rolled back to an earlier record by an operator.
    RolledBack,
    /// Hold released by an operator.
    Released,
}
