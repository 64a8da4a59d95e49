//! Activation functions.

/// The activation function between two linear layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// 1.7159 tanh(2x/3) (LeCun 1998).
    ScaledTanh,
    /// x Φ(x) with the exact Φ, not its tanh approximation.
    Gelu,
    /// tanh(x).
    Tanh,
    /// 1 / (1 + exp(−x)).
    Sigmoid,
    /// x where x > 0, else `negative_slope` x.
    LeakyRelu {
        /// Slope below 0.
        negative_slope: f32,
    },
}

impl Activation {
    /// Replaces each value by its image. Sigmoid maps 0 to 0.5: padding after it is not 0, and no
    /// path reads it.
    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
            Self::ScaledTanh => values
                .iter_mut()
                .for_each(|x| *x = 1.7159 * libm::tanhf(*x * (2.0 / 3.0))),
            Self::Gelu => values.iter_mut().for_each(|x| {
                *x *= 0.5 * (1.0 + libm::erff(*x * std::f32::consts::FRAC_1_SQRT_2));
            }),
            Self::Tanh => values.iter_mut().for_each(|x| *x = libm::tanhf(*x)),
            Self::Sigmoid => values
                .iter_mut()
                .for_each(|x| *x = 1.0 / (1.0 + libm::expf(-*x))),
            Self::LeakyRelu { negative_slope } => values
                .iter_mut()
                .for_each(|x| *x *= if *x > 0.0 { 1.0 } else { negative_slope }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_give_known_values() {
        let check = |activation: Activation, x: f32, expected: f32| {
            let mut values = [x];
            activation.apply(&mut values);
            assert!(
                (values[0] - expected).abs() < 1e-6,
                "{activation:?}({x}) = {}, expected {expected}",
                values[0]
            );
        };
        check(Activation::Relu, -2.0, 0.0);
        check(Activation::Relu, 2.5, 2.5);
        check(Activation::ScaledTanh, 1.0, 0.999_997_26);
        check(Activation::ScaledTanh, -1.0, -0.999_997_26);
        check(Activation::Gelu, 1.0, 0.841_344_8);
        check(Activation::Gelu, -1.0, -0.158_655_25);
        check(Activation::Gelu, -6.0, -5.919e-9);
        check(Activation::Tanh, 1.0, 0.761_594_2);
        check(Activation::Tanh, -30.0, -1.0);
        check(Activation::Sigmoid, 0.0, 0.5);
        check(Activation::Sigmoid, 2.0, 0.880_797);
        // exp(-x) is beyond float32.
        check(Activation::Sigmoid, -200.0, 0.0);
        check(Activation::Sigmoid, 200.0, 1.0);
        let leaky = Activation::LeakyRelu {
            negative_slope: 0.2,
        };
        check(leaky, 3.0, 3.0);
        check(leaky, -3.0, -0.6);
        for activation in [
            Activation::Relu,
            Activation::ScaledTanh,
            Activation::Gelu,
            Activation::Tanh,
            leaky,
        ] {
            check(activation, 0.0, 0.0);
        }
    }
}
