//! The job database: jobs, their events and curves, the checkpoints that they publish, and sweeps,
//! in SQLite.
//!
//! One thread owns the database; everybody else sends it closures through a bounded channel. The
//! writes that wait there are carried out in one transaction (each closure in its own savepoint)
//! and answered after the commit, so that many small ones share one fsync and nothing is answered
//! before it is durable. Reads come after the writes, and succeed whether or not there is room to
//! write.
//!
//! The files of the database are watched: what another program removes while the trainer runs is
//! written again, and nothing is accepted into a file that will vanish. With a journal, nothing is
//! committed that the shared storage does not have.
//!
//! Nothing here trains or publishes.

mod checkpoints;
mod claim;
mod database;
mod deliveries;
mod error;
mod events;
mod files;
mod group;
mod handle;
mod imports;
mod job_record;
mod jobs;
mod journal;
mod journaled;
mod lock;
mod not_written;
mod open;
mod outcome;
mod owner;
mod publications;
mod recover;
mod reserve;
mod runs;
mod schema;
mod signals;
mod sweep_record;
mod sweeps;
mod tracking;
mod transaction;
mod trials;
mod waiting;

pub use checkpoints::{CheckpointIntent, IntentState};
pub use claim::{MAX_CRASHES, Machine};
pub use database::DatabaseState;
pub use deliveries::{Backlog, Delivery};
pub use error::StoreError;
pub use events::{Sampled, StoredEvent};
pub use files::Loss;
pub use handle::Store;
pub use imports::ImportUse;
pub use job_record::Job;
pub use jobs::{JobFilter, NewJob, Submitted};
pub use journal::{JournalLimits, JournalSettings, JournalState, Takeover};
pub use outcome::JobOutcome;
pub use publications::{Publication, Published};
pub use recover::{Crash, Recovery, Survivors};
pub use runs::{Run, TakenIn};
pub use signals::Signals;
pub use sweep_record::{Sweep, Trial};
pub use sweeps::{NewSweep, SweepSubmitted};
pub use tracking::{Position, Untracked, UntrackedJob};
pub use trials::ActiveSweep;
pub use waiting::Waiting;
