//! Suggests a known name for one that is misspelt.

/// The known name that is most similar to `text`; `None` if none is similar.
pub fn similar<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = text.chars().count();
    let distances = known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(text, name), name));
    let (distance, name) = distances.min()?;
    // With more than one slip in three characters the names have little in common.
    (length > 1 && distance * 3 <= length.max(3)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_suggested() {
        let known = ["mnist", "synthetic", "letters"];
        for (text, expected) in [
            ("mnits", Some("mnist")),
            ("leters", Some("letters")),
            ("sinthetik", Some("synthetic")),
            ("faces", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(similar(text, known), expected, "{text}");
        }
        assert_eq!(similar("mnist", []), None);
    }
}
