//! Lays out the figure: two panels over one axis of steps, as shapes in logical units.

use super::{axis::Axis, curves::Curves};
use digits_figure::{Anchor, Figure, Place, Shape, Size, Stroke, TEXT};

/// Color of the train loss.
pub const RED: &str = "#d62728";
/// Color of the validation loss.
pub const BLUE: &str = "#1f4fd8";
/// Color of the accuracy.
pub const GREEN: &str = "#2c8a2c";
const FRAME: &str = "#888888";
const GRID: &str = "#e4e4e4";
/// Color of the line where an epoch starts.
const EPOCH: &str = "#c4cbd8";
/// Most values of a curve that are drawn with a dot each.
const DOTS: usize = 60;
/// Most epochs whose starts are marked.
const EPOCHS: usize = 40;
/// Least width and height in logical units; one of them is met, and everything scales with it.
const LOGICAL: (f64, f64) = (800.0, 550.0);

/// Lays out the curves.
pub fn lay_out(curves: &Curves, size: Size) -> Figure {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let scale = (width / LOGICAL.0).min(height / LOGICAL.1);
    let (width, height) = (width / scale, height / scale);
    let mut figure = Figure {
        size,
        scale,
        shapes: Vec::new(),
    };
    figure.area((0.0, 0.0), (width, height), "#ffffff");
    let [train, validation, accuracy] = curves.series();
    let (test_accuracy, test_loss) = curves.test.unzip();
    let test_percent = test_accuracy.map(|share| share * 100.0);
    let values = |series: &[Place]| series.iter().map(|&(_, value)| value).collect::<Vec<_>>();
    let losses = [values(&train), values(&validation)].concat();
    let losses = losses.into_iter().chain(test_loss);
    let percents = values(&accuracy).into_iter().chain(test_percent);
    let steps = curves.points.iter().map(|point| point.step as f64);
    let (left, right, top, bottom, between) = (70.0, 24.0, 46.0, 52.0, 22.0);
    let room = height - top - bottom - between;
    let panel = |top: f64, share: f64, y: Axis| Panel {
        left,
        top,
        width: width - left - right,
        height: share * room,
        x: Axis::around(steps.clone(), 8, 0.02),
        y,
    };
    let loss = panel(top, 0.62, Axis::around(losses, 6, 0.06));
    let below = top + 0.62 * room + between;
    let share = panel(below, 0.38, Axis::around(percents, 4, 0.08));
    let middle = left + loss.width / 2.0;
    figure.text((middle, 28.0), 17.0, Anchor::Middle, &curves.title);
    let epochs = epoch_starts(curves);
    loss.background(&epochs, "loss (cross-entropy)", &mut figure);
    share.background(&epochs, "accuracy (%)", &mut figure);
    if let (Some(loss_value), Some(percent)) = (test_loss, test_percent) {
        loss.level(loss_value, &format!("test {loss_value:.4}"), &mut figure);
        share.level(percent, &format!("test {percent:.1} %"), &mut figure);
    }
    loss.curve(&train, RED, &mut figure);
    loss.curve(&validation, BLUE, &mut figure);
    share.curve(&accuracy, GREEN, &mut figure);
    let entries = [("train loss", RED), ("validation loss", BLUE)];
    loss.legend(&entries, Corner::TopRight, &mut figure);
    let entries = [("validation accuracy", GREEN)];
    share.legend(&entries, Corner::BottomRight, &mut figure);
    share.step_axis(&mut figure);
    figure
}

/// The first step of each epoch but the first; none if there are too many to distinguish.
fn epoch_starts(curves: &Curves) -> Vec<f64> {
    let pairs = curves.points.windows(2);
    let starts: Vec<f64> = pairs
        .filter(|pair| pair[1].epoch > pair[0].epoch)
        .map(|pair| pair[1].step as f64)
        .collect();
    match starts.len() {
        0..=EPOCHS => starts,
        _ => Vec::new(),
    }
}

/// The corner of a panel where its legend is.
#[derive(Clone, Copy)]
enum Corner {
    TopRight,
    BottomRight,
}

/// A rectangle with axes.
struct Panel {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
}

