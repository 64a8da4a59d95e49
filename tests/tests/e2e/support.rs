//! Support for several tests: external programs, readers of the repository's files, and fault
//! injection.

pub mod browser;
pub mod cluster;
pub mod command_line;
pub mod damage;
pub mod dashboards;
pub mod http;
pub mod manifests;
pub mod metric_names;
pub mod mnist;
pub mod moto;
pub mod prometheus;
pub mod python_package;
pub mod served;
pub mod soak;
pub mod torture;
