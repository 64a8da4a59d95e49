//! Shortens ids of jobs and checkpoints to starts that still differ.

use std::ops::Range;

/// Characters of a UUID with hyphens.
const WHOLE: usize = 36;
/// Least number of characters that are kept.
const LEAST: usize = 8;

/// Shortens every id in the cells, each to the same number of characters, so that different ids
/// stay different.
pub(super) fn shorten(rows: &mut [Vec<String>]) {
    let cells = || rows.iter().flatten();
    let mut all: Vec<String> = cells()
        .flat_map(|cell| find(cell).into_iter().map(|id| cell[id].to_owned()))
        .collect();
    all.sort_unstable();
    all.dedup();
    let neighbours = all.iter().zip(all.iter().skip(1));
    let common = neighbours.map(|(a, b)| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b));
    let most = common.map(Iterator::count).max();
    let kept = most.map_or(LEAST, |common| (common + 1).clamp(LEAST, WHOLE));
    for cell in rows.iter_mut().flatten() {
        for id in find(cell).into_iter().rev() {
            cell.replace_range(id.start + kept..id.end, "");
        }
    }
}

/// Where a text has ids.
fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start + WHOLE <= text.len() {
        let end = start + WHOLE;
        let is_id = text
            .get(start..end)
            .is_some_and(|part| uuid::Uuid::try_parse(part).is_ok());
        if is_id {
            found.push(start..end);
        }
        start = if is_id { end } else { start + 1 };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_ids_stay_different() {
        let id = |end: &str| format!("0190a0b0-0000-7000-8000-0000000000{end}");
        let mut rows = vec![
            vec![id("c1"), format!("job {}, {} canary", id("d1"), id("c1"))],
            vec!["no id".to_owned(), "0190a0b0-0000-7000-8000 é".to_owned()],
        ];
        shorten(&mut rows);
        let short = |end: &str| format!("0190a0b0-0000-7000-8000-0000000000{end}");
        assert_eq!(
            rows[0],
            [
                short("c"),
                format!("job {}, {} canary", short("d"), short("c"))
            ]
        );
        assert_eq!(rows[1], ["no id", "0190a0b0-0000-7000-8000 é"]);

        let mut one = vec![vec![id("c1")]];
        shorten(&mut one);
        assert_eq!(one[0], ["0190a0b0"]);
    }
}
