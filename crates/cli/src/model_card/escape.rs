//! Escapes texts of users for Markdown.

/// Text without meaning in Markdown.
pub(super) fn text(plain: &str) -> String {
    let mut escaped = String::new();
    for character in plain.chars() {
        if "\\`*_{}[]<>#|~&".contains(character) {
            escaped.push('\\');
        }
        escaped.push(if character.is_control() {
            ' '
        } else {
            character
        });
    }
    escaped
}
