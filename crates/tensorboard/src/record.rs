//! The framing of an event file, TFRecord's: length, checksum of the length, message, checksum of
//! the message, all little-endian.

use crate::messages::Event;
use crc_fast::{CrcAlgorithm, checksum};
use prost::Message as _;

/// Appends an event as a record.
pub fn append(file: &mut Vec<u8>, event: &Event) {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(&length));
    file.extend(&message);
    file.extend(masked(&message));
}

/// CRC-32C, rotated and shifted by a constant, because a checksum of data that holds its own
/// checksums is weak.
fn masked(bytes: &[u8]) -> [u8; 4] {
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::version;

    /// The bytes are those that TensorBoard's own `RecordWriter` writes.
    #[test]
    fn a_version_has_the_bytes_that_tensorboard_writes() {
        let mut file = Vec::new();
        append(&mut file, &version(0.0));
        let length = [15, 0, 0, 0, 0, 0, 0, 0, 109, 83, 43, 9];
        let checksum = [252, 152, 81, 41];
        let expected = [&length[..], b"\x1a\x0dbrain.Event:2", &checksum].concat();
        assert_eq!(file, expected);
    }
}
