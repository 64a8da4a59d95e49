//! Confusion matrix: counts by true and predicted label.

use super::{Column, Ink, Style, Table};

/// Length of the list of mistakes, for a matrix that is too wide for the terminal.
const WORST: usize = 20;

/// Counts of (true label, predicted label).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    /// An empty matrix of classes × classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Counts an image; one outside of the matrix is ignored.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        self.add_many(truth, predicted, 1);
    }

    /// Counts several images; those outside of the matrix are ignored.
    pub fn add_many(&mut self, truth: usize, predicted: usize, images: u64) {
        if truth < self.classes && predicted < self.classes {
            self.counts[truth * self.classes + predicted] += images;
        }
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Images of class `truth` that were predicted as `predicted`.
    #[must_use]
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes + predicted]
    }

    /// The counts of one true class, by predicted class.
    #[must_use]
    pub fn row(&self, truth: usize) -> &[u64] {
        &self.counts[truth * self.classes..][..self.classes]
    }
}

/// Draws the matrix: a row for each true label, a column for each predicted one, and the fraction
/// of the row that is right. A matrix that is wider than the style is a list of the most frequent
/// mistakes instead.
#[must_use]
pub fn confusion(matrix: &Confusion, labels: &[String], style: &Style) -> Vec<String> {
    let name = |class: usize| {
        labels
            .get(class)
            .cloned()
            .unwrap_or_else(|| class.to_string())
    };
    let names: Vec<String> = (0..matrix.classes).map(name).collect();
    let label_width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(1)
        .max(4);
    let widest = matrix
        .counts
        .iter()
        .max()
        .map_or(1, |count| count.to_string().len());
    let cell = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(1)
        .max(widest)
        + 1;
    if label_width + 2 + cell * matrix.classes + 9 > style.width.max(40) {
        return mistakes(matrix, &names, style);
    }
    let bar = style.choose("│", "|");
    let heading: String = names.iter().map(|name| format!("{name:>cell$}")).collect();
    let heading = format!("{:>label_width$} {bar}{heading}    right", "true");
    let mut lines = vec![
        format!("{:>label_width$} {bar} predicted", ""),
        style.paint(Ink::Strong, &heading),
    ];
    for (truth, name) in names.iter().enumerate() {
        let row = matrix.row(truth);
        let cells: String = (0..matrix.classes)
            .map(|at| draw(row[at], at == truth, cell, style))
            .collect();
        let all: u64 = row.iter().sum();
        let right = match all {
            0 => format!("{:>9}", style.choose("–", "-")),
            _ => format!("{:7.1} %", row[truth] as f64 / all as f64 * 100.0),
        };
        let name = style.paint(Ink::Strong, &format!("{name:>label_width$}"));
        lines.push(format!("{name} {bar}{cells}{right}"));
    }
    lines
}

fn draw(count: u64, diagonal: bool, width: usize, style: &Style) -> String {
    let (ink, text) = match (count, diagonal) {
        (0, _) => (Ink::Faint, format!("{:>width$}", style.choose("·", "."))),
        (_, true) => (Ink::Good, format!("{count:>width$}")),
        (1..10, false) => (Ink::Warning, format!("{count:>width$}")),
        (_, false) => (Ink::Bad, format!("{count:>width$}")),
    };
    style.paint(ink, &text)
}

fn mistakes(matrix: &Confusion, names: &[String], style: &Style) -> Vec<String> {
    let mut all: Vec<(u64, usize, usize)> = (0..matrix.classes)
        .flat_map(|truth| (0..matrix.classes).map(move |predicted| (truth, predicted)))
        .filter(|(truth, predicted)| truth != predicted)
        .map(|(truth, predicted)| (matrix.count(truth, predicted), truth, predicted))
        .filter(|&(count, ..)| count > 0)
        .collect();
    all.sort_unstable_by_key(|&(count, truth, predicted)| (u64::MAX - count, truth, predicted));
    let columns = [
        ("true", Column::Text),
        ("taken for", Column::Text),
        ("images", Column::Number),
    ];
    let mut table = Table::new(&columns);
    for &(count, truth, predicted) in all.iter().take(WORST) {
        table.row(vec![
            names[truth].clone(),
            names[predicted].clone(),
            count.to_string(),
        ]);
    }
    if table.is_empty() {
        return vec!["no mistakes".to_owned()];
    }
    table.lines(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Confusion {
        let mut matrix = Confusion::new(3);
        for (truth, predicted, times) in [(0, 0, 980), (0, 2, 5), (1, 1, 3), (1, 0, 1), (9, 9, 1)] {
            (0..times).for_each(|_| matrix.add(truth, predicted));
        }
        matrix
    }

    #[test]
    fn a_matrix_has_a_row_for_each_true_label() {
        let labels = ["0", "1", "2"].map(str::to_owned);
        assert_eq!(
            confusion(&three(), &labels, &Style::plain(80)),
            [
                "     | predicted",
                "true |   0   1   2    right",
                "   0 | 980   .   5   99.5 %",
                "   1 |   1   3   .   75.0 %",
                "   2 |   .   .   .        -",
            ]
        );
    }

    #[test]
    fn a_matrix_of_many_classes_is_a_list_of_mistakes() {
        let mut matrix = Confusion::new(1000);
        matrix.add(17, 999);
        matrix.add(17, 999);
        matrix.add(3, 4);
        matrix.add(5, 5);
        assert_eq!(
            confusion(&matrix, &[], &Style::plain(80)),
            [
                "true  taken for  images",
                "17    999             2",
                "3     4               1"
            ]
        );
        assert_eq!(
            confusion(&Confusion::new(1000), &[], &Style::plain(80)),
            ["no mistakes"]
        );
    }
}
