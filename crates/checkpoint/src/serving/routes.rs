//! Validates the routes of a serving record.

use super::error::{InvalidRoutes, ROUTES_LIMIT};
use crate::{
    manifest::is_sha256,
    record::{Role, Route},
};

/// Tolerance of the sum of the shares, which must be 1.
const ROUNDING: f64 = 1e-9;

/// Checks routes by themselves: one primary, no checkpoint twice, shares that add up to 1, none for
/// a shadow.
pub(super) fn check(routes: &[Route]) -> Result<(), InvalidRoutes> {
    if routes.len() > ROUTES_LIMIT {
        return Err(InvalidRoutes::TooMany(routes.len()));
    }
    let primaries = routes.iter().filter(|route| route.role == Role::Primary);
    let primaries = primaries.count();
    if primaries != 1 {
        return Err(InvalidRoutes::Primaries(primaries));
    }
    for (index, route) in routes.iter().enumerate() {
        let earlier = &routes[..index];
        if earlier
            .iter()
            .any(|other| other.checkpoint == route.checkpoint)
        {
            return Err(InvalidRoutes::Duplicate(route.checkpoint));
        }
        let possible = match route.role {
            Role::Shadow => route.share == 0.0,
            Role::Primary | Role::Canary => (0.0..=1.0).contains(&route.share),
        };
        if !possible {
            let (role, share) = (route.role, route.share);
            return Err(InvalidRoutes::Share { role, share });
        }
        let digest = route.manifest_sha256.as_deref();
        if digest.is_some_and(|digest| !is_sha256(digest)) {
            return Err(InvalidRoutes::Digest(route.checkpoint));
        }
    }
    let sum: f64 = routes.iter().map(|route| route.share).sum();
    if (sum - 1.0).abs() > ROUNDING {
        return Err(InvalidRoutes::Sum(sum));
    }
    Ok(())
}
