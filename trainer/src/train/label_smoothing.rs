//! Label smoothing, as `torch.nn.functional.cross_entropy(label_smoothing=ε)`: the target is (1 −
//! ε) times the label plus ε times the uniform distribution over the C classes (C. Szegedy et al.,
//! "Rethinking the Inception architecture for computer vision", CVPR 2016).
//!
//! The loss is (1 − ε)·nll − ε/C · (mean over images of the sum of log-probabilities).

use super::TrainError;
use tch::Tensor;

/// The terms of label smoothing for batches with a fixed number of images.
pub(super) struct LabelSmoothing {
    /// 1 − ε: the gradient of the loss by the nll.
    pub(super) kept: Tensor,
    /// −ε / (classes · images): the gradient by each log-probability.
    spread: Tensor,
    /// −ε / (classes · labelled images): the factor of the sum of their log-probabilities.
    factor: Tensor,
    /// The sum of all log-probabilities.
    sum: Tensor,
}

impl LabelSmoothing {
    /// For log-probabilities `labelled`, [labelled images, classes], of a batch of `images` with
    /// its outliers; `None` if ε is 0.
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
        // Rounds twice, as the two operations of autograd do.
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

    /// Turns the nll in `slot` into the smoothed loss, for log-probabilities [labelled images,
    /// classes].
    pub(super) fn loss(&self, log_probabilities: &Tensor, slot: &Tensor) -> Result<(), TrainError> {
        let kind = log_probabilities.f_kind()?;
        let _ = log_probabilities.f_sum_out(&self.sum, kind)?;
        let _ = slot
            .shallow_clone()
            .f_mul_(&self.kept)?
            .f_addcmul_(&self.sum, &self.factor)?;
        Ok(())
    }

    /// Adds the uniform part to the gradient by the log-probabilities of the whole batch.
    pub(super) fn gradient(&self, by_log_probabilities: &mut Tensor) -> Result<(), TrainError> {
        let _ = by_log_probabilities.f_add_(&self.spread)?;
        Ok(())
    }
}
