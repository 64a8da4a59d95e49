//! Forward and backward pass of a batch, by hand, into memory that is laid out once.
//!
//! Exactly the operations that PyTorch's autograd would run for `nn.Linear`, the activation and
//! `cross_entropy`, in an order that keeps every sum the same, so that the gradients are autograd's to the
//! byte on one CPU thread: products with the transposed weight as `addmm` does them, the gradient of a
//! weight as dᵀ x, of a bias as the sum of d over the batch, the gradient of the softmax by libtorch's own
//! kernel. A pass allocates nothing. Dropout and label smoothing come in where autograd would have them, and
//! not at all where they are off; so does a precision of the products below float32.

use super::bfloat16::Products;
use super::parameters::{Flat, Shape};
use super::smoothing::Smoothing;
use super::{Precision, Regularization, TrainError, tf32};
use digits_checkpoint::manifest::Activation;
use tch::{Kind, Reduction, Tensor};

/// libtorch's "no label is ignored".
const IGNORE_NOTHING: i64 = -100;
/// Factor inside the scaled tanh.
const TANH_INNER: f64 = 2.0 / 3.0;
/// Factor outside of it.
const TANH_OUTER: f64 = 1.7159;

/// Memory of the forward pass of a batch with a fixed number of images.
pub(super) struct Forward {
    activation: Activation,
    /// What the hidden layers give after the activation, [images, outputs].
    outputs: Vec<Tensor>,
    /// What the activation's gradient needs: the sums for GELU, tanh(2x/3) for the scaled tanh; empty for
    /// ReLU, whose output tells enough.
    kept: Vec<Tensor>,
    /// What the hidden layers' outputs are multiplied with, [images, outputs]; empty without dropout. Whoever
    /// trains fills them before each pass.
    pub(super) masks: Vec<Tensor>,
    smoothing: Option<Smoothing>,
    precision: Precision,
    /// What is multiplied in the matrices' place, where the precision is bfloat16.
    products: Option<Products>,
    /// What the last layer gives, [images, classes].
    pub(super) logits: Tensor,
    /// Logarithms of the probabilities, [images, classes].
    pub(super) log_probabilities: Tensor,
    /// Those of the images that have a label, where the last ones are outliers.
    of_labelled: Option<Tensor>,
}

impl Forward {
    pub(super) fn new(
        shape: &Shape,
        activation: Activation,
        images: usize,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let zeros = |columns: usize| Tensor::f_zeros([images as i64, columns as i64], options);
        let (last, hidden) = shape.split();
        let mut outputs = Vec::with_capacity(hidden.len());
        let mut kept = Vec::new();
        for layer in hidden {
            outputs.push(zeros(layer.outputs)?);
            if activation != Activation::Relu {
                kept.push(zeros(layer.outputs)?);
            }
        }
        Ok(Self {
            activation,
            outputs,
            kept,
            masks: Vec::new(),
            smoothing: None,
            precision: Precision::Float32,
            products: None,
            logits: zeros(last.outputs)?,
            log_probabilities: zeros(last.outputs)?,
            of_labelled: None,
        })
    }

    /// For batches whose last `count` images are outliers: the mean loss leaves them out.
    pub(super) fn with_outliers(mut self, count: usize) -> Result<Self, TrainError> {
        if count > 0 {
            let labelled = self.log_probabilities.size()[0] - count as i64;
            self.of_labelled = Some(self.log_probabilities.f_narrow(0, 0, labelled)?);
        }
        Ok(self)
    }

    /// What has a label, [labelled images, classes].
    fn labelled(&self) -> &Tensor {
        self.of_labelled.as_ref().unwrap_or(&self.log_probabilities)
    }

    /// With what a training adds to it; after [`Forward::with_outliers`].
    pub(super) fn regularized(mut self, terms: &Regularization) -> Result<Self, TrainError> {
        if terms.dropout > 0.0 {
            let masks = self.outputs.iter().map(Tensor::f_ones_like);
            self.masks = masks.collect::<Result<_, _>>()?;
        }
        let (images, _) = self.logits.size2()?;
        self.smoothing = Smoothing::new(terms.label_smoothing, self.labelled(), images)?;
        Ok(self)
    }

    /// With another precision of the products; `shape` as in [`Forward::new`].
    pub(super) fn multiplying(
        mut self,
        precision: Precision,
        shape: &Shape,
    ) -> Result<Self, TrainError> {
        self.precision = precision;
        if precision == Precision::Bfloat16 {
            let (images, _) = self.logits.size2()?;
            let products = Products::new(shape, images as usize, self.logits.device())?;
            self.products = Some(products);
        }
        Ok(self)
    }

    /// Computes logits and log-probabilities of a batch, [images, inputs of the network].
    pub(super) fn run(&mut self, batch: &Tensor, weights: &Weights<'_>) -> Result<(), TrainError> {
        let _launching = tf32::launching(self.precision, self.logits.device());
        if let Some(products) = &mut self.products {
            products.take(weights.all)?;
        }
        for number in 0..self.outputs.len() {
            self.hidden(number, batch, weights)?;
        }
        self.sums(self.outputs.len(), batch, weights)?;
        let _ = self
            .logits
            .f_internal_log_softmax_out(&self.log_probabilities, 1, false)?;
        Ok(())
    }

