//! Colours, characters and width of the terminal.

use std::io::IsTerminal;

/// Columns for an output of unknown width: a file or a pipe.
const DEFAULT_WIDTH: usize = 100;

/// Colours of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// None: plain text.
    None,
    /// The 256 colours of xterm.
    Ansi256,
    /// 24 bits.
    TrueColor,
}

/// Capabilities of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Colours.
    pub color: Color,
    /// Whether it shows characters beyond ASCII, such as blocks and braille.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

/// Meaning of a text, which gives its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Highlighted.
    Strong,
    /// Less important.
    Faint,
    /// In order.
    Good,
    /// Wrong.
    Bad,
    /// Needs attention.
    Warning,
    /// The training curve.
    Train,
    /// The validation curve.
    Validation,
    /// The accuracy curve.
    Accuracy,
}

impl Style {
    /// Capabilities of standard output. No colours if it is no terminal, if `NO_COLOR` is set, or
    /// for `no_color`.
    #[must_use]
    pub fn detect(no_color: bool) -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let out = std::io::stdout();
        let term = variable("TERM");
        let plain = no_color
            || !variable("NO_COLOR").is_empty()
            || !out.is_terminal()
            || term.is_empty()
            || term == "dumb";
        let color = match variable("COLORTERM").as_str() {
            _ if plain => Color::None,
            "truecolor" | "24bit" => Color::TrueColor,
            _ => Color::Ansi256,
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .map(variable)
            .into_iter()
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let width = terminal_size::terminal_size_of(&out).map(|(width, _)| usize::from(width.0));
        Self {
            color,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
            width: width.filter(|&width| width > 0).unwrap_or(DEFAULT_WIDTH),
        }
    }

    /// Plain ASCII with this many columns.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Self {
            color: Color::None,
            unicode: false,
            width,
        }
    }

    /// The text in the colour of its meaning.
    #[must_use]
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        if self.color == Color::None || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Strong => "1",
            Ink::Faint => "2",
            Ink::Good => "1;32",
            Ink::Bad => "31",
            Ink::Warning => "33",
            Ink::Train => "91",
            Ink::Validation => "94",
            Ink::Accuracy => "92",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// One of two texts: the first needs characters beyond ASCII.
    #[must_use]
    pub fn choose<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.unicode { unicode } else { ascii }
    }
}
