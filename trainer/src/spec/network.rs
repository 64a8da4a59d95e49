//! The size of a network, as torchinfo computes it, and the check of an activation's slope.

use super::{request::ArchitectureRequest, violation::Violations};
use crate::job::NetworkSize;
use digits_checkpoint::manifest::{Activation, Architecture};

/// Parameters, multiply-adds and bytes of a network.
#[must_use]
pub fn network_size(architecture: &Architecture) -> NetworkSize {
    let widths = architecture
        .hidden
        .iter()
        .copied()
        .chain([architecture.classes]);
    let mut inputs = architecture.input_size as u64;
    let mut parameters: u64 = 0;
    let mut activations: u64 = 0;
    for outputs in widths {
        let outputs = outputs as u64;
        // Widths are bounded, but this must not wrap for those that are about to be refused either.
        let layer = inputs.saturating_add(1).saturating_mul(outputs);
        parameters = parameters.saturating_add(layer);
        activations = activations.saturating_add(outputs);
        inputs = outputs;
    }
    NetworkSize {
        parameters,
        parameter_bytes: parameters.saturating_mul(4),
        multiply_adds: parameters,
        activation_bytes: activations.saturating_mul(4),
    }
}

/// Checks that a slope is in its bounds and belongs to the activation.
pub(super) fn check_negative_slope(architecture: &ArchitectureRequest, found: &mut Violations) {
    const FIELD: &str = "architecture.negative_slope";
    let Some(slope) = architecture.negative_slope else {
        return;
    };
    found.in_range(FIELD, slope, 0.0..=1.0);
    // Another slope is that of the checkpoint that the training starts from.
    let leaky = Activation::LeakyRelu {
        negative_slope: slope,
    };
    if !slope.is_nan() && architecture.activation != Some(Ok(leaky)) {
        found.push(
            FIELD,
            "is only for LEAKY_RELU: set architecture.activation too",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_network_is_that_of_torchinfo() {
        let size = |hidden: &[usize]| {
            network_size(&Architecture {
                input_size: 784,
                hidden: hidden.to_vec(),
                classes: 10,
                activation: Activation::Relu,
            })
        };
        let notebook = size(&[10]);
        assert_eq!(notebook.parameters, 7_960);
        assert_eq!(notebook.parameter_bytes, 31_840);
        assert_eq!(notebook.multiply_adds, 7_960);
        assert_eq!(notebook.activation_bytes, 80);
        assert_eq!(size(&[]).parameters, 7_850);
        assert_eq!(size(&[128]).parameters, 784 * 128 + 128 + 1_290);
        assert_eq!(size(&[usize::MAX, usize::MAX]).parameters, u64::MAX);
    }
}
