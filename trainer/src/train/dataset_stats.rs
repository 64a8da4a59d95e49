//! Statistics of the training images, published with the checkpoint to detect drift while serving.

use digits_checkpoint::manifest::TrainingSet;
use digits_dataset::LabelledImages;

/// Label counts and mean ink of the images with these numbers.
pub(super) fn of(data: &LabelledImages, numbers: &[u32], classes: usize) -> TrainingSet {
    let mut label_counts = vec![0; classes];
    let mut ink = 0_u64;
    for &number in numbers {
        let number = number as usize;
        if let Some(count) = data
            .labels
            .get(number)
            .and_then(|&label| label_counts.get_mut(usize::from(label)))
        {
            *count += 1;
        }
        let pixels = data.images.image(number).unwrap_or_default();
        ink += pixels.iter().map(|&pixel| u64::from(pixel)).sum::<u64>();
    }
    let pixels = (numbers.len() * data.images.image_size()).max(1);
    TrainingSet {
        label_counts,
        mean_ink: ink as f64 / 255.0 / pixels as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_dataset::Images;

    #[test]
    fn statistics_match_their_computation_by_hand() {
        let data = LabelledImages {
            images: Images {
                count: 3,
                height: 1,
                width: 2,
                pixels: vec![255, 0, 51, 51, 255, 255].into(),
            },
            labels: vec![2, 0, 1],
        };
        let stats = of(&data, &[0, 1], 3);
        assert_eq!(stats.label_counts, [1, 0, 1]);
        assert!((stats.mean_ink - 0.35).abs() < 1e-12, "{stats:?}");
    }
}
