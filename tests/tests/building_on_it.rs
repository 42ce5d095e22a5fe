//! What `docs/building-on-it.md` shows is the example's own code, word for word.

use std::{fs, path::Path};

/// The page has at least so many blocks of Rust; with fewer, this test does not read it correctly.
const AT_LEAST: usize = 6;
/// The folders of the example whose files are quoted.
const QUOTED: [&str; 4] = ["", "src", "avro", "tests"];

/// A block of code: its language, the line of the page on which it begins, and its lines.
struct Block<'a> {
    language: &'a str,
    line: usize,
    code: Vec<&'a str>,
}

/// The lines of a text, without indentation and blank lines.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut is_inside = false;
    for (line, text) in (1..).zip(page.lines().map(str::trim)) {
        match text.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(language) => {
                is_inside = true;
                found.push(Block { language, line, code: Vec::new() });
            }
            None if is_inside && !text.is_empty() => found.last_mut().expect("a block is open").code.push(text),
            None => {}
        }
    }
    assert!(!is_inside, "the last block of the page is not closed");
    found
}

fn example() -> Vec<String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lending-library");
    let files = QUOTED.iter().flat_map(|folder| home.join(folder).read_dir().expect("the example has it"));
    let files = files.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    files.map(|path| fs::read_to_string(path).expect("it is text")).collect()
}

#[test]
fn every_block_of_code_stands_in_the_example() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/building-on-it.md")).expect("the page");
    let files = example();
    let files: Vec<Vec<&str>> = files.iter().map(|text| lines(text)).collect();
    let mut rust = 0;
    for Block { language, line, code } in blocks(&page).iter().filter(|block| ["rust", "toml", "json"].contains(&block.language)) {
        assert!(!code.is_empty(), "docs/building-on-it.md:{line}: the block is empty");
        let stands = files.iter().any(|file| file.windows(code.len()).any(|window| window == code));
        assert!(stands, "docs/building-on-it.md:{line}: no file of examples/lending-library has these lines:\n{}", code.join("\n"));
        rust += usize::from(*language == "rust");
    }
    assert!(rust >= AT_LEAST, "the page has {rust} blocks of Rust, not {AT_LEAST}");
}
