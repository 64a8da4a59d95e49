//! The routing stage: the primary, or a canary by its share.
//!
//! A routing key falls on a point between 0 and 1 that is a pure function of the key and of the
//! first canary's id. So every replica routes it alike, a growing share keeps the keys that it has,
//! and the next canary gets other keys.

use crate::model::{ActiveRoute, Model, ServingSnapshot};
use digits_checkpoint::{id::CheckpointId, record::Role};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Longest routing key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// What a request is predicted with: a model, and the snapshot that it read once.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The model.
    pub model: &'a Model,
    /// What the model serves.
    pub snapshot: &'a Arc<ServingSnapshot>,
}

/// The route that responds to a request.
#[derive(Clone, Copy)]
pub struct SelectedRoute<'a> {
    /// The model.
    pub model: &'a Model,
    /// The snapshot that the route is of.
    pub snapshot: &'a Arc<ServingSnapshot>,
    /// The route.
    pub route: &'a ActiveRoute,
}

impl<'a> SelectedRoute<'a> {
    /// Selects by `routing_key`; at random if it is empty.
    #[must_use]
    pub fn select(target: Target<'a>, routing_key: &str) -> Self {
        let Target { model, snapshot } = target;
        Self {
            model,
            snapshot,
            route: route(snapshot, routing_key),
        }
    }
}

fn route<'a>(snapshot: &'a ServingSnapshot, key: &str) -> &'a ActiveRoute {
    let mut canaries = snapshot
        .candidates
        .iter()
        .filter(|candidate| candidate.role == Role::Canary)
        .peekable();
    // Almost always there are no canaries, and no point is computed.
    let Some(first) = canaries.peek() else {
        return &snapshot.primary;
    };
    let point = if key.is_empty() {
        fastrand::f64()
    } else {
        point(first.checkpoint.manifest.id, key)
    };
    let mut upper = 0.0;
    canaries
        .find(|canary| {
            upper += canary.share;
            point < upper
        })
        .unwrap_or(&snapshot.primary)
}

/// Where a key falls, from 0 up to 1: the first 53 bits of SHA-256 over `<checkpoint>/<key>`.
fn point(canary: CheckpointId, key: &str) -> f64 {
    let digest = Sha256::digest(format!("{canary}/{key}"));
    let head = digest
        .iter()
        .take(8)
        .fold(0_u64, |head, &byte| head << 8 | u64::from(byte));
    (head >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_evenly_and_the_next_canary_gets_others() {
        let canary: CheckpointId = "01890a5d-ac96-774b-bcce-b302099a8057"
            .parse()
            .expect("an id");
        let other = CheckpointId::generate();
        let points: Vec<f64> = (0..4_000)
            .map(|n| point(canary, &format!("user-{n}")))
            .collect();
        // Four standard deviations of a binomial: 4 · √(p (1 − p) / 4000) is at most 0.032.
        for share in [0.05, 0.3, 0.5, 0.9] {
            let below = points.iter().filter(|&&point| point < share).count() as f64 / 4_000.0;
            assert!((below - share).abs() < 0.032, "{below} for {share}");
        }
        assert!(points.iter().all(|point| (0.0..1.0).contains(point)));
        // Computed with Python's hashlib.
        assert_eq!(points[0], 0.562_165_581_320_425_7);
        let moved =
            (0..1_000).filter(|n| (point(other, &format!("user-{n}")) < 0.5) != (points[*n] < 0.5));
        assert!(moved.count() > 300, "another canary gets other keys");
    }
}
