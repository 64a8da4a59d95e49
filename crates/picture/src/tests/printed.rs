//! Tests that printed lines around a digit change nothing, and that no stroke is taken for one.

use super::{super::*, MNIST, Plane, Seven, canvas, difference, input, mix, picture};
use digits_dataset::synthetic;

const WHITE: [f32; 3] = [255.0; 3];
const SIDE: u32 = 280;

/// A digit of each kind, drawn by a pen: 150 × 150 pixels of ink from 0 to 1.
pub fn digits() -> Vec<(usize, Plane)> {
    let drawn = synthetic::generate(&synthetic::Options {
        train: 1,
        test: 60,
        seed: 3,
    });
    let images = (0..60).filter_map(|index| {
        let image = drawn.test.images.image(index)?;
        let plane = Plane::from_bytes(28, 28, image).resized(150, 150);
        Some((usize::from(drawn.test.labels[index]), plane))
    });
    let mut first: Vec<(usize, Plane)> = Vec::new();
    for (label, plane) in images {
        if !first.iter().any(|(known, _)| *known == label) {
            first.push((label, plane.map(|ink| ink.clamp(0.0, 1.0))));
        }
    }
    assert_eq!(first.len(), 10);
    first
}

/// A printed pattern: whether a pixel of the canvas has its ink.
type Print = fn(u32, u32) -> bool;

/// The outline of a box from `first` to the same distance from the other edge.
fn outline(x: u32, y: u32, first: u32, thick: u32) -> bool {
    let end = SIDE - first;
    let inside = |from: u32, to: u32| (from..to).contains(&x) && (from..to).contains(&y);
    inside(first, end) && !inside(first + thick, end - thick)
}

const PRINTED: [(&str, Print); 13] = [
    ("a thin frame at the edge", |x, y| outline(x, y, 0, 2)),
    ("a thick frame at the edge", |x, y| outline(x, y, 0, 7)),
    ("a box", |x, y| outline(x, y, 20, 2)),
    ("a thick box", |x, y| outline(x, y, 12, 8)),
    ("a double frame", |x, y| {
        outline(x, y, 6, 2) || outline(x, y, 14, 2)
    }),
    ("frames at the edge and inside", |x, y| {
        outline(x, y, 0, 3) || outline(x, y, 15, 2)
    }),
    ("a dotted box", |x, y| {
        outline(x, y, 15, 3) && (x / 5 + y / 5) % 2 == 0
    }),
    ("lines of a grid", |x, y| {
        (14..17).contains(&x) || (10..13).contains(&y)
    }),
    ("left and top edge", |x, y| x < 2 || y < 2),
    ("right and bottom edge", |x, y| {
        x >= SIDE - 3 || y >= SIDE - 3
    }),
    ("a rule below", |_, y| (255..258).contains(&y)),
    ("a rule at the bottom edge", |_, y| y >= SIDE - 4),
    ("rules above and below", |_, y| {
        (20..22).contains(&y) || (258..260).contains(&y)
    }),
];

/// The digit in the middle of a canvas, with a print in its own colour.
fn printed(digit: &Plane, print: Print, colours: [[f32; 3]; 3]) -> Picture {
    let [paper, pen, ink_of_print] = colours;
    canvas(&[], |x, y, _| {
        let (left, top) = (65, 65);
        let ink = if (left..left + 150).contains(&x) && (top..top + 150).contains(&y) {
            digit.at((x - left) as usize, (y - top) as usize)
        } else {
            0.0
        };
        if print(x, y) {
            mix(1.0, paper, ink_of_print)
        } else {
            mix(ink, paper, pen)
        }
    })
}

/// A grey picture reduced to a square.
fn reduced(grey: &Picture, side: usize) -> Picture {
    let light = grey.luma().resized(side, side);
    picture(&light.map(|value| value.clamp(0.0, 1.0)), 0.0, 255.0)
}

/// The outline of a box, its sides `half` from the middle and `thick`, turned by `degrees`.
fn tilted(x: u32, y: u32, (half, thick): (f32, f32), degrees: f32) -> bool {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let [x, y] = [x, y].map(|at| at as f32 + 0.5 - SIDE as f32 / 2.0);
    let (along, down) = (cosine * x + sine * y, cosine * y - sine * x);
    let furthest = along.abs().max(down.abs());
    (furthest - half).abs() < thick / 2.0
}

