//! What several tests share: programs that they drive, readers of the repository's files, and faults.

pub mod browser;
pub mod bucket;
pub mod damage;
pub mod dashboards;
pub mod http;
pub mod manifests;
pub mod metric_names;
pub mod mnist;
pub mod prometheus;
pub mod torture;
