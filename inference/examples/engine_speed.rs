//! Prints microseconds per image of the engine alone, on one thread.
//!
//! `cargo run --release -p digits-inference --example engine_speed`

use digits_inference::engine::{Activation, ExecutionPath, InputScale, Linear, Network};
use std::{hint::black_box, time::Instant};

/// Images with ink on about a fifth of the pixels, in strokes, as MNIST has it.
fn images(count: usize) -> Vec<u8> {
    let mut pixels = vec![0_u8; count * 784];
    for (index, image) in pixels.chunks_exact_mut(784).enumerate() {
        for row in 4..24 {
            let left = 6 + (row * (index % 5 + 1)) % 12;
            image[row * 28 + left..row * 28 + left + 7]
                .copy_from_slice(&[60, 200, 255, 255, 255, 180, 40]);
        }
    }
    pixels
}

fn measure(network: &Network, path: ExecutionPath, batch: usize) -> f64 {
    let pixels = images(batch);
    let mut logits = vec![0.0; batch * network.classes()];
    let repeat = |rounds: usize, logits: &mut Vec<f32>| {
        let start = Instant::now();
        for _ in 0..rounds {
            network.logits_on(path, black_box(&pixels), logits);
            black_box(&logits);
        }
        start.elapsed().as_secs_f64() * 1e6 / (rounds * batch) as f64
    };
    let once = repeat(3, &mut logits);
    let rounds = ((20_000.0 / (once * batch as f64)) as usize).clamp(1, 100_000);
    (0..7)
        .map(|_| repeat(rounds, &mut logits))
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    println!(
        "{:>28} {:>6} {:>12} {:>12}",
        "network", "batch", "single µs", "batch µs"
    );
    let nets: [&[usize]; 5] = [
        &[784, 10, 10],
        &[784, 32, 10],
        &[784, 128, 10],
        &[784, 800, 10],
        &[784, 2500, 2000, 1500, 1000, 500, 10],
    ];
    for widths in nets {
        let weights: Vec<(Vec<f32>, Vec<f32>)> = widths
            .windows(2)
            .map(|pair| {
                let weight = (0..pair[0] * pair[1])
                    .map(|i| ((i % 97) as f32 - 48.0) / 1000.0)
                    .collect();
                (weight, vec![0.1; pair[1]])
            })
            .collect();
        let layers: Vec<Linear<'_>> = widths
            .windows(2)
            .zip(&weights)
            .map(|(pair, (weight, bias))| Linear {
                inputs: pair[0],
                outputs: pair[1],
                weight,
                bias,
            })
            .collect();
        let scale = InputScale {
            scale: 255.0,
            mean: 0.0,
            std: 1.0,
        };
        let Ok(network) = Network::new(&layers, Activation::Relu, scale) else {
            continue;
        };
        for batch in [1, 2, 4, 8, 16, 64, 256] {
            let single = measure(&network, ExecutionPath::Sparse, batch);
            let matrix = measure(&network, ExecutionPath::Dense, batch);
            println!(
                "{:>28} {batch:>6} {single:>12.3} {matrix:>12.3}",
                format!("{widths:?}")
            );
        }
    }
}
