//! Both services as child processes, jobs to submit to them, and the demo.
//!
//! Support for tests alone is in `tests/e2e/support`.

pub mod demo;
pub mod jobs;
pub mod notebook;
pub mod process;
pub mod sandbox;
pub mod specs;
pub mod watcher;
pub mod workers;
