//! Values of a tensor of any numeric type, and their conversion into pixels.

use super::{error::InvalidImage, pixels::Pixels};
use bytes::Bytes;
use std::{fmt::Display, sync::Arc};

/// Number of values that are converted inline, in well under 500 µs; more are converted on the
/// pool.
const MAX_INLINE_VALUES: usize = 200_000;

/// A numeric element type, little-endian. Integers are grey values from 0 to 255, floats from 0 to
/// 1 as torchvision's `ToTensor` gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 8-bit unsigned integer.
    Uint8,
    /// 16-bit unsigned integer.
    Uint16,
    /// 32-bit unsigned integer.
    Uint32,
    /// 64-bit unsigned integer.
    Uint64,
    /// 8-bit integer.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// IEEE 754 half precision.
    Fp16,
    /// The upper half of single precision.
    Bf16,
    /// IEEE 754 single precision.
    Fp32,
    /// IEEE 754 double precision.
    Fp64,
}

impl ElementType {
    /// Size of a value in bytes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => 2,
            Self::Uint32 | Self::Int32 | Self::Fp32 => 4,
            Self::Uint64 | Self::Int64 | Self::Fp64 => 8,
        }
    }
}

/// Values of a tensor.
pub enum TensorValues {
    /// 32-bit unsigned integers.
    Unsigned(Vec<u32>),
    /// 64-bit unsigned integers.
    UnsignedLong(Vec<u64>),
    /// 32-bit integers.
    Signed(Vec<i32>),
    /// 64-bit integers.
    SignedLong(Vec<i64>),
    /// Single precision.
    Floats(Vec<f32>),
    /// Double precision.
    Doubles(Vec<f64>),
    /// Values of a type, one after the other.
    Raw(ElementType, Bytes),
}

