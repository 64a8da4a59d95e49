//! Forward and backward pass of a multi-layer perceptron, written out by hand over preallocated
//! buffers.
//!
//! The passes run exactly the operations of PyTorch's autograd for `nn.Linear`, the activation and
//! `cross_entropy`, in an order that keeps every sum the same, so that on one CPU thread the
//! gradients equal autograd's byte for byte: `addmm` with the transposed weight, the gradient of a
//! weight as dᵀx, of a bias as the sum of d over the batch, and of the softmax by libtorch's own
//! kernel. A pass allocates nothing. Dropout, label smoothing and a lower precision of the products
//! run where autograd would run them, and cost nothing if they are off.

use super::bfloat16::Products;
use super::label_smoothing::LabelSmoothing;
use super::parameters::{Flat, Shape};
use super::{Precision, Regularization, TrainError, tf32};
use digits_checkpoint::manifest::Activation;
use tch::{Kind, Reduction, Tensor};

/// libtorch's "no label is ignored".
const IGNORE_NOTHING: i64 = -100;
/// Factor inside the scaled tanh.
const TANH_INNER: f64 = 2.0 / 3.0;
/// Factor of the scaled tanh.
const TANH_OUTER: f64 = 1.7159;

/// Forward pass of batches with a fixed number of images, and its buffers.
pub(super) struct Forward {
    activation: Activation,
    /// Activations of the hidden layers, [images, outputs] each.
    outputs: Vec<Tensor>,
    /// What the activation's gradient needs apart from its output: the pre-activations for GELU,
    /// tanh(2x/3) for the scaled tanh; for tanh and sigmoid the output before dropout. Nothing for
    /// ReLU and leaky ReLU, whose output has the sign of their input.
    kept: Vec<Tensor>,
    /// Dropout masks of the hidden layers, [images, outputs] each, to be filled before each pass;
    /// empty without dropout.
    pub(super) masks: Vec<Tensor>,
    smoothing: Option<LabelSmoothing>,
    precision: Precision,
    /// The bfloat16 operands of the products, if that is the precision.
    products: Option<Products>,
    /// Logits, [images, classes].
    pub(super) logits: Tensor,
    /// Log-probabilities, [images, classes].
    pub(super) log_probabilities: Tensor,
    /// Log-probabilities of the labelled images, if the last images are outliers.
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
            if !matches!(activation, Activation::Relu | Activation::LeakyRelu { .. }) {
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

    /// For batches whose last `count` images are outliers, which do not count in the mean loss.
    pub(super) fn with_outliers(mut self, count: usize) -> Result<Self, TrainError> {
        if count > 0 {
            let labelled = self.log_probabilities.size()[0] - count as i64;
            self.of_labelled = Some(self.log_probabilities.f_narrow(0, 0, labelled)?);
        }
        Ok(self)
    }

    /// Log-probabilities of the images with a label, [labelled images, classes].
    fn labelled(&self) -> &Tensor {
        self.of_labelled.as_ref().unwrap_or(&self.log_probabilities)
    }

    /// With dropout and label smoothing; must come after [`Forward::with_outliers`].
    pub(super) fn regularized(mut self, terms: &Regularization) -> Result<Self, TrainError> {
        if terms.dropout > 0.0 {
            let masks = self.outputs.iter().map(Tensor::f_ones_like);
            self.masks = masks.collect::<Result<_, _>>()?;
        }
        let (images, _) = self.logits.size2()?;
        self.smoothing = LabelSmoothing::new(terms.label_smoothing, self.labelled(), images)?;
        Ok(self)
    }

    /// With a precision of the products; `shape` as in [`Forward::new`].
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
        let _tf32 = tf32::scope(self.precision, self.logits.device());
        if let Some(products) = &mut self.products {
            products.take(weights.all)?;
        }
        for number in 0..self.outputs.len() {
            self.hidden(number, batch, weights)?;
        }
        self.preactivations(self.outputs.len(), batch, weights)?;
        let _ = self
            .logits
            .f_internal_log_softmax_out(&self.log_probabilities, 1, false)?;
        Ok(())
    }

    /// The input of a layer.
    fn input<'a>(&'a self, number: usize, batch: &'a Tensor) -> &'a Tensor {
        number.checked_sub(1).map_or(batch, |at| &self.outputs[at])
    }

    /// Computes the pre-activations of a layer into the buffer from which its activation reads
    /// them.
    fn preactivations(
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
            return products.preactivations(number, input, bias, out);
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
        self.preactivations(number, batch, weights)?;
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
            Activation::Tanh => {
                let _ = self.kept[number].f_tanh_()?;
                output.f_copy_(&self.kept[number])?;
            }
            Activation::Sigmoid => {
                let _ = self.kept[number].f_sigmoid_()?;
                output.f_copy_(&self.kept[number])?;
            }
            Activation::LeakyRelu { negative_slope } => {
                // With itself as the gradient, the backward kernel computes the function, to the
                // bit; libtorch's binding of the function has no slope.
                let slope = f64::from(negative_slope);
                let _ = output.f_leaky_relu_backward_grad_input(output, output, slope, false)?;
            }
        }
        if let Some(mask) = self.masks.get(number) {
            let _ = output.f_mul_(mask)?;
        }
        Ok(())
    }

    /// Writes the mean loss of the batch for these labels, int64 [images], into the
    /// zero-dimensional `slot`; with label smoothing, the smoothed loss.
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

    /// Writes the loss of each image for these labels, int64 [images], into `out`, [images].
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

