//! Where everything lies in the figure: two panels over one axis of steps, as shapes in logical units.

use super::{Curves, Size, axis::Axis};

/// The train loss.
pub const RED: &str = "#d62728";
/// The validation loss.
pub const BLUE: &str = "#1f4fd8";
/// The accuracy.
pub const GREEN: &str = "#2c8a2c";
const TEXT: &str = "#222222";
const FRAME: &str = "#888888";
const GRID: &str = "#e4e4e4";
/// Start of an epoch.
const EPOCH: &str = "#c4cbd8";
/// More rows than this are drawn without a dot each.
const DOTS: usize = 60;
/// Logical units that the shorter dimension has at least; everything scales with it.
const LOGICAL: (f64, f64) = (800.0, 550.0);

/// Shapes in logical units.
#[derive(Clone, Debug)]
pub struct Figure {
    /// In pixels.
    pub size: Size,
    /// Pixels per logical unit.
    pub scale: f64,
    /// From back to front.
    pub shapes: Vec<Shape>,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// An area, filled.
    Area {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        fill: &'static str,
    },
    /// Lines from point to point; `curve` marks data.
    Line {
        points: Vec<(f64, f64)>,
        color: &'static str,
        width: f64,
        dashed: bool,
        curve: bool,
    },
    /// A disc.
    Dot {
        x: f64,
        y: f64,
        radius: f64,
        color: &'static str,
    },
    /// Text whose baseline is at `y`; turned by a quarter to the left for an upright axis.
    Text {
        x: f64,
        y: f64,
        size: f64,
        anchor: Anchor,
        color: &'static str,
        turned: bool,
        text: String,
    },
}

/// Which point of a text lies at its x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The first character.
    Start,
    /// The middle.
    Middle,
    /// The last character.
    End,
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

/// Lays the curves out.
pub fn lay_out(curves: &Curves, size: Size) -> Figure {
    let scale = (f64::from(size.width) / LOGICAL.0).min(f64::from(size.height) / LOGICAL.1);
    let (width, height) = (
        f64::from(size.width) / scale,
        f64::from(size.height) / scale,
    );
    let [train, validation, accuracy] = curves.series();
    let (test_accuracy, test_loss) = curves.test.unzip();
    let losses = train
        .iter()
        .chain(&validation)
        .map(|&(_, loss)| loss)
        .chain(test_loss);
    let percents = accuracy
        .iter()
        .map(|&(_, it)| it)
        .chain(test_accuracy.map(|it| it * 100.0));
    let steps = curves.points.iter().map(|point| point.step as f64);
    let (left, right, top, bottom, between) = (70.0, 24.0, 46.0, 52.0, 22.0);
    let room = height - top - bottom - between;
    let panel = |from: f64, share: f64, y: Axis| Panel {
        left,
        top: top + from * room + if from > 0.0 { between } else { 0.0 },
        width: width - left - right,
        height: share * room,
        x: Axis::around(steps.clone(), 8, 0.02),
        y,
    };
    let loss = panel(0.0, 0.62, Axis::around(losses, 6, 0.06));
    let share = panel(0.62, 0.38, Axis::around(percents, 4, 0.08));
    let mut shapes = vec![Shape::Area {
        x: 0.0,
        y: 0.0,
        width,
        height,
        fill: "#ffffff",
    }];
    let title = Shape::Text {
        x: left + loss.width / 2.0,
        y: 28.0,
        size: 17.0,
        anchor: Anchor::Middle,
        color: TEXT,
        turned: false,
        text: curves.title.clone(),
    };
    shapes.push(title);
    let epochs = epoch_starts(curves);
    loss.background(&epochs, "loss (cross-entropy)", &mut shapes);
    share.background(&epochs, "accuracy (%)", &mut shapes);
    if let Some((accuracy, loss_value)) = curves.test {
        loss.level(
            loss_value,
            TEXT,
            &format!("test {loss_value:.4}"),
            &mut shapes,
        );
        share.level(
            accuracy * 100.0,
            TEXT,
            &format!("test {:.1} %", accuracy * 100.0),
            &mut shapes,
        );
    }
    loss.curve(&train, RED, &mut shapes);
    loss.curve(&validation, BLUE, &mut shapes);
    share.curve(&accuracy, GREEN, &mut shapes);
    loss.legend(
        &[("train loss", RED), ("validation loss", BLUE)],
        Corner::TopRight,
        &mut shapes,
    );
    share.legend(
        &[("validation accuracy", GREEN)],
        Corner::BottomRight,
        &mut shapes,
    );
    share.step_axis(&mut shapes);
    Figure {
        size,
        scale,
        shapes,
    }
}

/// The first step of each epoch but the first, where there are few enough to be told apart.
fn epoch_starts(curves: &Curves) -> Vec<f64> {
    let pairs = curves.points.iter().zip(curves.points.iter().skip(1));
    let starts: Vec<f64> = pairs
        .filter(|(before, after)| after.epoch > before.epoch)
        .map(|(_, after)| after.step as f64)
        .collect();
    if starts.len() > 40 {
        Vec::new()
    } else {
        starts
    }
}

/// Where a legend stands.
#[derive(Clone, Copy)]
enum Corner {
    TopRight,
    BottomRight,
}

