//! What the terminal can show.

use std::io::IsTerminal;

/// Columns where the width is not known: the output goes to a file or a pipe.
const DEFAULT_WIDTH: usize = 100;

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// None: plain text.
    None,
    /// The 256 of xterm.
    Ansi256,
    /// 24 bits.
    TrueColor,
}

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Colours.
    pub color: Color,
    /// Whether block, braille and other characters beyond ASCII are shown.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

/// What a piece of text means; the style knows its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Stands out.
    Strong,
    /// Stands back.
    Faint,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// To be looked at.
    Warning,
    /// The training curve.
    Train,
    /// The validation curve.
    Validation,
    /// The accuracy curve.
    Accuracy,
}

impl Style {
    /// What standard output can show. No colour where it is no terminal, where `NO_COLOR` is set, or where
    /// `no_color` is asked for.
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

    /// Plain ASCII of so many columns.
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
