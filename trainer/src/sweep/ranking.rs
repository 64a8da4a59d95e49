//! Compares validation results: more images classified correctly, then a lower loss, then the
//! earlier one. Automatic promotion compares in the same way.

use digits_checkpoint::manifest::Evaluation;
use std::{cmp::Ordering, collections::BTreeMap};

/// Orders the better result first; equal ones stay in their order.
#[must_use]
pub fn better(left: &Evaluation, right: &Evaluation) -> Ordering {
    let more_correct = right.correct.cmp(&left.correct);
    more_correct.then(left.loss.total_cmp(&right.loss))
}

/// The numbers of the best `count` configurations, best first, by the means over the results of
/// each.
#[must_use]
pub fn best_configurations(
    results: impl IntoIterator<Item = (u32, Evaluation)>,
    count: usize,
) -> Vec<u32> {
    let mut configurations: BTreeMap<u32, Vec<Evaluation>> = BTreeMap::new();
    for (configuration, result) in results {
        configurations
            .entry(configuration)
            .or_default()
            .push(result);
    }
    let mut means: Vec<(u32, f64, f64)> = configurations
        .into_iter()
        .map(|(configuration, results)| {
            let count = results.len() as f64;
            let correct: f64 = results.iter().map(|result| result.correct as f64).sum();
            let loss: f64 = results.iter().map(|result| result.loss).sum();
            (configuration, correct / count, loss / count)
        })
        .collect();
    // Stable: of equal ones the first configuration.
    means.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.2.total_cmp(&right.2)));
    means.truncate(count);
    means
        .into_iter()
        .map(|(configuration, ..)| configuration)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(correct: u64, loss: f64) -> Evaluation {
        Evaluation {
            images: 100,
            correct,
            loss,
            loss_batch_mean: loss,
            batch_size: 10,
        }
    }

    #[test]
    fn more_correct_images_count_before_a_lower_loss() {
        assert_eq!(better(&result(91, 0.9), &result(90, 0.1)), Ordering::Less);
        assert_eq!(
            better(&result(90, 0.9), &result(90, 0.1)),
            Ordering::Greater
        );
        assert_eq!(
            better(&result(90, 0.1), &result(90, f64::NAN)),
            Ordering::Less
        );
        assert_eq!(better(&result(90, 0.1), &result(90, 0.1)), Ordering::Equal);
    }

    #[test]
    fn configurations_are_compared_by_the_means_over_their_seeds() {
        let results = [
            (1, result(99, 0.1)),
            (2, result(95, 0.3)),
            (1, result(80, 0.1)),
            (2, result(94, 0.2)),
            // One seed of it failed.
            (3, result(94, 0.2)),
            (4, result(94, 0.2)),
        ];
        assert_eq!(best_configurations(results, 3), [2, 3, 4]);
        assert_eq!(best_configurations(results, 9), [2, 3, 4, 1]);
        assert_eq!(best_configurations([], 3), [0; 0]);
    }
}
