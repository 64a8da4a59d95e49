//! The order of the linear layers: by the numbers in their names, else by shapes of which each
//! takes what the one before gives.

use super::{error::ImportError, modules::Linear};

/// Steps of the search for an order: far more than any network of distinct widths needs.
const MAX_STEPS: usize = 100_000;

/// Brings layers, sorted by their keys, into the order from the input to the output. Layers whose
/// names differ in their numbers alone keep that order.
///
/// # Errors
/// No order fits the shapes, or more than one does.
pub(super) fn ordered(linears: Vec<Linear>, input_size: usize) -> Result<Vec<Linear>, ImportError> {
    let shapes: Vec<(usize, usize)> = linears.iter().map(|it| (it.inputs, it.outputs)).collect();
    let mut found = Search::over(&linears, &shapes, Some(input_size));
    if found.is_empty() {
        let swapped: Vec<_> = shapes.iter().map(|&(one, other)| (other, one)).collect();
        if let [order] = Search::over(&linears, &swapped, Some(input_size)).as_slice() {
            let first = &linears[order[0]];
            return Err(ImportError::file(format!(
                "`{}.weight` is {}×{}, [in, out], and so are the others: PyTorch stores [out, in]; save \
                 weight.T.contiguous()",
                first.name, first.outputs, first.inputs
            )));
        }
        // With another input size the height and the width are what is wrong.
        found = Search::over(&linears, &shapes, None);
    }
    match found.as_slice() {
        [order] => {
            let mut layers: Vec<Option<Linear>> = linears.into_iter().map(Some).collect();
            let taken = order.iter().filter_map(|&at| layers[at].take());
            Ok(taken.collect())
        }
        [] => Err(misfit(&linears)),
        _ => Err(ImportError::file(format!(
            "the order of the layers is not known: more than one fits {}; rename them to layers.1, layers.3, … in \
             their order",
            list(&linears)
        ))),
    }
}

fn misfit(linears: &[Linear]) -> ImportError {
    let one_pattern = linears
        .iter()
        .all(|it| it.key.pattern == linears[0].key.pattern);
    let pair = linears
        .windows(2)
        .find(|pair| pair[0].outputs != pair[1].inputs);
    ImportError::file(match pair {
        Some([before, after]) if one_pattern => format!(
            "`{}.weight` takes {} values, but `{}.weight` before it gives {}: the numbers in the names must give the \
             order of the layers",
            after.name, after.inputs, before.name, before.outputs
        ),
        _ => format!(
            "the layers fit one after another in no order: {}",
            list(linears)
        ),
    })
}

fn list(linears: &[Linear]) -> String {
    let each: Vec<String> = linears
        .iter()
        .map(|it| format!("`{}` of {}×{}", it.name, it.outputs, it.inputs))
        .collect();
    each.join(", ")
}

/// A depth-first search for at most two orders.
struct Search<'a> {
    linears: &'a [Linear],
    /// (inputs, outputs).
    shapes: &'a [(usize, usize)],
    steps: usize,
    used: Vec<bool>,
    path: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl<'a> Search<'a> {
    fn over(
        linears: &'a [Linear],
        shapes: &'a [(usize, usize)],
        input_size: Option<usize>,
    ) -> Vec<Vec<usize>> {
        let mut search = Self {
            linears,
            shapes,
            steps: 0,
            used: vec![false; shapes.len()],
            path: Vec::new(),
            found: Vec::new(),
        };
        search.extend(input_size);
        if search.steps >= MAX_STEPS {
            // As good as ambiguous.
            search.found = vec![Vec::new(); 2];
        }
        search.found
    }

    fn extend(&mut self, inputs: Option<usize>) {
        self.steps += 1;
        if self.path.len() == self.shapes.len() {
            self.found.push(self.path.clone());
            return;
        }
        for next in 0..self.shapes.len() {
            if self.found.len() > 1 || self.steps >= MAX_STEPS {
                return;
            }
            let (takes, gives) = self.shapes[next];
            let fits = inputs.is_none_or(|inputs| inputs == takes);
            if self.used[next] || !fits || !self.is_turn(next) {
                continue;
            }
            self.used[next] = true;
            self.path.push(next);
            self.extend(Some(gives));
            self.path.pop();
            self.used[next] = false;
        }
    }

    /// Whether the layer before it of the same pattern is in the path.
    fn is_turn(&self, next: usize) -> bool {
        let before = next.checked_sub(1);
        before.is_none_or(|before| {
            self.used[before] || self.linears[before].key.pattern != self.linears[next].key.pattern
        })
    }
}