/// Boxes, and cells whose lines run out of the picture.
const TILTED: [(&str, Print); 14] = [
    ("a box at 3°", |x, y| tilted(x, y, (105.0, 3.0), 3.0)),
    ("a box at -4°", |x, y| tilted(x, y, (110.0, 3.0), -4.0)),
    ("a box at 6°", |x, y| tilted(x, y, (115.0, 3.0), 6.0)),
    ("a box at -8°", |x, y| tilted(x, y, (115.0, 3.0), -8.0)),
    ("a thick box at 4°", |x, y| tilted(x, y, (100.0, 6.0), 4.0)),
    ("a thick cell at 1°", |x, y| {
        tilted(x, y, (137.0, 6.0), 1.0)
    }),
    ("a cell cut by its picture at 2°", |x, y| {
        tilted(x, y, (139.0, 4.0), 2.0)
    }),
    ("a cell cut by its picture at -4°", |x, y| {
        tilted(x, y, (138.0, 3.0), -4.0)
    }),
    ("a cell cut by its picture at 8°", |x, y| {
        tilted(x, y, (140.0, 5.0), 8.0)
    }),
    ("a cell at -2°", |x, y| tilted(x, y, (136.0, 3.0), -2.0)),
    ("a cell at 4°", |x, y| tilted(x, y, (132.0, 3.0), 4.0)),
    ("a cell at -6°", |x, y| tilted(x, y, (128.0, 3.0), -6.0)),
    ("a cell at 8°", |x, y| tilted(x, y, (128.0, 3.0), 8.0)),
    ("a rule at 5°", |x, y| {
        let line = 245.0 - 0.087 * x as f32;
        (y as f32 - line).abs() < 1.5
    }),
];

#[test]
fn printed_lines_around_a_digit_change_nothing() {
    change_nothing(&PRINTED);
}

#[test]
fn tilted_lines_around_a_digit_change_nothing() {
    change_nothing(&TILTED);
}

/// Also where the lines are so thin that they stay, beside a digit or as another one.
#[test]
fn tilted_cells_invert_no_picture() {
    for (label, digit) in digits() {
        for (name, print) in TILTED {
            for (paper, pen) in [(WHITE, [0.0; 3]), ([0.0; 3], WHITE)] {
                let canvas = printed(&digit, print, [paper, pen, pen]);
                for side in [28, 32, 64, 100] {
                    let found = MNIST.picture(&reduced(&canvas, side));
                    assert_ne!(found, Normalized::Blank, "{label} with {name}, {side} px");
                    if let Normalized::Input(bytes) = found {
                        let mean = difference(&bytes, &[0; 784]);
                        assert!(mean < 90.0, "{label} with {name}, {side} px: mean {mean}");
                    }
                }
            }
        }
    }
}

