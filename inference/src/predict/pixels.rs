//! The images of one request, in the network's form.

use bytes::Bytes;
use std::sync::Arc;

/// Images, [n, inputs]; clones share the memory.
#[derive(Clone)]
pub enum Pixels {
    /// Grey bytes.
    Bytes(Bytes),
    /// Grey values from 0 to 1; finite.
    Floats(Arc<Vec<f32>>),
}

impl Pixels {
    /// Number of pixels of all images.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
        }
    }

    /// Whether there are no pixels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size in memory, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => size_of_val(floats.as_slice()),
        }
    }

    /// The bytes of image `index`; floats are rounded.
    #[must_use]
    pub fn to_bytes(&self, index: usize, inputs: usize) -> Vec<u8> {
        let range = index * inputs..(index + 1) * inputs;
        match self {
            Self::Bytes(bytes) => bytes[range].to_vec(),
            Self::Floats(floats) => floats[range]
                .iter()
                .map(|&x| (x * 255.0).round() as u8)
                .collect(),
        }
    }

    /// Copies of some images, by their indices.
    #[must_use]
    pub fn selected(&self, indices: &[usize], inputs: usize) -> Self {
        let ranges = indices
            .iter()
            .map(|index| index * inputs..(index + 1) * inputs);
        match self {
            Self::Bytes(bytes) => {
                let selected: Vec<u8> = ranges.flat_map(|range| &bytes[range]).copied().collect();
                Self::Bytes(selected.into())
            }
            Self::Floats(floats) => {
                let selected = ranges.flat_map(|range| &floats[range]).copied();
                Self::Floats(Arc::new(selected.collect()))
            }
        }
    }

    /// Ink of all images: the sum of their pixels; a full pixel is 255.
    #[must_use]
    pub fn ink(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.chunks(INK_CHUNK).map(ink_of_chunk).sum(),
            Self::Floats(floats) => {
                let sum: f64 = floats.iter().map(|&x| f64::from(x)).sum();
                (sum * 255.0).round() as u64
            }
        }
    }
}

/// Lanes of the sum, of 16 bits each.
const INK_LANES: usize = 16;
/// Bytes whose sums cannot overflow: 257 × 255 is the largest number of 16 bits.
const INK_CHUNK: usize = INK_LANES * 257;

fn ink_of_chunk(chunk: &[u8]) -> u64 {
    let (rows, rest) = chunk.as_chunks::<INK_LANES>();
    let mut sums = [0_u16; INK_LANES];
    for row in rows {
        for (sum, &byte) in sums.iter_mut().zip(row) {
            *sum += u16::from(byte);
        }
    }
    let rest = rest.iter().map(|&byte| u64::from(byte));
    sums.into_iter().map(u64::from).chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_is_the_same_in_both_forms() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|i| (i * 31 % 256) as u8).collect();
        let expected: u64 = bytes.iter().map(|&x| u64::from(x)).sum();
        let floats = bytes.iter().map(|&x| f32::from(x) / 255.0).collect();
        let floats = Pixels::Floats(Arc::new(floats));
        assert_eq!(floats.ink(), expected);
        assert_eq!(floats.to_bytes(3, 784), bytes[3 * 784..4 * 784]);
        assert_eq!(Pixels::Bytes(bytes.into()).ink(), expected);
        // The largest sum of a chunk.
        let full = vec![u8::MAX; 2 * INK_CHUNK + 5];
        let expected = full.len() as u64 * 255;
        assert_eq!(Pixels::Bytes(full.into()).ink(), expected);
    }
}