    /// What the layer of that number got.
    fn input<'a>(&'a self, number: usize, batch: &'a Tensor) -> &'a Tensor {
        number.checked_sub(1).map_or(batch, |at| &self.outputs[at])
    }

    /// What the layer of that number gives before its activation, into where that takes it from.
    fn sums(
        &mut self,
        number: usize,
        batch: &Tensor,
        weights: &Weights<'_>,
    ) -> Result<(), TrainError> {
        let input = number.checked_sub(1).map_or(batch, |at| &self.outputs[at]);
        let out = if number == self.outputs.len() {
            &self.logits
        } else {
            self.kept.get(number).unwrap_or(&self.outputs[number])
        };
        let bias = &weights.biases[number];
        if let Some(products) = &mut self.products {
            return products.sums(number, input, bias, out);
        }
        let _ = bias.f_addmm_out(out, input, &weights.transposed[number])?;
        Ok(())
    }

    fn hidden(
        &mut self,
        number: usize,
        batch: &Tensor,
        weights: &Weights<'_>,
    ) -> Result<(), TrainError> {
        self.sums(number, batch, weights)?;
        let output = &mut self.outputs[number];
        match self.activation {
            Activation::Relu => {
                let _ = output.f_clamp_min_(0)?;
            }
            Activation::Gelu => {
                let _ = self.kept[number].f_gelu_out(output, "none")?;
            }
            Activation::ScaledTanh => {
                let tanh = &mut self.kept[number];
                let _ = tanh.f_mul_scalar_(TANH_INNER)?.f_tanh_()?;
                let _ = tanh.f_mul_scalar_out(output, TANH_OUTER)?;
            }
        }
        if let Some(mask) = self.masks.get(number) {
            let _ = output.f_mul_(mask)?;
        }
        Ok(())
    }

    /// Writes the batch's mean loss for these labels, int64 [images], into `slot`, which has no dimension; with
    /// label smoothing the smoothed one.
    pub(super) fn mean_loss(&self, labels: &Tensor, slot: &Tensor) -> Result<(), TrainError> {
        match &self.of_labelled {
            Some(labelled) => {
                let labels = labels.f_narrow(0, 0, labelled.size()[0])?;
                losses(labelled, &labels, slot, Reduction::Mean)?;
            }
            None => losses(&self.log_probabilities, labels, slot, Reduction::Mean)?,
        }
        match &self.smoothing {
            Some(smoothing) => smoothing.loss(self.labelled(), slot),
            None => Ok(()),
        }
    }

    /// Writes every image's loss for these labels, int64 [images], into `out`, [images].
    pub(super) fn image_losses(&self, labels: &Tensor, out: &Tensor) -> Result<(), TrainError> {
        losses(&self.log_probabilities, labels, out, Reduction::None)
    }
}

fn losses(
    log_probabilities: &Tensor,
    labels: &Tensor,
    out: &Tensor,
    by: Reduction,
) -> Result<(), TrainError> {
    let _ = log_probabilities.f_nll_loss_out(out, labels, None::<&Tensor>, by, IGNORE_NOTHING)?;
    Ok(())
}

/// A network's parameters as the passes use them.
pub(super) struct Weights<'a> {
    /// All of them.
    all: &'a Tensor,
    weights: &'a [Tensor],
    biases: &'a [Tensor],
    /// Views of the weights, [inputs, outputs].
    transposed: &'a [Tensor],
}

impl<'a> Weights<'a> {
    pub(super) fn new(parameters: &'a Flat, transposed: &'a [Tensor]) -> Self {
        Self {
            all: &parameters.all,
            weights: &parameters.weights,
            biases: &parameters.biases,
            transposed,
        }
    }
}

/// Memory of the backward pass of a batch with a fixed number of images.
pub(super) struct Backward {
    /// The loss' gradient by the log-probabilities, [images, classes].
    by_log_probabilities: Tensor,
    /// The part of it for the last images, where they are outliers, and what it is for a target that is the
    /// same for every class.
    of_outliers: Option<(Tensor, f64)>,
    /// The loss' gradient by each layer's sums, [images, outputs], and the transposed view.
    by_sums: Vec<(Tensor, Tensor)>,
    /// 1: the gradient of the loss by itself.
    one: Tensor,
    /// The number of images, as the loss' kernel wants it.
    total: Tensor,
}

impl Backward {
    pub(super) fn new(
        shape: &Shape,
        images: usize,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let zeros = |columns: usize| Tensor::f_zeros([images as i64, columns as i64], options);
        let mut by_sums = Vec::with_capacity(shape.layers.len());
        for layer in &shape.layers {
            let gradient = zeros(layer.outputs)?;
            let transposed = gradient.f_transpose(0, 1)?;
            by_sums.push((gradient, transposed));
        }
        Ok(Self {
            by_log_probabilities: zeros(shape.split().0.outputs)?,
            of_outliers: None,
            by_sums,
            one: Tensor::f_ones([0_i64; 0], options)?,
            total: Tensor::f_full([0_i64; 0], images as f64, options)?,
        })
    }

