//! The normalizer with single steps left out, to measure the benefit of each.

use digits_picture::{
    Normalized, Normalizer, Picture, Recipe,
    components::{self, Digits},
    ink, levels, place,
    plane::Plane,
    polarity,
};

/// Side of the input.
const SIDE: usize = 28;
/// Longest side of a digit.
const BOX: usize = 20;
/// Ink from which on a pixel belongs to the digit's box.
const INKED: f32 = 0.25;

/// A recipe from a picture to 28 × 28 bytes.
#[derive(Clone, Copy, Debug)]
pub enum ExecutionPath {
    /// The whole picture resized, its light turned round when it is mostly light.
    Resize,
    /// As the service does it.
    Service,
    /// Some of the steps.
    Steps(Steps),
}

/// The enabled steps.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// The light of the paper is found everywhere and divided out; else one light is taken for all
    /// of it.
    pub background: bool,
    /// A ramp from paper to ink; else what is above Otsu's threshold is ink and nothing else.
    pub ramp: bool,
    /// Dust is dropped.
    pub dust: bool,
    /// Placement of the digit.
    pub place: Place,
}

/// Placement of the digit, whose longest side is 20.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// Its box in the middle.
    Box,
    /// Its centre of mass at 13.5, the middle of 28 pixels.
    MassAtMiddle,
    /// Its centre of mass at index 14, as MNIST has it.
    MassAtFourteen,
}

impl Steps {
    /// All of them, as the service does them on a grey picture.
    pub const ALL: Self = Self {
        background: true,
        ramp: true,
        dust: true,
        place: Place::MassAtFourteen,
    };
}

/// The recipes of the table: from the naive one to the service's, then the service's without one
/// step.
pub fn ways() -> Vec<(&'static str, ExecutionPath)> {
    let all = Steps::ALL;
    let bare = Steps {
        background: false,
        ramp: true,
        dust: false,
        place: Place::Box,
    };
    let middle = Place::MassAtMiddle;
    vec![
        ("resize, invert", ExecutionPath::Resize),
        ("polarity, threshold, box of 20", ExecutionPath::Steps(bare)),
        (
            "+ centre of mass at 13.5",
            ExecutionPath::Steps(Steps {
                place: middle,
                ..bare
            }),
        ),
        (
            "+ at 14",
            ExecutionPath::Steps(Steps {
                place: Place::MassAtFourteen,
                ..bare
            }),
        ),
        (
            "+ dust dropped",
            ExecutionPath::Steps(Steps {
                background: false,
                ..all
            }),
        ),
        ("+ background = the service", ExecutionPath::Service),
        (
            "  without the ramp",
            ExecutionPath::Steps(Steps { ramp: false, ..all }),
        ),
        (
            "  without dropping dust",
            ExecutionPath::Steps(Steps { dust: false, ..all }),
        ),
        (
            "  without the centre of mass",
            ExecutionPath::Steps(Steps {
                place: Place::Box,
                ..all
            }),
        ),
    ]
}

/// The bytes for the network, or nothing where no single digit is found.
pub fn input(way: ExecutionPath, picture: &Picture) -> Option<Vec<u8>> {
    match way {
        ExecutionPath::Resize => Some(resized(picture)),
        ExecutionPath::Service => match SERVICE.picture(picture) {
            Normalized::Input(bytes) => Some(bytes),
            Normalized::Blank | Normalized::Several(_) | Normalized::Written(_) => None,
        },
        ExecutionPath::Steps(steps) => by_steps(steps, picture.luma()),
    }
}

/// The normalizer of a service with a network of MNIST's form.
pub const SERVICE: Normalizer = Normalizer {
    height: SIDE,
    width: SIDE,
    recipe: Recipe::Mnist,
};

fn resized(picture: &Picture) -> Vec<u8> {
    let luma = picture.luma();
    let mean = luma.values.iter().sum::<f32>() / luma.values.len() as f32;
    let dark = if mean > 0.5 {
        luma.map(|light| 1.0 - light)
    } else {
        luma
    };
    dark.resized(SIDE, SIDE).to_bytes()
}

fn by_steps(steps: Steps, luma: Plane) -> Option<Vec<u8>> {
    let paper = polarity::dark_on_light(luma)?.plane;
    let background = if steps.background {
        ink::background(&paper)
    } else {
        Plane::filled(paper.width, paper.height, levels::border_median(&paper))
    };
    let loss = ink::loss(&paper, &background);
    let inked = if steps.ramp {
        ink::ramp(&loss)
    } else {
        let threshold = levels::otsu(&loss.values);
        loss.map(|loss| f32::from(u8::from(loss > threshold)))
    };
    let digit = if steps.dust {
        match components::digits(&inked) {
            Digits::One(digit) => digit,
            Digits::None | Digits::Several(_) => return None,
        }
    } else {
        boxed(&inked)?
    };
    Some(match steps.place {
        Place::MassAtFourteen => place::place(&digit, SIDE, SIDE),
        Place::MassAtMiddle => placed(&digit, |length, mass| {
            let wanted = (13.5 - mass).round().max(0.0) as usize;
            wanted.min(SIDE - length)
        }),
        Place::Box => placed(&digit, |length, _| (SIDE - length) / 2),
    })
}

/// The box of everything that is inked.
fn boxed(inked: &Plane) -> Option<Plane> {
    let at: Vec<usize> = (0..inked.values.len())
        .filter(|&at| inked.values[at] >= INKED)
        .collect();
    let columns = || at.iter().map(|at| at % inked.width);
    let rows = || at.iter().map(|at| at / inked.width);
    let (left, right) = (columns().min()?, columns().max()? + 1);
    let (top, bottom) = (rows().min()?, rows().max()? + 1);
    let mut digit = Plane::filled(right - left, bottom - top, 0.0);
    for (y, row) in digit.values.chunks_exact_mut(right - left).enumerate() {
        row.copy_from_slice(&inked.values[(top + y) * inked.width + left..][..right - left]);
    }
    Some(digit)
}

/// The digit with its longest side 20, at an offset found from its length and its centre of mass
/// along each axis.
fn placed(digit: &Plane, offset: impl Fn(usize, f32) -> usize) -> Vec<u8> {
    let longest = digit.width.max(digit.height);
    let scaled = |length: usize| ((length * BOX + longest / 2) / longest).clamp(1, BOX);
    let small = digit.resized(scaled(digit.width), scaled(digit.height));
    let peak = small.values.iter().copied().fold(1e-6, f32::max);
    let (x, y) = place::centre_of_mass(&small);
    let (left, top) = (offset(small.width, x), offset(small.height, y));
    let mut placed = Plane::filled(SIDE, SIDE, 0.0);
    for (row, values) in small.rows().enumerate() {
        let start = (top + row) * SIDE + left;
        for (to, from) in placed.values[start..].iter_mut().zip(values) {
            *to = from.max(0.0) / peak;
        }
    }
    placed.to_bytes()
}
