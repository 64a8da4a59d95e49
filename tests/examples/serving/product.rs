//! Speed of the same matrix products alone on this machine's core.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Duration of the measurement, and of the warm-up before it.
const TIME: Duration = Duration::from_millis(300);

/// FLOP/s of `rows` values through linear layers of these widths, [rows, widths[0]] to [rows,
/// widths[last]], on the calling thread, by the crate that the engine uses: two for each
/// multiplication and addition, the best of several rounds.
pub fn flops(rows: usize, widths: &[usize]) -> f64 {
    let layers: Vec<(usize, usize, Vec<f32>)> = widths
        .windows(2)
        .map(|pair| (pair[0], pair[1], vec![0.01; pair[0] * pair[1]]))
        .collect();
    let widest = widths.iter().copied().max().unwrap_or(0);
    let (mut values, mut sums) = (vec![0.5_f32; rows * widest], vec![0.0_f32; rows * widest]);
    let flop: f64 = layers
        .iter()
        .map(|(inputs, outputs, _)| 2.0 * (rows * inputs * outputs) as f64)
        .sum();
    let mut once = || {
        for (inputs, outputs, weights) in &layers {
            multiply(weights, &values, &mut sums, rows, *inputs, *outputs);
            std::mem::swap(&mut values, &mut sums);
        }
        black_box(&values);
    };
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        once();
    }
    let mut best = f64::INFINITY;
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let start = Instant::now();
        once();
        best = best.min(start.elapsed().as_secs_f64());
    }
    flop / best
}

/// sums = values × weights; [rows, inputs] × [inputs, outputs].
#[allow(unsafe_code)] // The crate's only entry takes pointers; see the SAFETY comment.
fn multiply(
    weights: &[f32],
    values: &[f32],
    sums: &mut [f32],
    rows: usize,
    inputs: usize,
    outputs: usize,
) {
    assert!(weights.len() >= inputs * outputs, "weights too short");
    assert!(values.len() >= rows * inputs, "values too short");
    assert!(sums.len() >= rows * outputs, "sums too short");
    // SAFETY: the matrices lie row by row without gaps in slices that are as long as asserted
    // above, and `sums` is borrowed mutably, so it overlaps neither of the others.
    unsafe {
        gemm::gemm(
            outputs,
            rows,
            inputs,
            sums.as_mut_ptr(),
            outputs as isize,
            1,
            false,
            weights.as_ptr(),
            outputs as isize,
            1,
            values.as_ptr(),
            inputs as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
