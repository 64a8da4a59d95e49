//! The message of a caught panic.

use std::any::Any;

/// The message of a panic that `catch_unwind` caught, for logs.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};

    use super::*;

    #[test]
    fn the_message_of_a_panic_is_returned() {
        let cases: [(fn(), &str); 3] = [
            (|| panic!("fixed"), "fixed"),
            (|| panic!("number {}", 7), "number 7"),
            (|| panic_any(7), "without a message"),
        ];
        for (panics, expected) in cases {
            let panic = catch_unwind(panics).expect_err("it panics");
            assert_eq!(panic_text(&*panic), expected);
        }
    }
}