    /// For batches whose last `count` images are outliers, whatever their labels.
    pub(super) fn with_outliers(mut self, count: usize) -> Result<Self, TrainError> {
        if count > 0 {
            let (images, classes) = self.by_log_probabilities.size2()?;
            let first = images - count as i64;
            let rows = self.by_log_probabilities.f_narrow(0, first, count as i64)?;
            self.of_outliers = Some((rows, -1.0 / (images * classes) as f64));
        }
        Ok(self)
    }

    /// Computes the gradient of the mean loss by all parameters, for the batch that `forward` has just seen.
    pub(super) fn run(
        &mut self,
        forward: &mut Forward,
        batch: &Tensor,
        labels: &Tensor,
        weights: &Weights<'_>,
        gradient: &Flat,
    ) -> Result<(), TrainError> {
        let _launching = tf32::launching(forward.precision, self.one.device());
        self.by_last_sums(forward, labels)?;
        for number in (0..self.by_sums.len()).rev() {
            self.by_weight(number, forward, batch, gradient)?;
            let (by_sum, _) = &self.by_sums[number];
            let _ =
                by_sum.f_sum_intlist_out(&gradient.biases[number], &[0_i64][..], false, None)?;
            if number > 0 {
                self.by_input(number, forward, weights)?;
                self.through_activation(forward, number - 1)?;
            }
        }
        Ok(())
    }

    /// The gradient by the last layer's sums.
    fn by_last_sums(&mut self, forward: &Forward, labels: &Tensor) -> Result<(), TrainError> {
        let last = self.by_sums.len() - 1;
        let _ = forward.log_probabilities.f_nll_loss_backward_grad_input(
            &self.by_log_probabilities,
            forward.smoothing.as_ref().map_or(&self.one, |it| &it.kept),
            labels,
            None::<&Tensor>,
            Reduction::Mean,
            IGNORE_NOTHING,
            &self.total,
        )?;
        if let Some(smoothing) = &forward.smoothing {
            smoothing.gradient(&mut self.by_log_probabilities)?;
        }
        if let Some((rows, gradient)) = &mut self.of_outliers {
            let _ = rows.f_fill_(*gradient)?;
        }
        let _ = Tensor::f_internal_log_softmax_backward_data_out(
            &self.by_sums[last].0,
            &self.by_log_probabilities,
            &forward.log_probabilities,
            1,
            forward.logits.f_kind()?,
        )?;
        Ok(())
    }

    fn by_weight(
        &self,
        number: usize,
        forward: &mut Forward,
        batch: &Tensor,
        gradient: &Flat,
    ) -> Result<(), TrainError> {
        let (by_sum, transposed) = &self.by_sums[number];
        let out = &gradient.weights[number];
        if let Some(products) = &mut forward.products {
            return products.by_weight(number, by_sum, out);
        }
        let _ = transposed.f_mm_out(out, forward.input(number, batch))?;
        Ok(())
    }

    /// The gradient by a layer's input, into where that by the sums below will be.
    fn by_input(
        &self,
        number: usize,
        forward: &Forward,
        weights: &Weights<'_>,
    ) -> Result<(), TrainError> {
        let (by_sum, below) = (&self.by_sums[number].0, &self.by_sums[number - 1].0);
        if let Some(products) = &forward.products {
            return products.by_input(number, below);
        }
        let _ = by_sum.f_mm_out(below, &weights.weights[number])?;
        Ok(())
    }

    /// Turns the gradient by a hidden layer's output into that by its sums, in place.
    fn through_activation(&mut self, forward: &Forward, number: usize) -> Result<(), TrainError> {
        let gradient = &mut self.by_sums[number].0;
        if let Some(mask) = forward.masks.get(number) {
            let _ = gradient.f_mul_(mask)?;
        }
        let out = gradient.shallow_clone();
        match forward.activation {
            Activation::Relu => {
                let _ =
                    forward.outputs[number].f_threshold_backward_grad_input(&out, gradient, 0)?;
            }
            Activation::Gelu => {
                let _ = forward.kept[number].f_gelu_backward_grad_input(&out, gradient, "none")?;
            }
            Activation::ScaledTanh => {
                let _ = gradient.f_mul_scalar_(TANH_OUTER)?;
                let _ = Tensor::f_tanh_backward_grad_input(&out, gradient, &forward.kept[number])?;
                let _ = gradient.f_mul_scalar_(TANH_INNER)?;
            }
        }
        Ok(())
    }
}

/// Views of the weights as the forward pass multiplies with them, [inputs, outputs].
pub(super) fn transposed(parameters: &Flat) -> Result<Vec<Tensor>, TrainError> {
    parameters
        .weights
        .iter()
        .map(|weight| Ok(weight.f_transpose(0, 1)?))
        .collect()
}

#[cfg(test)]
mod tests;
