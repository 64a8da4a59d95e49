//! From `SubmitJob` to the promoted checkpoint: the call chain, link by link.
//!
//! # Submission: request to durable job
//!
//! 1. [`TrainingService::submit_job`](crate::grpc::Training) receives the request on a thread of
//!    the runtime and calls [`Submitter::submit`](crate::submission::Submitter::submit).
//! 2. [`Store::find_submission`](crate::store::Store::find_submission) returns the job of an
//!    earlier request with the same id and the same spec.
//! 3. [`spec::resolve`](crate::spec::resolve) pins the data set, fills the spec from its
//!    preset, checks it and plans the training: on a blocking thread, because it looks for GPUs and
//!    reads the storage.
//! 4. [`Store::submit`](crate::store::Store::submit) writes the job; it is durable when this
//!    returns. [`Wake::wake`](crate::worker::Wake::wake) wakes the workers, and the request is
//!    answered.
//!
//! # Attempt: queue to first step
//!
//! 5. A worker's thread, started by [`Workers::start`](crate::worker::Workers::start), takes the
//!    oldest waiting job with [`Store::claim`](crate::store::Store::claim) and stays with it until
//!    it is over: [`run_job`](crate::worker::attempt::run_job).
//! 6. [`prepare_and_train`](crate::worker::attempt::prepare_and_train) reads the stored spec, loads
//!    the data set ([`Catalog::load`](crate::datasets::Catalog::load)) and the checkpoint to start
//!    from ([`load_weights`](crate::worker::parent::load_weights)), and writes that the job runs
//!    ([`Store::begin`](crate::store::Store::begin)). What the job needs from here on is a
//!    [`JobRun`](crate::worker::job_run::JobRun).
//! 7. [`train::run`](crate::train::run) trains from the newest resume bundle
//!    ([`Bundles::read`](crate::worker::Bundles::read)), or from the start, on the same thread.
//!
//! # Output: training to storage
//!
//! 8. The training calls its [`JobObserver`](crate::worker::observer::JobObserver), which puts its
//!    output into the bounded queues of [`Sinks`](crate::worker::sinks::Sinks). Behind each is one
//!    task: [`CurveWriter`](crate::worker::curve_writer::CurveWriter) for rows,
//!    [`Publisher`](crate::worker::publisher::Publisher) for checkpoints and
//!    [`BundleWriter`](crate::worker::bundle_writer::BundleWriter) for resume bundles, which waits
//!    for the [`DurabilityWatermark`](crate::worker::watermark::DurabilityWatermark): no bundle
//!    before the output it follows.
//! 9. A snapshot becomes a
//!    [`PendingCheckpoint`](crate::worker::pending_checkpoint::PendingCheckpoint), the files with
//!    their manifest, still on the training's thread.
//! 10. [`Publisher::publish`](crate::worker::publisher::Publisher::publish) writes the intent
//!     ([`Store::plan_checkpoint`](crate::store::Store::plan_checkpoint)), then the files and the
//!     manifest ([`commit`](digits_checkpoint::publication::commit)), then the serving record that
//!     the job's policy demands ([`finalize`](digits_checkpoint::publication::finalize)). The
//!     [`StoreIntentLog`](crate::worker::intent_log::StoreIntentLog) makes each step durable before
//!     the next. Inference follows the serving records.
//!
//! # Outcome
//!
//! 11. [`Sinks::close`](crate::worker::sinks::Sinks::close) waits until all output is durable;
//!     [`conclude`](crate::worker::attempt::conclude) makes a
//!     [`JobOutcome`](crate::store::JobOutcome) of it, and
//!     [`Store::finish`](crate::store::Store::finish) writes it. A shutdown releases the job
//!     instead ([`Store::release`](crate::store::Store::release)).
//! 12. After a crash, the next start finishes or abandons what was planned
//!     ([`finish_checkpoints`](crate::worker::finish_checkpoints)) and queues the jobs that ran
//!     again ([`Store::recover`](crate::store::Store::recover)).

// Most of the links lead to private items: rustdoc checks them, and shows them with
// --document-private-items.
#![allow(rustdoc::private_intra_doc_links)]
