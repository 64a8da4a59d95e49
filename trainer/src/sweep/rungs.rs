//! The rungs of successive halving: how many configurations are trained for how many epochs.
//!
//! Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
//! Optimization", 2016; with a factor other than 2 as in Li et al., "Hyperband", 2018.

use super::request::Halving;
use serde::{Deserialize, Serialize};

/// A rung: the trials that are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Epochs of its trials; 0 for those of their own specs.
    pub epochs: u32,
    /// Number of configurations.
    pub configurations: u32,
}

/// The rungs for this many configurations, of which the last one trains for `epochs`. Only one
/// where there are fewer configurations than the factor, or too few epochs.
pub(super) fn rungs(halving: Halving, configurations: u32, epochs: u32) -> Vec<Rung> {
    let factor = halving.factor.max(2);
    let divisions =
        times(configurations, factor).min(times(epochs / halving.min_epochs.max(1), factor));
    let rung = |index: u32| Rung {
        epochs: epochs / factor.pow(divisions - index),
        configurations: configurations / factor.pow(index),
    };
    (0..=divisions).map(rung).collect()
}

/// How often `number` can be divided by `factor` until it is less than it.
fn times(number: u32, factor: u32) -> u32 {
    number.checked_ilog(factor).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(factor: u32, min_epochs: u32, of: (u32, u32), expected: &[(u32, u32)]) {
        let halving = Halving { factor, min_epochs };
        let found = rungs(halving, of.0, of.1);
        let found: Vec<_> = found
            .iter()
            .map(|rung| (rung.configurations, rung.epochs))
            .collect();
        assert_eq!(found, expected, "{of:?}");
    }

    #[test]
    fn each_rung_has_a_fraction_of_the_configurations_and_a_multiple_of_the_epochs() {
        check(3, 1, (9, 9), &[(9, 1), (3, 3), (1, 9)]);
        check(3, 1, (27, 10), &[(27, 1), (9, 3), (3, 10)]);
        check(3, 2, (27, 10), &[(27, 3), (9, 10)]);
        check(2, 1, (5, 100), &[(5, 25), (2, 50), (1, 100)]);
        check(16, 1, (500, 10_000), &[(500, 39), (31, 625), (1, 10_000)]);
    }

    #[test]
    fn there_is_one_rung_where_nothing_can_be_divided() {
        check(3, 1, (2, 9), &[(2, 9)]);
        check(3, 1, (9, 2), &[(9, 2)]);
        check(3, 9, (9, 9), &[(9, 9)]);
    }
}
