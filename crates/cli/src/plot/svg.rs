//! A figure as an SVG document.

use super::figure::{Anchor, Figure, Shape};
use std::fmt::Write as _;

/// As the PNG's font first, then what the reader has.
const FONTS: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";

/// Writes the document.
pub fn write(figure: &Figure) -> String {
    let (width, height) = (figure.size.width, figure.size.height);
    let logical = |pixels: u32| number(f64::from(pixels) / figure.scale);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {} {}\" font-family=\"{FONTS}\">\n",
        logical(width),
        logical(height),
    );
    for shape in &figure.shapes {
        out.push_str(&element(shape));
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Area {
            x,
            y,
            width,
            height,
            fill,
        } => format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"/>",
            number(*x),
            number(*y),
            number(*width),
            number(*height)
        ),
        Shape::Line {
            points,
            color,
            width,
            dashed,
            curve,
        } => {
            let class = if *curve { "class=\"curve\" " } else { "" };
            let dashes = if *dashed {
                " stroke-dasharray=\"4 3\""
            } else {
                ""
            };
            let mut list = String::new();
            for (index, (x, y)) in points.iter().enumerate() {
                let gap = if index > 0 { " " } else { "" };
                // Writing to a string does not fail.
                let _ = write!(list, "{gap}{},{}", number(*x), number(*y));
            }
            format!(
                "<polyline {class}stroke=\"{color}\" stroke-width=\"{width}\"{dashes} stroke-linejoin=\"round\" fill=\"none\" points=\"{list}\"/>"
            )
        }
        Shape::Dot {
            x,
            y,
            radius,
            color,
        } => {
            format!(
                "<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" fill=\"{color}\"/>",
                number(*x),
                number(*y)
            )
        }
        Shape::Text {
            x,
            y,
            size,
            anchor,
            color,
            turned,
            text,
        } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let (x, y) = (number(*x), number(*y));
            let turn = if *turned {
                format!(" transform=\"rotate(-90 {x} {y})\"")
            } else {
                String::new()
            };
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{color}\"{turn}>{}</text>",
                escape(text)
            )
        }
    }
}

/// Two digits are a fiftieth of a pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text for XML; characters that XML does not allow are left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars().filter(|it| !it.is_control()) {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
