//! Numbers the labels of files, be they numbers or names.

use crate::{Error, natural_order::natural};
use digits_dataset::{Finding, MAX_CLASSES, folder};
use std::{cmp::Ordering, collections::HashMap, fmt, path::Path};

/// A label as a file has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// A whole number.
    Number(i64),
    /// A name.
    Text(String),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// All labels of a data set, in the order in which they were met.
#[derive(Debug, Default)]
pub struct Labels(HashMap<Label, u16>);

/// The names of all labels.
#[derive(Debug, PartialEq, Eq)]
pub struct LabelNames {
    /// By index.
    pub names: Vec<String>,
    /// What is unusual about the first one.
    pub finding: Option<Finding>,
}

/// Where the names of labels that are numbers come from.
pub struct Naming<'a> {
    /// The folder of the files, perhaps with a file of names.
    pub dir: &'a Path,
    /// In front of the names of all files.
    pub prefix: &'a str,
    /// The user's choice of the number that is the first label.
    pub first: Option<u16>,
    /// Names by number that the files themselves have.
    pub own: Option<Vec<String>>,
}

impl Labels {
    /// The place of a label, until [`number`](Self::number) replaces it; `None` if there would be
    /// more than [`MAX_CLASSES`].
    pub fn place(&mut self, label: &Label) -> Option<u16> {
        if let Some(place) = self.0.get(label) {
            return Some(*place);
        }
        let place = u16::try_from(self.0.len()).ok()?;
        if usize::from(place) == MAX_CLASSES {
            return None;
        }
        self.0.insert(label.clone(), place);
        Some(place)
    }

    /// Replaces places by the indices of labels. Numbers keep their order and distances; names are
    /// in natural order.
    ///
    /// # Errors
    /// [`Error::Input`] of a number that is no label, and of files of names.
    pub fn number(
        self,
        naming: Naming<'_>,
        parts: &mut [&mut Vec<u16>],
    ) -> Result<LabelNames, Error> {
        let numbers: Option<Vec<(i64, u16)>> = self
            .0
            .iter()
            .map(|(label, place)| match label {
                Label::Number(number) => Some((*number, *place)),
                Label::Text(_) => None,
            })
            .collect();
        let (names, indices) = match numbers {
            Some(numbers) => numbered(&numbers, naming)?,
            None if naming.first.is_some() => {
                let reason = "the labels are names, not numbers: leave --labels-from away";
                return Err(Error::input("data set", reason));
            }
            None => self.named(),
        };
        for place in parts.iter_mut().flat_map(|part| part.iter_mut()) {
            *place = indices[usize::from(*place)];
        }
        Ok(names)
    }

    fn named(&self) -> (LabelNames, Vec<u16>) {
        let mut named: Vec<(String, u16)> = self
            .0
            .iter()
            .map(|(label, place)| match label {
                Label::Number(number) => (number.to_string(), *place),
                Label::Text(text) => (text.clone(), *place),
            })
            .collect();
        named.sort_by(|left, right| natural(&left.0, &right.0));
        let mut indices = vec![0; named.len()];
        for (index, (_, place)) in (0..).zip(&named) {
            indices[usize::from(*place)] = index;
        }
        let names = LabelNames {
            names: named.into_iter().map(|it| it.0).collect(),
            finding: None,
        };
        (names, indices)
    }
}

/// Names, and the index of each place.
fn numbered(numbers: &[(i64, u16)], naming: Naming<'_>) -> Result<(LabelNames, Vec<u16>), Error> {
    let first = naming.first.unwrap_or(0);
    let fail = |number: i64, reason: String| {
        Err(Error::input(
            "data set",
            format!("the label {number} {reason}"),
        ))
    };
    let mut relative = Vec::new();
    for &(number, place) in numbers {
        match number.checked_sub(i64::from(first)).map(u16::try_from) {
            Some(Ok(label)) if usize::from(label) < MAX_CLASSES => relative.push((label, place)),
            _ => {
                return match number.cmp(&i64::from(first)) {
                    Ordering::Less => fail(
                        number,
                        format!("is below {first}, from which labels count: remove its images"),
                    ),
                    _ => fail(
                        number,
                        format!(
                            "is above {}: number the labels from 0, or give the smallest with --labels-from",
                            usize::from(first) + MAX_CLASSES - 1
                        ),
                    ),
                };
            }
        }
    }
    let all = || relative.iter().map(|(label, _)| *label);
    let occurring = all().min().unwrap_or(0)..=all().max().unwrap_or(0);
    let (names, shift, finding) = match naming.own {
        Some(names) => (names, 0, None),
        None => {
            let named = folder::name_labels(naming.dir, naming.prefix, naming.first, occurring)
                .map_err(|error| Error::input("data set", error))?;
            (
                named.names,
                named.first.saturating_sub(first),
                named.finding,
            )
        }
    };
    let mut indices = vec![0; relative.len()];
    for (label, place) in relative {
        indices[usize::from(place)] = label - shift;
    }
    Ok((LabelNames { names, finding }, indices))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered_as(
        labels: &[Label],
        first: Option<u16>,
    ) -> Result<(Vec<String>, Vec<u16>), String> {
        let mut all = Labels::default();
        let mut places: Vec<u16> = labels
            .iter()
            .map(|label| all.place(label).expect("few labels"))
            .collect();
        let naming = Naming {
            dir: Path::new("/nonexistent"),
            prefix: "",
            first,
            own: None,
        };
        let named = all
            .number(naming, &mut [&mut places])
            .map_err(|error| error.to_string())?;
        Ok((named.names, places))
    }

    #[test]
    fn numbers_keep_their_distances_and_names_their_natural_order() {
        let numbers = |all: &[i64]| all.iter().copied().map(Label::Number).collect::<Vec<_>>();
        let texts = |all: &[&str]| {
            let texts = all.iter().map(|text| Label::Text((*text).to_owned()));
            texts.collect::<Vec<_>>()
        };
        let (names, indices) = numbered_as(&numbers(&[3, 0, 3, 2]), None).expect("labels");
        assert_eq!(
            (names.join(" "), indices),
            ("0 1 2 3".to_owned(), vec![3, 0, 3, 2])
        );
        let (names, indices) = numbered_as(&numbers(&[3, 1, 2]), Some(1)).expect("labels");
        assert_eq!(
            (names.join(" "), indices),
            ("1 2 3".to_owned(), vec![2, 0, 1])
        );
        let (names, indices) = numbered_as(&texts(&["x10", "x9", "x10"]), None).expect("labels");
        assert_eq!(
            (names.join(" "), indices),
            ("x9 x10".to_owned(), vec![1, 0, 1])
        );
        let mixed = [numbers(&[7]), texts(&["a"])].concat();
        assert_eq!(numbered_as(&mixed, None).expect("labels").1, [0, 1]);

        for (labels, first, part) in [
            (numbers(&[-1, 0]), None, "the label -1 is below 0"),
            (numbers(&[0, 1_000]), None, "the label 1000 is above 999"),
            (numbers(&[0, 1]), Some(1), "the label 0 is below 1"),
            (texts(&["a", "b"]), Some(1), "leave --labels-from away"),
        ] {
            let error = numbered_as(&labels, first).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn there_are_as_many_labels_as_a_data_set_may_have() {
        let mut labels = Labels::default();
        for number in 0..MAX_CLASSES as i64 {
            assert!(labels.place(&Label::Number(number)).is_some());
        }
        assert_eq!(labels.place(&Label::Number(-1)), None);
        assert_eq!(labels.place(&Label::Number(7)), Some(7));
    }
}