impl Panel {
    fn place(&self, (step, value): (f64, f64)) -> (f64, f64) {
        let x = self.left + self.x.place(step) * self.width;
        (x, self.top + (1.0 - self.y.place(value)) * self.height)
    }

    fn background(&self, epochs: &[f64], name: &str, shapes: &mut Vec<Shape>) {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        for &tick in &self.x.ticks {
            let (x, _) = self.place((tick, 0.0));
            shapes.push(line(&[(x, self.top), (x, bottom)], GRID));
        }
        for &tick in &self.y.ticks {
            let (_, y) = self.place((0.0, tick));
            shapes.push(line(&[(self.left, y), (right, y)], GRID));
            shapes.push(line(&[(self.left - 4.0, y), (self.left, y)], FRAME));
            shapes.push(text(
                self.left - 8.0,
                y + 4.2,
                Anchor::End,
                self.y.label(tick),
            ));
        }
        for &start in epochs {
            let (x, _) = self.place((start, 0.0));
            shapes.push(Shape::Line {
                points: vec![(x, self.top), (x, bottom)],
                color: EPOCH,
                width: 1.0,
                dashed: true,
                curve: false,
            });
        }
        let corners = [
            (self.left, self.top),
            (right, self.top),
            (right, bottom),
            (self.left, bottom),
        ];
        shapes.push(line(
            &[corners[0], corners[1], corners[2], corners[3], corners[0]],
            FRAME,
        ));
        shapes.push(Shape::Text {
            x: 20.0,
            y: self.top + self.height / 2.0,
            size: 13.0,
            anchor: Anchor::Middle,
            color: TEXT,
            turned: true,
            text: name.to_owned(),
        });
    }

    fn step_axis(&self, shapes: &mut Vec<Shape>) {
        let bottom = self.top + self.height;
        for &tick in &self.x.ticks {
            let (x, _) = self.place((tick, 0.0));
            shapes.push(line(&[(x, bottom), (x, bottom + 4.0)], FRAME));
            shapes.push(text(x, bottom + 18.0, Anchor::Middle, self.x.label(tick)));
        }
        let middle = self.left + self.width / 2.0;
        shapes.push(text(
            middle,
            bottom + 40.0,
            Anchor::Middle,
            "step".to_owned(),
        ));
    }

    fn level(&self, value: f64, color: &'static str, name: &str, shapes: &mut Vec<Shape>) {
        if !value.is_finite() {
            return;
        }
        let (_, y) = self.place((0.0, value));
        shapes.push(Shape::Line {
            points: vec![(self.left, y), (self.left + self.width, y)],
            color,
            width: 1.0,
            dashed: true,
            curve: false,
        });
        // Above the line, or below it where that would leave the panel.
        let baseline = if y - 16.0 < self.top {
            y + 15.0
        } else {
            y - 5.0
        };
        shapes.push(text(
            self.left + 8.0,
            baseline,
            Anchor::Start,
            name.to_owned(),
        ));
    }

    /// One line for each run of finite values, a dot for each value where there are few.
    fn curve(&self, values: &[(f64, f64)], color: &'static str, shapes: &mut Vec<Shape>) {
        for run in values
            .split(|(_, value)| !value.is_finite())
            .filter(|run| !run.is_empty())
        {
            let points: Vec<_> = run.iter().map(|&pair| self.place(pair)).collect();
            if values.len() <= DOTS {
                let dot = |&(x, y): &(f64, f64)| Shape::Dot {
                    x,
                    y,
                    radius: 2.2,
                    color,
                };
                shapes.extend(points.iter().map(dot));
            }
            shapes.push(Shape::Line {
                points,
                color,
                width: 1.8,
                dashed: false,
                curve: true,
            });
        }
    }

    fn legend(&self, entries: &[(&str, &'static str)], corner: Corner, shapes: &mut Vec<Shape>) {
        // Wide enough for the longest name at this size of text.
        let longest = entries
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0) as f64;
        let (width, height) = (longest * 6.9 + 52.0, entries.len() as f64 * 19.0 + 9.0);
        let x = self.left + self.width - width - 10.0;
        let y = match corner {
            Corner::TopRight => self.top + 10.0,
            Corner::BottomRight => self.top + self.height - height - 10.0,
        };
        shapes.push(Shape::Area {
            x,
            y,
            width,
            height,
            fill: "#fcfcfc",
        });
        let corners = [
            (x, y),
            (x + width, y),
            (x + width, y + height),
            (x, y + height),
            (x, y),
        ];
        shapes.push(line(&corners, "#cccccc"));
        for (index, &(name, color)) in entries.iter().enumerate() {
            let middle = y + 14.0 + index as f64 * 19.0;
            shapes.push(Shape::Line {
                points: vec![(x + 9.0, middle), (x + 33.0, middle)],
                color,
                width: 2.2,
                dashed: false,
                curve: false,
            });
            shapes.push(text(x + 41.0, middle + 4.3, Anchor::Start, name.to_owned()));
        }
    }
}

fn line(points: &[(f64, f64)], color: &'static str) -> Shape {
    Shape::Line {
        points: points.to_vec(),
        color,
        width: 1.0,
        dashed: false,
        curve: false,
    }
}

fn text(x: f64, y: f64, anchor: Anchor, text: String) -> Shape {
    Shape::Text {
        x,
        y,
        size: 12.0,
        anchor,
        color: TEXT,
        turned: false,
        text,
    }
}
