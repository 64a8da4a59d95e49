//! Writes a figure as an SVG document.

use digits_figure::{Anchor, Figure, Shape, TEXT};

/// The font of the PNG first, then those that readers have.
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
        Shape::Area { at, extent, fill } => {
            let [x, y, width, height] = [at.0, at.1, extent.0, extent.1].map(number);
            format!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"/>"#)
        }
        Shape::Line {
            points,
            stroke,
            curve,
        } => {
            let class = if *curve { r#"class="curve" "# } else { "" };
            let dashes = if stroke.dashed {
                r#" stroke-dasharray="4 3""#
            } else {
                ""
            };
            let points: Vec<String> = points
                .iter()
                .map(|&(x, y)| format!("{},{}", number(x), number(y)))
                .collect();
            format!(
                r#"<polyline {class}stroke="{}" stroke-width="{}"{dashes} stroke-linejoin="round" fill="none" points="{}"/>"#,
                stroke.color,
                stroke.width,
                points.join(" ")
            )
        }
        Shape::Dot { at, radius, color } => {
            let [x, y] = [at.0, at.1].map(number);
            format!(r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{color}"/>"#)
        }
        Shape::Text {
            at,
            size,
            anchor,
            turned,
            text,
        } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let [x, y] = [at.0, at.1].map(number);
            let turn = if *turned {
                format!(r#" transform="rotate(-90 {x} {y})""#)
            } else {
                String::new()
            };
            format!(
                r#"<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{TEXT}"{turn}>{}</text>"#,
                escape(text)
            )
        }
    }
}

/// A number with two decimals: finer than a pixel of any size of picture.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text escaped for XML; control characters, which XML does not allow, are left out.
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
