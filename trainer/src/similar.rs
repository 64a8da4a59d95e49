//! Finds the known name that a misspelt one probably means.

/// Slips that a misspelt name may have: letters added, left out, replaced, or swapped with the next.
const SLIPS: usize = 2;

/// The most similar of the known names; `None` if none is similar.
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known));
    let (slips, known) = distances.min()?;
    (slips <= SLIPS).then_some(known)
}
