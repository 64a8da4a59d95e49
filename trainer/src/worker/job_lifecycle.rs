//! From `SubmitJob` to the promoted checkpoint: the call chain, link by link.
//!
//! # Submission: request to durable job
//!
//! 1. [`TrainingService::submit_job`](crate::grpc::Training) receives the request on a thread of
//!    the runtime and calls [`Submitter::submit`](crate::submission::Submitter::submit).
//! 2. [`Store::find_submission`](crate::store::Store::find_submission) returns the job of an
//!    earlier request with the same id and the same spec.
//! 3. [`spec::resolve`](crate::spec::resolve) pins the data set, fills the spec from its
//!    preset, checks it and plans the training: on a blocking thread, because it detects GPUs and
//!    reads the storage.
//! 4. [`Store::submit`](crate::store::Store::submit) writes the job; it is durable when this
//!    returns. [`Wake::wake`](super::Wake::wake) wakes the workers, and the request is
//!    answered.
//!
//! # Attempt: queue to first step
//!
//! 5. A worker's thread, started by [`Workers::start`](super::Workers::start), takes the
//!    oldest waiting job with [`Store::claim`](crate::store::Store::claim) and stays with it until
//!    it is over: [`run_job`](super::attempt::run_job). An
//!    [`Executor`](super::executor::Executor) runs the attempt.
//! 6. The [`Local`](super::local::Local) executor calls
//!    [`train_attempt`](super::train_attempt::train_attempt), which reads the stored spec, loads the
//!    data set ([`Catalog::load`](crate::datasets::Catalog::load)) and the checkpoint to start from
//!    ([`load_weights`](super::parent::load_weights)), and writes that the job runs
//!    ([`Store::begin`](crate::store::Store::begin)). What the job needs from here on is a
//!    [`JobRun`](super::job_run::JobRun).
//! 7. [`train::run`](crate::train::run) trains from the newest resume bundle
//!    ([`Bundles::read`](super::Bundles::read)), or from the start, on the same thread.
//!
//! # Output: training to storage
//!
//! 8. The training calls its [`JobObserver`](super::observer::JobObserver), which puts its
//!    output into the bounded queues of [`Sinks`](super::sinks::Sinks). Behind each is one
//!    task: [`CurveWriter`](super::curve_writer::CurveWriter) for rows,
//!    [`PublishQueue`](super::publish_queue::PublishQueue) for checkpoints and
//!    [`BundleWriter`](super::bundle_writer::BundleWriter) for resume bundles, which waits
//!    for the [`DurabilityWatermark`](super::watermark::DurabilityWatermark): no bundle
//!    before the output it follows.
//! 9. A snapshot waits as a
//!    [`PendingCheckpoint`](super::pending_checkpoint::PendingCheckpoint). On blocking threads,
//!    while the training continues, its weights are encoded, and the files with their manifest and
//!    report card made, unless an earlier attempt has committed these weights
//!    ([`Store::committed_before`](crate::store::Store::committed_before)).
//! 10. The [`Publisher`](super::publisher::Publisher) writes the intent
//!     ([`Store::plan_checkpoint`](crate::store::Store::plan_checkpoint)), then the files and the
//!     manifest ([`commit`](digits_checkpoint::publication::commit)), then the serving record that
//!     the job's policy demands ([`finalize`](digits_checkpoint::publication::finalize)). The
//!     [`StoreIntentLog`](super::intent_log::StoreIntentLog) makes each step durable before
//!     the next. Inference follows the serving records. While the storage fails,
//!     [`Outages`](super::outage::Outages) repeats the step and the
//!     [`Outbox`](super::outbox::Outbox) keeps the checkpoint.
//!
//! # In a worker process
//!
//! With `--executor process` the [`Remote`](super::remote::Remote) executor opens an attempt
//! ([`Store::begin_run`](crate::store::Store::begin_run)) and has a worker started for it
//! ([`Processes`](super::processes::Processes)). There
//! [`report_attempt`](super::report_attempt()) calls the same `train_attempt`, and the output of 8
//! and 9 becomes reports ([`AttemptOutput`](super::attempt_output::AttemptOutput)). The trainer's
//! [`Follower`](super::follower::Follower) takes them in
//! ([`Store::take_in`](crate::store::Store::take_in)) and publishes the checkpoints as in 10.
//!
//! # Outcome
//!
//! 11. [`Sinks::close`](super::sinks::Sinks::close) waits until all output is durable;
//!     `conclude` of `train_attempt` makes a
//!     [`JobOutcome`](crate::store::JobOutcome) of it, and
//!     [`Store::finish`](crate::store::Store::finish) writes it. A shutdown releases the job
//!     instead ([`Store::release`](crate::store::Store::release)).
//! 12. After a crash, the next start finishes or abandons what was planned
//!     ([`finish_checkpoints`](super::finish_checkpoints)) and queues the jobs that ran
//!     again ([`Store::recover`](crate::store::Store::recover)).

// Most of the links lead to private items: rustdoc checks them, and shows them with
// --document-private-items.
#![allow(rustdoc::private_intra_doc_links)]