fn change_nothing(prints: &[(&str, Print)]) {
    let mut wrong = Vec::new();
    let inks = [
        ("black", [WHITE, [0.0; 3], [0.0; 3]]),
        ("red", [WHITE, [20.0; 3], [230.0, 40.0, 40.0]]),
        (
            "light blue",
            [WHITE, [20.0, 20.0, 60.0], [170.0, 190.0, 255.0]],
        ),
        ("white on black", [[0.0; 3], WHITE, WHITE]),
    ];
    for (label, digit) in digits() {
        // Two of the colours for each digit, as each picture takes its time.
        for (ink, colours) in [inks[label % 4], inks[(label + 1) % 4]] {
            let alone = input(&MNIST.picture(&printed(&digit, |_, _| false, colours)));
            for &(name, print) in prints {
                let found = MNIST.picture(&printed(&digit, print, colours));
                let differs = match &found {
                    Normalized::Input(bytes) => difference(bytes, &alone),
                    _ => f32::INFINITY,
                };
                if differs > 15.0 {
                    wrong.push(format!("{label} with {name} in {ink}: {differs}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

/// The frame of a form, of which the pen touches a side or crosses it.
#[test]
fn a_frame_that_the_digit_touches_is_removed() {
    let tall = Seven {
        left: 90.0,
        top: 28.0,
        unit: 130.0,
        pen: 14.0,
    };
    for (name, first) in [("touched", 22), ("crossed", 40), ("at the edge", 0)] {
        let seven = if first == 0 {
            Seven { top: 4.0, ..tall }
        } else {
            tall
        };
        let framed = canvas(&[seven], |x, y, ink| {
            let print = f32::from(u8::from(outline(x, y, first, 3)));
            mix(ink.max(print), WHITE, [0.0; 3])
        });
        let alone = canvas(&[seven], |_, _, ink| mix(ink, WHITE, [0.0; 3]));
        for side in [SIDE as usize, 96, 64] {
            let [framed, alone] =
                [&framed, &alone].map(|it| input(&MNIST.picture(&reduced(it, side))));
            let differs = difference(&framed, &alone);
            assert!(
                differs < 12.0,
                "{name}, {side} px: differs by {differs} grey levels"
            );
        }
    }
}

/// A rule that goes through the picture, on which the digit stands or which it crosses.
#[test]
fn a_rule_that_the_digit_touches_is_removed() {
    let rules: [(&str, Print); 5] = [
        ("below", |_, y| (206..209).contains(&y)),
        ("through it", |_, y| (180..183).contains(&y)),
        ("beside it", |x, _| (185..188).contains(&x)),
        ("short and thin", |x, y| {
            (60..245).contains(&x) && (206..209).contains(&y)
        }),
        ("below, tilted", |x, y| {
            let line = 200.0 + 0.07 * x as f32;
            (y as f32 - line).abs() < 1.5
        }),
    ];
    let colours = [WHITE, [0.0; 3], [0.0; 3]];
    let seven = |print: Print| {
        canvas(&[Seven::PLAIN], |x, y, ink| {
            let print = f32::from(u8::from(print(x, y)));
            mix(ink.max(print), colours[0], colours[1])
        })
    };
    let alone = input(&MNIST.picture(&seven(|_, _| false)));
    for (name, print) in rules {
        let differs = difference(&input(&MNIST.picture(&seven(print))), &alone);
        assert!(differs < 12.0, "{name}: differs by {differs} grey levels");
    }
}

/// Straight strokes that fill the picture are strokes.
#[test]
fn strokes_are_never_taken_for_printed_lines() {
    let stroke = |name: &str, box_of_ink: (usize, usize), ink: fn(u32, u32) -> bool| {
        let picture = canvas(&[], |x, y, _| {
            mix(f32::from(u8::from(ink(x, y))), WHITE, [0.0; 3])
        });
        let plane = Plane::from_bytes(28, 28, &input(&MNIST.picture(&picture)));
        let rows = plane
            .rows()
            .filter(|row| row.iter().any(|&value| value > 0.3));
        let columns = (0..28).filter(|&x| plane.rows().any(|row| row[x] > 0.3));
        assert_eq!((columns.count(), rows.count()), box_of_ink, "{name}");
    };
    stroke("a thin 1", (1, 20), |x, y| {
        (139..143).contains(&x) && (20..260).contains(&y)
    });
    stroke("a 1 from edge to edge", (1, 20), |x, _| {
        (138..146).contains(&x)
    });
    stroke("a 1 with a foot", (10, 20), |x, y| {
        ((138..146).contains(&x) && (10..262).contains(&y))
            || ((80..206).contains(&x) && (264..272).contains(&y))
    });
    stroke("a square 7", (14, 20), |x, y| {
        ((60..230).contains(&x) && (20..30).contains(&y))
            || ((220..230).contains(&x) && (20..264).contains(&y))
    });
    stroke("a square 0", (16, 20), |x, y| {
        let inside = |by: u32| (40 + by..240 - by).contains(&x) && (15 + by..265 - by).contains(&y);
        inside(0) && !inside(8)
    });
    stroke("a slanted 1 from edge to edge", (3, 20), |x, y| {
        (x as f32 - 120.0 - 0.1 * y as f32).abs() < 4.0
    });
    // Cut out between its left and its right edge.
    stroke("a 7 whose bar goes from edge to edge", (20, 14), |x, y| {
        let stem = (x as f32 - 276.0 + 0.9 * (y as f32 - 40.0)).abs() < 5.0;
        (40..48).contains(&y) || ((40..236).contains(&y) && stem)
    });
    stroke("a 4 of straight lines", (20, 20), |x, y| {
        ((190..198).contains(&x) && (4..276).contains(&y))
            || ((4..276).contains(&x) && (180..188).contains(&y))
            || ((4..12).contains(&x) && (4..188).contains(&y))
    });
}
