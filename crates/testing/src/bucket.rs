//! Buckets to test with: answered by this process, by emulators, and by a storage server.

mod backend;
mod program;
mod running;
mod server;
mod variables;
mod wire;

pub use backend::Backend;
pub use running::Bucket;
pub use wire::Interface;
