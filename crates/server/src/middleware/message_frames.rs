//! Where the messages of a gRPC body begin and end: five bytes of head, the last four of which are
//! the length of the message (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

/// Bytes before each message.
const HEAD: u8 = 5;

/// The position within a body.
#[derive(Debug, Default)]
pub(super) struct MessageFrames {
    /// Bytes of the head that have arrived.
    head: u8,
    length: u32,
    /// Bytes of the message that are still to come, once its head is complete.
    missing: u32,
}

impl MessageFrames {
    /// Moves on by `bytes`; returns whether a message was completed.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) -> bool {
        let mut completed = false;
        while let Some((&first, rest)) = bytes.split_first() {
            if self.head < HEAD {
                // The first byte is the compressed-flag; it is shifted out.
                self.length = self.length << 8 | u32::from(first);
                self.head += 1;
                bytes = rest;
                if self.head == HEAD {
                    self.missing = self.length;
                }
            } else {
                let part = bytes.len().min(self.missing as usize);
                self.missing -= u32::try_from(part).unwrap_or(self.missing);
                bytes = &bytes[part..];
            }
            if self.head == HEAD && self.missing == 0 {
                *self = Self::default();
                completed = true;
            }
        }
        completed
    }

    /// Whether a message has begun and is not complete.
    pub(super) fn is_within(&self) -> bool {
        self.head > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three messages, of 3, 0 and 300 bytes; the offsets at which they are complete.
    fn body() -> (Vec<u8>, [usize; 3]) {
        let mut body = Vec::new();
        let ends = [3_u32, 0, 300].map(|length| {
            body.push(1);
            body.extend(length.to_be_bytes());
            body.extend(std::iter::repeat_n(0xff, length as usize));
            body.len()
        });
        (body, ends)
    }

    #[test]
    fn messages_end_where_their_lengths_say_however_they_are_split() {
        let (body, ends) = body();
        for size in [1, 2, 3, 5, 7, 100, body.len()] {
            let (mut frames, mut at) = (MessageFrames::default(), 0);
            for part in body.chunks(size) {
                let range = at..at + part.len();
                at = range.end;
                let expected = ends.iter().any(|end| range.contains(&(end - 1)));
                assert_eq!(frames.advance(part), expected, "{size} {range:?}");
                assert_eq!(frames.is_within(), !ends.contains(&at), "{size} {at}");
            }
        }
    }
}
