//! Pages of lists: sizes and tokens. A token names the last item of its page, so it stays valid
//! while items come and go.

use super::errors::invalid_field;
use prost::Message;
use tonic::Status;

const DEFAULT: u32 = 50;
/// Largest page.
pub(super) const MAX: u32 = 1_000;
/// Encoded size at which a page ends, far below the 4 MiB that gRPC clients accept by default. No
/// item is larger, because the files that they come from are limited to 1 MiB.
const PAGE_BYTES: usize = 1 << 20;
/// Encoded size at which the only page ends that a client of an earlier version reads: as much as
/// gRPC clients accept by default, with room for one more item.
pub(super) const ONLY_PAGE_BYTES: usize = 3 << 20;
/// At most: the key of a field and the length of its message.
const ITEM_OVERHEAD: usize = 6;

/// Items on a page, from the request's `page_size`.
pub(super) fn size(requested: u32) -> Result<u32, Status> {
    match requested {
        0 => Ok(DEFAULT),
        1..=MAX => Ok(requested),
        _ => Err(invalid_field(
            "page_size",
            format!("must be at most {MAX}, not {requested}"),
        )),
    }
}

/// A page that is being filled.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    size: usize,
    bytes: usize,
    max_bytes: usize,
}

impl<T: Message> Page<T> {
    /// An empty page for at most `size` items.
    pub(super) fn new(size: u32) -> Self {
        Self {
            items: Vec::new(),
            size: size as usize,
            bytes: 0,
            max_bytes: PAGE_BYTES,
        }
    }

    /// Ends the page at `max_bytes` instead of 1 MiB.
    pub(super) fn up_to(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// How many more items may fit.
    pub(super) fn room(&self) -> usize {
        self.size - self.items.len()
    }

    /// Adds an item; returns false if it belongs to the next page. A page has at least one.
    pub(super) fn push(&mut self, item: T) -> bool {
        let bytes = self.bytes + item.encoded_len() + ITEM_OVERHEAD;
        if self.room() == 0 || (bytes > self.max_bytes && !self.items.is_empty()) {
            return false;
        }
        self.bytes = bytes;
        self.items.push(item);
        true
    }
}

/// Token of the page after the item `key` of the list `kind`.
pub(super) fn token(kind: &str, key: &str) -> String {
    format!("{kind}.{key}")
}

/// The key of a token of the list `kind`; `None` for the first page.
pub(super) fn key<T: std::str::FromStr>(kind: &str, token: &str) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    token
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|key| key.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            invalid_field(
                "page_token",
                "is not a token of this list: pass next_page_token of the previous page, or leave it empty",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert_eq!(key::<i64>("jobs", "").expect("first"), None);
        assert_eq!(
            key::<i64>("jobs", &token("jobs", "7")).expect("good"),
            Some(7)
        );
        for bad in ["7", "jobs.", "jobs.x", "serving.7"] {
            let status = key::<i64>("jobs", bad).expect_err(bad);
            assert!(status.message().starts_with("page_token"), "{status}");
        }
    }

    #[test]
    fn a_page_ends_by_size_and_by_bytes_and_has_at_least_one_item() {
        let filled = |size, item: &str, items: usize| {
            let mut page = Page::new(size);
            let pushed = (0..items).take_while(|_| page.push(item.to_owned()));
            assert_eq!(pushed.count(), page.items.len());
            let bytes: usize = page.items.iter().map(String::len).sum();
            assert!(bytes <= PAGE_BYTES || page.items.len() == 1);
            page.items.len()
        };
        assert_eq!(filled(50, "a", 100), 50);
        assert_eq!(filled(50, "a", 20), 20);
        assert_eq!(filled(1_000, &"a".repeat(PAGE_BYTES / 10), 100), 9);
        assert_eq!(filled(1_000, &"a".repeat(PAGE_BYTES * 2), 100), 1);
    }

    #[test]
    fn sizes() {
        assert_eq!(size(0).expect("default"), DEFAULT);
        assert_eq!(size(1_000).expect("largest"), 1_000);
        assert!(size(1_001).is_err());
    }
}
