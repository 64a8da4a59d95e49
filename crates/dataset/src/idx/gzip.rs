//! Unpacks gzip as gunzip does: members one after another; zeros behind the last one, the padding
//! of a tape or a download, do not count; other bytes behind it are ignored and reported.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Chain, Cursor, Read};

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether these are the first bytes of a gzip file.
pub(super) fn starts(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The content of all members of a gzip file.
pub(super) struct Members<R> {
    /// `None` after the end.
    member: Option<GzDecoder<Chain<Cursor<Vec<u8>>, R>>>,
    /// Whether bytes other than zeros are behind the last member; known at the end.
    pub(super) has_garbage: bool,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            member: Some(member(Vec::new(), input)),
            has_garbage: false,
        }
    }

    /// Goes on to the next member, or to the end.
    fn advance(&mut self) -> io::Result<()> {
        let Some(ended) = self.member.take() else {
            return Ok(());
        };
        // Of a whole member nothing is left of the first two bytes.
        let (_, mut rest) = ended.into_inner().into_inner();
        let mut start = Vec::new();
        rest.by_ref()
            .take(MAGIC.len() as u64)
            .read_to_end(&mut start)?;
        if start == MAGIC {
            self.member = Some(member(start, rest));
        } else {
            self.has_garbage = start.iter().any(|&byte| byte != 0) || !only_zeros(rest)?;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(buffer)? {
                0 if !buffer.is_empty() => self.advance()?,
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

fn member<R: BufRead>(start: Vec<u8>, rest: R) -> GzDecoder<Chain<Cursor<Vec<u8>>, R>> {
    GzDecoder::new(Cursor::new(start).chain(rest))
}

fn only_zeros(mut rest: impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        let read = bytes.len();
        rest.consume(read);
    }
}
