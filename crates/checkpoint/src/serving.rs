//! The serving log: which checkpoint serves, changed only by appending records.
//!
//! `serving/<model>/<sequence>.json`, numbered from 1 without gaps. Creating a number that does not
//! exist yet is the compare-and-swap: of two writers who saw the same head one appends and the
//! other gets [`AppendError::Lost`].

mod decision;
mod error;
mod guard;
mod log;
mod operator;
mod policy;
mod promotion;
mod routes;
mod sign;

pub use decision::{Decision, NotPromoted, PreviousPrimary, accuracy};
pub use error::{AppendError, InvalidRoutes, MAX_BY_CHARS, PromotionError};
pub use log::{Proposal, append, head, list, record};
pub(crate) use log::{any_record, expect_any_record, listing, newest_after, newest_trusted};
pub use operator::{Author, Candidate, drop_candidates, promote, release, rollback};
pub use policy::{Policy, PromotionRules, Scope};
pub use promotion::promote_published;
pub use sign::sign;