impl Panel {
    fn place(&self, (step, value): (f64, f64)) -> Place {
        let x = self.left + self.x.place(step) * self.width;
        (x, self.top + (1.0 - self.y.place(value)) * self.height)
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Grid, starts of epochs, frame, and the upright axis with its `name`.
    fn background(&self, epochs: &[f64], name: &str, figure: &mut Figure) {
        let upright = |step: f64| {
            let (x, _) = self.place((step, 0.0));
            [(x, self.top), (x, self.bottom())]
        };
        for &tick in &self.x.ticks {
            figure.line(&upright(tick), Stroke::thin(GRID));
        }
        for &tick in &self.y.ticks {
            let (_, y) = self.place((0.0, tick));
            let (left, right) = (self.left, self.right());
            figure.line(&[(left, y), (right, y)], Stroke::thin(GRID));
            figure.line(&[(left - 4.0, y), (left, y)], Stroke::thin(FRAME));
            figure.label((left - 8.0, y + 4.2), Anchor::End, &self.y.label(tick));
        }
        for &start in epochs {
            figure.line(&upright(start), Stroke::dashed(EPOCH));
        }
        figure.outline((self.left, self.top), (self.width, self.height), FRAME);
        figure.shapes.push(Shape::Text {
            at: (20.0, self.top + self.height / 2.0),
            size: 13.0,
            anchor: Anchor::Middle,
            turned: true,
            text: name.to_owned(),
        });
    }

    fn step_axis(&self, figure: &mut Figure) {
        let bottom = self.bottom();
        for &tick in &self.x.ticks {
            let (x, _) = self.place((tick, 0.0));
            figure.line(&[(x, bottom), (x, bottom + 4.0)], Stroke::thin(FRAME));
            figure.label((x, bottom + 18.0), Anchor::Middle, &self.x.label(tick));
        }
        let middle = self.left + self.width / 2.0;
        figure.label((middle, bottom + 40.0), Anchor::Middle, "step");
    }

    /// A dashed line at a value, with its name.
    fn level(&self, value: f64, name: &str, figure: &mut Figure) {
        if !value.is_finite() {
            return;
        }
        let (_, y) = self.place((0.0, value));
        figure.line(&[(self.left, y), (self.right(), y)], Stroke::dashed(TEXT));
        // Above the line, or below it where the name would leave the panel.
        let baseline = if y - 16.0 < self.top {
            y + 15.0
        } else {
            y - 5.0
        };
        figure.label((self.left + 8.0, baseline), Anchor::Start, name);
    }

    /// One line for each run of finite values, and a dot for each value if they are few.
    fn curve(&self, values: &[(f64, f64)], color: &'static str, figure: &mut Figure) {
        let runs = values.split(|(_, value)| !value.is_finite());
        for run in runs.filter(|run| !run.is_empty()) {
            let points: Vec<_> = run.iter().map(|&pair| self.place(pair)).collect();
            if values.len() <= DOTS {
                let dots = points.iter().map(|&at| Shape::Dot {
                    at,
                    radius: 2.2,
                    color,
                });
                figure.shapes.extend(dots);
            }
            figure.shapes.push(Shape::Line {
                points,
                stroke: Stroke {
                    color,
                    width: 1.8,
                    dashed: false,
                },
                curve: true,
            });
        }
    }

    fn legend(&self, entries: &[(&str, &'static str)], corner: Corner, figure: &mut Figure) {
        // Wide enough for the longest name in this size of text.
        let longest = entries.iter().map(|(name, _)| name.len()).max();
        let extent = (
            longest.unwrap_or(0) as f64 * 6.9 + 52.0,
            entries.len() as f64 * 19.0 + 9.0,
        );
        let x = self.right() - extent.0 - 10.0;
        let y = match corner {
            Corner::TopRight => self.top + 10.0,
            Corner::BottomRight => self.bottom() - extent.1 - 10.0,
        };
        figure.area((x, y), extent, "#fcfcfc");
        figure.outline((x, y), extent, "#cccccc");
        for (index, &(name, color)) in entries.iter().enumerate() {
            let middle = y + 14.0 + index as f64 * 19.0;
            let sample = Stroke {
                color,
                width: 2.2,
                dashed: false,
            };
            figure.line(&[(x + 9.0, middle), (x + 33.0, middle)], sample);
            figure.label((x + 41.0, middle + 4.3), Anchor::Start, name);
        }
    }
}
