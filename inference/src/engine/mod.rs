//! The network in plain Rust: from grey pixels, as bytes or as floats, to logits.
//!
//! There are two execution paths. The *sparse* path multiplies, for one image, only by pixels with
//! ink (and in later layers by units that are not 0). The *dense* path multiplies matrices. Both
//! read one copy of the weights, which is packed when the network is built; [`Network::logits`]
//! chooses ([`ExecutionPath`]). Softmax and labels are in [`probability`]. The engine knows neither
//! gRPC nor tokio, storage or pictures.
//!
//! No memory is allocated per image: values between the layers are in buffers of the calling
//! thread.
//!
//! ```
//! use digits_inference::engine::{Activation, InputScale, Linear, Network};
//! use digits_inference::engine::probability::{Softmax, most_probable};
//!
//! // Two pixels, two classes: the left pixel is for class 0, the right one for class 1.
//! let layer = Linear {
//!     inputs: 2,
//!     outputs: 2,
//!     weight: &[1.0, -1.0, -1.0, 1.0],
//!     bias: &[0.0, 0.0],
//! };
//! let scale = InputScale { scale: 255.0, mean: 0.0, std: 1.0 };
//! let network = Network::new(&[layer], Activation::Relu, scale)?;
//!
//! // Two images, [2, inputs].
//! let mut logits = [0.0; 4];
//! network.logits(&[255_u8, 0, 0, 51], &mut logits);
//! assert_eq!(logits[..2], [1.0, -1.0]);
//!
//! let mut probabilities = [0.0; 2];
//! Softmax::new(1.0, network.classes()).of(&logits[..2], &mut probabilities);
//! assert_eq!(most_probable(&probabilities), 0);
//! assert!((probabilities[0] - 0.8808).abs() < 1e-4);
//! # Ok::<(), digits_inference::engine::NetworkError>(())
//! ```

mod activation;
mod aligned;
mod dense;
mod network;
mod panels;
mod path;
mod pixel;
pub mod probability;
mod sparse;

pub use activation::Activation;
pub use network::{Linear, Network, NetworkError};
pub use path::ExecutionPath;
pub use pixel::{InputScale, Pixel};
