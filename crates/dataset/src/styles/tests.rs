use super::*;
use digits_checkpoint::sha256_hex;

const SIZE: (usize, usize) = (28, 28);

fn drawn(key: u64) -> Vec<u8> {
    draw((key % 10) as u8, key, SIZE)
}

#[test]
fn drawn_digits_and_letters_have_their_pinned_digest() {
    let digits: Vec<u8> = (0..500).flat_map(drawn).collect();
    let letters: Vec<u8> = (0..100).flat_map(|key| draw_letter(key, SIZE)).collect();
    let held_out: Vec<u8> = all().iter().flat_map(|it| it.held_out(7, SIZE)).collect();
    assert_eq!(
        [digits, letters, held_out].map(|pixels| sha256_hex(&pixels)),
        [
            "60e9a38d7ceec83bb870255f0637072b30681130352753b23372432888e06fda",
            "c2ba8dd0d102586687a42219261a15e6daaff1c32de7fa40bf9c36f60332ad5c",
            "75df2d006e8adcf4526f4d2f215da0ea6939ef9a4640359efdb23c8adad502ad"
        ]
    );
}

#[test]
fn keys_and_held_out_images_differ() {
    assert_ne!(draw(3, 1, SIZE), draw(3, 2, SIZE));
    assert_ne!(draw(3, 1, SIZE), draw(4, 1, SIZE));
    let style = &all()[0];
    assert_ne!(style.held_out(1, SIZE), style.held_out(2, SIZE));
    // All keys that would choose this style.
    let held_out = style.held_out(1, SIZE);
    assert!((0..1_000).all(|key| draw(style.digit, key, SIZE) != held_out));
}

#[test]
fn every_style_of_a_digit_is_drawn() {
    let sevens = all().iter().filter(|style| style.digit == 7).count();
    let chosen = |key| Random::of(key, STREAM, 0).below(sevens);
    let mut seen: Vec<usize> = (0..500).map(chosen).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), sevens);
}

/// Ink, and the mean of x and y weighted with it.
fn mass(image: &[u8], width: usize) -> (f64, f64, f64) {
    let sum = |of: &dyn Fn(usize) -> f64| -> f64 {
        let pixels = image.iter().enumerate();
        pixels.map(|(at, &grey)| of(at) * f64::from(grey)).sum()
    };
    let ink = sum(&|_| 1.0);
    (
        ink,
        sum(&|at| (at % width) as f64) / ink,
        sum(&|at| (at / width) as f64) / ink,
    )
}

#[test]
fn digits_lie_in_the_image_as_mnists_do() {
    for (height, width) in [SIZE, (40, 64)] {
        let side = height.min(width) as f64 / 28.0;
        for style in all() {
            for number in 0..20 {
                let image = style.held_out(number, (height, width));
                assert_eq!(image.len(), height * width);
                let (ink, x, y) = mass(&image, width);
                let name = (style.digit, style.name, number);
                assert!(ink > 12.0 * 255.0 * side * side, "{name:?}: {ink}");
                let (across, down) = (x - width as f64 / 2.0, y - height as f64 / 2.0);
                assert!(across.abs() < 1.5 * side, "{name:?}: {across}");
                assert!(down.abs() < 1.5 * side, "{name:?}: {down}");
                // Hairlines are faint.
                let inked = |at: &usize| image[*at] > 12;
                let rows: Vec<usize> = (0..image.len())
                    .filter(inked)
                    .map(|at| at / width)
                    .collect();
                let columns = (0..image.len()).filter(inked).map(|at| at % width);
                let reach = |min: Option<usize>, max: Option<usize>| {
                    max.unwrap_or(0) + 1 - min.unwrap_or(0)
                };
                let tall = reach(rows.iter().copied().min(), rows.iter().copied().max());
                let wide = reach(columns.clone().min(), columns.max());
                let longest = tall.max(wide) as f64 / side;
                assert!((14.0..=23.0).contains(&longest), "{name:?}: {longest}");
            }
        }
    }
}

#[test]
fn only_labels_that_are_digits_name_digits() {
    let digits_of =
        |names: &[&str]| digits(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    assert_eq!(digits_of(&["7", "0"]), Some(vec![7, 0]));
    for other in ["", "10", "a", "٣"] {
        assert_eq!(digits_of(&["1", other]), None, "{other}");
    }
}

#[test]
#[should_panic(expected = "10 is no digit")]
fn ten_is_no_digit() {
    let _ = draw(10, 0, SIZE);
}
