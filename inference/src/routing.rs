//! Which route of a serving record answers a request: the primary, or a canary by its share.
//!
//! Where a caller gives a key, the point at which it falls between 0 and 1 is a pure function of the key and of the first
//! canary's id: every replica sends it the same way, a growing share keeps those that it has, and the next canary meets others.

use crate::model::{ActiveRoute, ServingSnapshot};
use digits_checkpoint::{id::CheckpointId, record::Role};
use sha2::{Digest as _, Sha256};

/// Longest routing key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// A route of a [`ServingSnapshot`], to be used with no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteIndex {
    /// Place in `others`; `None` for the primary.
    other: Option<usize>,
}

impl ServingSnapshot {
    /// Who answers a request with this key; one without a key is sent at random.
    #[must_use]
    pub fn choose(&self, key: &str) -> RouteIndex {
        // Almost always: no candidates, nothing to draw.
        let Some(first) = self.others.iter().find(|other| other.role == Role::Canary) else {
            return RouteIndex { other: None };
        };
        let point = if key.is_empty() {
            fastrand::f64()
        } else {
            point(first.checkpoint.manifest.id, key)
        };
        let mut upper = 0.0;
        let other = self.others.iter().position(|other| {
            upper += canary_share(other);
            point < upper
        });
        RouteIndex { other }
    }

    /// The route of a choice.
    #[must_use]
    pub fn served(&self, choice: RouteIndex) -> &ActiveRoute {
        choice
            .other
            .map_or(&self.primary, |index| &self.others[index])
    }

    /// Those that compute along and never answer.
    pub fn shadows(&self) -> impl Iterator<Item = &ActiveRoute> {
        self.others
            .iter()
            .filter(|other| other.role == Role::Shadow)
    }
}

fn canary_share(served: &ActiveRoute) -> f64 {
    match served.role {
        Role::Canary => served.share,
        Role::Primary | Role::Shadow => 0.0,
    }
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
    fn keys_spread_evenly_and_stay_where_they_are() {
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
        // By Python's hashlib.
        assert_eq!(points[0], 0.562_165_581_320_425_7);
        let moved =
            (0..1_000).filter(|n| (point(other, &format!("user-{n}")) < 0.5) != (points[*n] < 0.5));
        assert!(moved.count() > 300, "another canary meets others");
    }
}