impl TensorValues {
    /// Whether the values are few enough to be converted inline.
    #[must_use]
    pub fn convert_inline(&self) -> bool {
        let count = match self {
            Self::Unsigned(values) => values.len(),
            Self::UnsignedLong(values) => values.len(),
            Self::Signed(values) => values.len(),
            Self::SignedLong(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Doubles(values) => values.len(),
            Self::Raw(element, bytes) => bytes.len() / element.size(),
        };
        count <= MAX_INLINE_VALUES
    }

    /// Converts the values. Floats stay floats: the network takes both forms.
    ///
    /// # Errors
    ///
    /// The first value that is not a pixel's.
    pub fn into_pixels(self) -> Result<Pixels, InvalidImage> {
        match self {
            Self::Unsigned(values) => integers(values),
            Self::UnsignedLong(values) => integers(values),
            Self::Signed(values) => integers(values),
            Self::SignedLong(values) => integers(values),
            Self::Floats(values) => floats(values),
            Self::Doubles(values) => floats(single(values)),
            Self::Raw(element, bytes) => raw(element, &bytes),
        }
    }
}

fn raw(element: ElementType, bytes: &Bytes) -> Result<Pixels, InvalidImage> {
    use ElementType as Type;
    match element {
        Type::Uint8 => Ok(Pixels::Bytes(bytes.clone())),
        Type::Int8 => integers(values(bytes, i8::from_le_bytes)),
        Type::Uint16 => integers(values(bytes, u16::from_le_bytes)),
        Type::Int16 => integers(values(bytes, i16::from_le_bytes)),
        Type::Uint32 => integers(values(bytes, u32::from_le_bytes)),
        Type::Int32 => integers(values(bytes, i32::from_le_bytes)),
        Type::Uint64 => integers(values(bytes, u64::from_le_bytes)),
        Type::Int64 => integers(values(bytes, i64::from_le_bytes)),
        Type::Fp16 => floats(values(bytes, half).collect()),
        Type::Bf16 => floats(values(bytes, brain_float).collect()),
        Type::Fp32 => floats(values(bytes, f32::from_le_bytes).collect()),
        Type::Fp64 => floats(single(values(bytes, f64::from_le_bytes))),
    }
}

fn values<const SIZE: usize, T>(
    bytes: &[u8],
    value: impl Fn([u8; SIZE]) -> T,
) -> impl Iterator<Item = T> {
    let (chunks, _) = bytes.as_chunks::<SIZE>();
    chunks.iter().map(move |chunk| value(*chunk))
}

fn integers<T: Copy + Display>(values: impl IntoIterator<Item = T>) -> Result<Pixels, InvalidImage>
where
    u8: TryFrom<T>,
{
    let byte = |(index, value): (usize, T)| {
        u8::try_from(value).map_err(|_| InvalidImage {
            index,
            message: format!("value {index} must be from 0 to 255, not {value}"),
        })
    };
    let bytes: Result<Vec<u8>, InvalidImage> = values.into_iter().enumerate().map(byte).collect();
    Ok(Pixels::Bytes(bytes?.into()))
}

fn floats(floats: Vec<f32>) -> Result<Pixels, InvalidImage> {
    match floats.iter().position(|value| !(0.0..=1.0).contains(value)) {
        None => Ok(Pixels::Floats(Arc::new(floats))),
        Some(index) => {
            let message = format!(
                "value {index} must be from 0 to 1, as ToTensor gives it (divide grey bytes by 255, or send UINT8), not {}",
                floats[index]
            );
            Err(InvalidImage { index, message })
        }
    }
}

fn single(doubles: impl IntoIterator<Item = f64>) -> Vec<f32> {
    doubles.into_iter().map(|value| value as f32).collect()
}

fn brain_float(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// Half precision: a sign, 5 bits of exponent with bias 15, 10 bits of fraction. Infinity and NaN
/// become 65536 and more, which is no pixel either.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    // 2^112 moves the bias of the exponent from 15 to 127, that of subnormal numbers too.
    let scale = f32::from_bits(0x7780_0000);
    let size = f32::from_bits((bits & 0x7fff) << 13) * scale;
    f32::from_bits(size.to_bits() | (bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: TensorValues) -> Vec<u8> {
        match values.into_pixels() {
            Ok(Pixels::Bytes(bytes)) => bytes.to_vec(),
            Ok(Pixels::Floats(_)) => panic!("floats"),
            Err(error) => panic!("{}", error.message),
        }
    }

    fn raw_floats(element: ElementType, raw: Vec<u8>) -> Vec<f32> {
        match TensorValues::Raw(element, raw.into()).into_pixels() {
            Ok(Pixels::Floats(floats)) => floats.to_vec(),
            Ok(Pixels::Bytes(_)) => panic!("bytes"),
            Err(error) => panic!("{}", error.message),
        }
    }

    #[test]
    fn integers_of_every_size_are_grey_bytes() {
        use ElementType as Type;
        for element in [Type::Uint8, Type::Uint16, Type::Uint32, Type::Uint64] {
            let signed = [Type::Int8, Type::Int16, Type::Int32, Type::Int64];
            for (element, largest) in signed.into_iter().chain([element]).map(|it| match it {
                Type::Int8 => (it, 127),
                it => (it, 255),
            }) {
                let mut raw = vec![0; element.size() * 2];
                raw[element.size()] = largest;
                let values = TensorValues::Raw(element, raw.into());
                assert_eq!(bytes(values), [0, largest], "{element:?}");
            }
        }
        assert_eq!(bytes(TensorValues::Signed(vec![0, 255])), [0, 255]);
        assert_eq!(bytes(TensorValues::SignedLong(vec![7])), [7]);
        assert_eq!(bytes(TensorValues::UnsignedLong(vec![7])), [7]);
        let outside = TensorValues::Raw(Type::Int16, (-1_i16).to_le_bytes().to_vec().into());
        let error = outside.into_pixels().err().expect("negative");
        assert_eq!(error.message, "value 0 must be from 0 to 255, not -1");
    }

    #[test]
    fn floats_of_every_size_are_from_0_to_1() {
        let all = [0.0, 0.5, 1.0, 0.25, 2_f32.powi(-24)];
        let halves = [0x0000_u16, 0x3800, 0x3c00, 0x3400, 0x0001];
        let raw = halves.iter().flat_map(|it| it.to_le_bytes()).collect();
        assert_eq!(raw_floats(ElementType::Fp16, raw), all);
        let raw = all
            .iter()
            .flat_map(|it| ((it.to_bits() >> 16) as u16).to_le_bytes());
        assert_eq!(raw_floats(ElementType::Bf16, raw.collect()), all);
        let raw = all.iter().flat_map(|it| it.to_le_bytes()).collect();
        assert_eq!(raw_floats(ElementType::Fp32, raw), all);
        let raw = all
            .iter()
            .flat_map(|it| f64::from(*it).to_le_bytes())
            .collect();
        assert_eq!(raw_floats(ElementType::Fp64, raw), all);
        for (element, raw) in [
            (ElementType::Fp16, vec![0x00, 0x7c]),
            (ElementType::Fp16, vec![0x00, 0x7e]),
            (ElementType::Fp16, vec![0x00, 0xbc]),
            (ElementType::Bf16, vec![0x80, 0x7f]),
            (ElementType::Fp64, 1.5_f64.to_le_bytes().to_vec()),
        ] {
            let outside = TensorValues::Raw(element, raw.into()).into_pixels();
            assert!(outside.is_err(), "{element:?}");
        }
    }
}
