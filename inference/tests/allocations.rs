//! The engine allocates no memory per image once its thread is warm: neither the network, on any
//! execution path, nor the softmax after it.
//!
//! A binary of its own because it replaces the global allocator with one that counts. The response
//! to a request does allocate; `docs/serving.md` lists what.
#![allow(clippy::unwrap_used)]

use digits_inference::engine::{
    Activation, ExecutionPath, InputScale, Linear, Network, Pixel,
    probability::{Softmax, most_probable},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

const PIXELS: usize = 784;
const CLASSES: usize = 10;
const IMAGES: usize = 1_000;

thread_local! {
    /// How often this thread took memory. Threads of the test harness take their own.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count() {
        // A thread that ends has no counter any more.
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
    }
}

#[allow(unsafe_code)] // The trait is unsafe to implement; there is no other way to count allocations.
// SAFETY: every call is forwarded unchanged to the system's allocator; counting neither allocates
// nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` takes memory.
fn taken(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

/// A network of these hidden layers, with any weights.
fn network(hidden: &[usize], activation: Activation) -> Network {
    let sizes = [&[PIXELS], hidden, &[CLASSES]].concat();
    let numbers = |count: usize| -> Vec<f32> {
        (0..count)
            .map(|n| ((n * 37 + 11) % 101) as f32 / 500.0 - 0.1)
            .collect()
    };
    let layers: Vec<_> = sizes
        .windows(2)
        .map(|pair| {
            (
                pair[0],
                pair[1],
                numbers(pair[0] * pair[1]),
                numbers(pair[1]),
            )
        })
        .collect();
    let linears: Vec<Linear<'_>> = layers
        .iter()
        .map(|(inputs, outputs, weight, bias)| Linear {
            inputs: *inputs,
            outputs: *outputs,
            weight,
            bias,
        })
        .collect();
    let scale = InputScale {
        scale: 255.0,
        mean: 0.13,
        std: 0.31,
    };
    Network::new(&linears, activation, scale).unwrap()
}

/// What a caller keeps for its answers.
struct Room {
    logits: Vec<f32>,
    probabilities: Vec<f32>,
    softmax: Softmax,
}

impl Room {
    fn new(images: usize) -> Self {
        Self {
            logits: vec![0.0; images * CLASSES],
            probabilities: vec![0.0; CLASSES],
            softmax: Softmax::new(1.3, CLASSES),
        }
    }

    /// Labels of the images, summed up so that nothing of the work can be left out.
    fn classify<P: Pixel>(
        &mut self,
        network: &Network,
        path: Option<ExecutionPath>,
        images: &[P],
    ) -> usize {
        match path {
            Some(path) => network.logits_on(path, images, &mut self.logits),
            None => network.logits(images, &mut self.logits),
        }
        self.logits
            .chunks_exact(CLASSES)
            .map(|logits| {
                self.softmax.of(logits, &mut self.probabilities);
                most_probable(&self.probabilities)
            })
            .sum()
    }
}

/// Every image alone, as in a small request, and all in batches, by the chosen execution path and
/// by each of them.
fn check<P: Pixel>(name: &str, network: &Network, images: &[P]) {
    for at_once in [1, 64] {
        for path in [
            None,
            Some(ExecutionPath::Sparse),
            Some(ExecutionPath::Dense),
        ] {
            let mut room = Room::new(at_once);
            let batches = || images.chunks_exact(at_once * PIXELS);
            // The thread's scratch grows to what this path needs.
            for batch in batches().take(1) {
                black_box(room.classify(network, path, batch));
            }
            let taken = taken(|| {
                for batch in batches() {
                    black_box(room.classify(network, path, batch));
                }
            });
            assert_eq!(taken, 0, "{name}, {at_once} at once, {path:?}");
        }
    }
}

#[test]
fn computing_an_image_allocates_nothing() {
    // What is taken is seen.
    let seen = taken(|| drop(black_box(vec![1_u8; black_box(100)])));
    assert_eq!(seen, 1);
    let bytes: Vec<u8> = (0..IMAGES * PIXELS)
        .map(|n| if n % 5 == 0 { (n % 251) as u8 } else { 0 })
        .collect();
    let floats: Vec<f32> = bytes.iter().map(|&x| f32::from(x) / 255.0).collect();
    for (hidden, activation) in [
        (&[10][..], Activation::Relu),
        (&[128], Activation::ScaledTanh),
        (&[300, 100], Activation::Gelu),
        (&[300, 100], Activation::Sigmoid),
    ] {
        let network = network(hidden, activation);
        check(&format!("{hidden:?}, bytes"), &network, &bytes);
        check(&format!("{hidden:?}, floats"), &network, &floats);
    }
}
