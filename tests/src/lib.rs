//! Both real services as separate processes, for the demo and the end-to-end tests.

pub mod browser;
pub mod bucket;
pub mod damage;
pub mod dashboards;
pub mod demo;
pub mod jobs;
pub mod manifests;
pub mod metric_names;
pub mod mnist;
pub mod notebook;
pub mod process;
pub mod prometheus;
pub mod sandbox;
pub mod specs;
pub mod torture;
pub mod wait;
