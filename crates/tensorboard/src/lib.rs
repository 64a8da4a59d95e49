//! Event files of TensorBoard: the curves of a training job, its hyperparameters, pictures and
//! histograms of weights.
//!
//! An event file is a sequence of records ([`append`]); the first is a [`version`]. The events are
//! the forms that PyTorch's `SummaryWriter` writes too: `simple_value`, `image`, `histo`, and those
//! of the hparams plugin. TensorBoard shows each folder with an event file as a run.

mod checkpoint;
mod event;
mod histogram;
mod job;
mod messages;
mod record;

pub use checkpoint::checkpoint;
pub use event::{Moment, histogram, scalars, version};
pub use job::{curve, finished, run_name, seconds, started};
pub use messages::Event;
pub use record::append;
