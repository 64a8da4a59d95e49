//! Label smoothing, as `cross_entropy(label_smoothing=ε)`: the target is (1 − ε) of the label and ε of all classes
//! alike (C. Szegedy et al., "Rethinking the Inception architecture", CVPR 2016).
//!
//! The loss is (1 − ε)·nll − ε/C · the mean over the images of the sum of their log-probabilities.

use super::TrainError;
use tch::Tensor;

/// What smoothing adds to loss and gradient of a batch with a fixed number of images.
pub(super) struct Smoothing {
    /// 1 − ε: the gradient of the loss by the mean of the labels' own losses.
    pub(super) kept: Tensor,
    /// −ε / (classes · images): the gradient by each log-probability.
    spread: Tensor,
    /// −ε / (classes · labelled images): the factor of the sum of their log-probabilities.
    factor: Tensor,
    /// The sum of all log-probabilities.
    sum: Tensor,
}

impl Smoothing {
    /// For log-probabilities [labelled images, classes] of a batch of so many images, outliers included; `None`
    /// where there is nothing to smooth.
    pub(super) fn new(
        epsilon: f64,
        labelled: &Tensor,
        images: i64,
    ) -> Result<Option<Self>, TrainError> {
        if epsilon == 0.0 {
            return Ok(None);
        }
        let options = (labelled.f_kind()?, labelled.device());
        let (count, classes) = labelled.size2()?;
        // Rounded twice, as the two steps of autograd round.
        let among = |images: i64| -> Result<Tensor, TrainError> {
            let mut share = Tensor::f_full([0_i64; 0], -epsilon / classes as f64, options)?;
            let _ = share.f_div_scalar_(images)?;
            Ok(share)
        };
        Ok(Some(Self {
            kept: Tensor::f_full([0_i64; 0], 1.0 - epsilon, options)?,
            spread: among(images)?,
            factor: among(count)?,
            sum: Tensor::f_zeros([0_i64; 0], options)?,
        }))
    }

    /// Turns the mean of the labels' own losses in `slot` into the smoothed loss; [labelled images, classes].
    pub(super) fn loss(&self, log_probabilities: &Tensor, slot: &Tensor) -> Result<(), TrainError> {
        let kind = log_probabilities.f_kind()?;
        let _ = log_probabilities.f_sum_out(&self.sum, kind)?;
        let _ = slot
            .shallow_clone()
            .f_mul_(&self.kept)?
            .f_addcmul_(&self.sum, &self.factor)?;
        Ok(())
    }

    /// Adds the share of all classes to the gradient by the log-probabilities of the whole batch.
    pub(super) fn gradient(&self, by_log_probabilities: &mut Tensor) -> Result<(), TrainError> {
        let _ = by_log_probabilities.f_add_(&self.spread)?;
        Ok(())
    }
}
