//! The network, in plain Rust: from grey pixels, as bytes or as floats, to logits.
//!
//! Two ways lead through a network. The *single* way walks, for one image, only the pixels that have ink (and
//! in later layers only the units that are not 0); the *batch* way multiplies whole matrices. Both read one copy of
//! the weights, prepared when the network is built, and stand behind [`Network::logits`]; which is quicker is measured. Nothing here knows gRPC,
//! tokio, storage or pictures; softmax and labels are in [`probability`].
//!
//! No memory is taken per image: intermediate values lie in a scratch space of the calling thread.

mod activation;
mod aligned;
mod cost;
mod matrix;
mod network;
mod panels;
mod pixel;
pub mod probability;
mod sparse;

pub use activation::Activation;
pub use cost::Costs;
pub use network::{ExecutionPath, Linear, Network, NetworkError};
pub use pixel::{InputScale, Pixel};