/// Views of the parameters that the passes use.
pub(super) struct Weights<'a> {
    /// The flat buffer.
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

/// Backward pass of batches with a fixed number of images, and its buffers.
pub(super) struct Backward {
    /// Gradient of the loss by the log-probabilities, [images, classes].
    by_log_probabilities: Tensor,
    /// Its rows of the outliers, and its value there: their target is the uniform distribution.
    of_outliers: Option<(Tensor, f64)>,
    /// Gradient of the loss by the pre-activations of each layer, [images, outputs], and its
    /// transposed view.
    by_preactivations: Vec<(Tensor, Tensor)>,
    /// 1, the gradient of the loss by itself.
    one: Tensor,
    /// The number of images, as libtorch's nll kernel takes it.
    total: Tensor,
}

impl Backward {
    pub(super) fn new(
        shape: &Shape,
        images: usize,
        options: (Kind, tch::Device),
    ) -> Result<Self, TrainError> {
        let zeros = |columns: usize| Tensor::f_zeros([images as i64, columns as i64], options);
        let mut by_preactivations = Vec::with_capacity(shape.layers.len());
        for layer in &shape.layers {
            let gradient = zeros(layer.outputs)?;
            let transposed = gradient.f_transpose(0, 1)?;
            by_preactivations.push((gradient, transposed));
        }
        Ok(Self {
            by_log_probabilities: zeros(shape.split().0.outputs)?,
            of_outliers: None,
            by_preactivations,
            one: Tensor::f_ones([0_i64; 0], options)?,
            total: Tensor::f_full([0_i64; 0], images as f64, options)?,
        })
    }

    /// For batches whose last `count` images are outliers, whose labels do not matter.
    pub(super) fn with_outliers(mut self, count: usize) -> Result<Self, TrainError> {
        if count > 0 {
            let (images, classes) = self.by_log_probabilities.size2()?;
            let first = images - count as i64;
            let rows = self.by_log_probabilities.f_narrow(0, first, count as i64)?;
            self.of_outliers = Some((rows, -1.0 / (images * classes) as f64));
        }
        Ok(self)
    }

    /// Computes the gradient of the mean loss by all parameters for the batch that `forward`
    /// computed last.
    pub(super) fn run(
        &mut self,
        forward: &mut Forward,
        batch: &Tensor,
        labels: &Tensor,
        weights: &Weights<'_>,
        gradient: &Flat,
    ) -> Result<(), TrainError> {
        let _tf32 = tf32::scope(forward.precision, self.one.device());
        self.by_logits(forward, labels)?;
        for number in (0..self.by_preactivations.len()).rev() {
            self.by_weight(number, forward, batch, gradient)?;
            let (by_preactivation, _) = &self.by_preactivations[number];
            let _ = by_preactivation.f_sum_intlist_out(
                &gradient.biases[number],
                &[0_i64][..],
                false,
                None,
            )?;
            if number > 0 {
                self.by_input(number, forward, weights)?;
                self.through_activation(forward, number - 1)?;
            }
        }
        Ok(())
    }

    /// The gradient by the logits.
    fn by_logits(&mut self, forward: &Forward, labels: &Tensor) -> Result<(), TrainError> {
        let last = self.by_preactivations.len() - 1;
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
            &self.by_preactivations[last].0,
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
        let (by_preactivation, transposed) = &self.by_preactivations[number];
        let out = &gradient.weights[number];
        if let Some(products) = &mut forward.products {
            return products.by_weight(number, by_preactivation, out);
        }
        let _ = transposed.f_mm_out(out, forward.input(number, batch))?;
        Ok(())
    }

    /// The gradient by a layer's input, into the buffer of the layer below.
    fn by_input(
        &self,
        number: usize,
        forward: &Forward,
        weights: &Weights<'_>,
    ) -> Result<(), TrainError> {
        let (by_preactivation, below) = (
            &self.by_preactivations[number].0,
            &self.by_preactivations[number - 1].0,
        );
        if let Some(products) = &forward.products {
            return products.by_input(number, below);
        }
        let _ = by_preactivation.f_mm_out(below, &weights.weights[number])?;
        Ok(())
    }

    /// Turns the gradient by a hidden layer's output into that by its pre-activations, in place.
    fn through_activation(&mut self, forward: &Forward, number: usize) -> Result<(), TrainError> {
        let gradient = &mut self.by_preactivations[number].0;
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
            Activation::Tanh => {
                let _ = Tensor::f_tanh_backward_grad_input(&out, gradient, &forward.kept[number])?;
            }
            Activation::Sigmoid => {
                let kept = &forward.kept[number];
                let _ = Tensor::f_sigmoid_backward_grad_input(&out, gradient, kept)?;
            }
            Activation::LeakyRelu { negative_slope } => {
                let slope = f64::from(negative_slope);
                let _ = forward.outputs[number]
                    .f_leaky_relu_backward_grad_input(&out, gradient, slope, false)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
