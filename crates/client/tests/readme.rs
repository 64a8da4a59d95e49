//! The documentation's example is the README's.

#[test]
fn the_example_of_the_documentation_is_that_of_the_readme() {
    let readme = include_str!("../../../README.md");
    let (_, block) = readme.split_once("```rust\n").expect("an example in Rust");
    let example = block.split("```").next().unwrap_or_default();
    let mut documentation = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(str::trim);
    for line in example.lines().map(str::trim) {
        assert!(documentation.any(|it| it == line), "not in lib.rs: {line}");
    }
}
