//! The rules for texts that people read: a text shows something, on one line, in the direction in which it is written, and has one spelling.

use crate::Invalid;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointSetData,
    props::{BidiControl, DefaultIgnorableCodePoint},
};

/// Characters that have a place of their own and no ink, though Unicode counts them neither as white space nor as ignorable.
const BLANK: [char; 3] = ['\u{2800}', '\u{16fe4}', '\u{1d159}'];

/// The canonical spelling (NFC): `é` is one character, however it was typed, so that the same name is the same command.
pub(crate) fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// True of a character that leaves no ink: white space, a control, a zero-width or filler character.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_whitespace() || c.is_control() || BLANK.contains(&c) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// The line of text as it is kept, or the rule that it breaks: 1 to `most` characters.
pub(crate) fn line(text: &str, most: usize) -> Result<String, Invalid> {
    text.chars().try_for_each(check_character)?;
    let line = composed(text.trim());
    check_length(&line, most)?;
    if line.chars().all(is_invisible) {
        return Err(Invalid(format!("must be 1 to {most} characters, at least one of which can be seen")));
    }
    Ok(line)
}

/// Notes how many characters there are where they are too few or too many.
pub(crate) fn check_length(text: &str, most: usize) -> Result<(), Invalid> {
    let count = text.chars().count();
    if (1..=most).contains(&count) { Ok(()) } else { Err(Invalid(format!("must be 1 to {most} characters, has {count}"))) }
}

fn check_character(c: char) -> Result<(), Invalid> {
    let code = u32::from(c);
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        return Err(Invalid(format!("must be one line without a control character, has U+{code:04X}")));
    }
    if CodePointSetData::new::<BidiControl>().contains(c) {
        return Err(Invalid(format!("must not turn the direction of the text around, as U+{code:04X} does")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{Sku, Text};

    fn rule(text: &str) -> String {
        text.parse::<Text>().expect_err(text).to_string()
    }

    fn kept(text: &str) -> String {
        text.parse::<Text>().expect(text).to_string()
    }

    #[test]
    fn a_name_in_any_script_is_kept() {
        for name in [
            "Ada Lovelace",
            "Søren",
            "Đặng Thị",
            "王小明",
            "محمد",
            "דוד",
            "👩‍💻 Ada",
            "क्षि",
            "می‌خواهم",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        ] {
            assert_eq!(kept(name), name);
        }
    }

    #[test]
    fn the_same_name_has_one_spelling() {
        assert_eq!(kept("  Zoe\u{308} "), "Zo\u{eb}");
        assert_eq!(kept("A\u{30a}ngstro\u{308}m"), kept("\u{212b}ngstr\u{f6}m"));
        assert_eq!("u\u{308}-1".parse::<Sku>().expect("a SKU"), "\u{fc}-1".parse().expect("a SKU"));
    }

    #[test]
    fn a_name_that_shows_nothing_is_refused() {
        for name in
            ["\u{200b}", "\u{feff}\u{2060}", "\u{3164}", "\u{ffa0} \u{115f}", "\u{2800}\u{2800}", "\u{ad}", "\u{200d}\u{fe0f}", "\u{e0020}"]
        {
            assert!(rule(name).contains("can be seen"), "{name:?}: {}", rule(name));
        }
        for name in ["", "  ", "\u{a0}\u{2003}\u{3000}"] {
            assert!(rule(name).contains("must be 1 to 200 characters, has 0"), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_turns_the_line_around_is_refused() {
        let marks = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{200e}', '\u{200f}', '\u{61c}']);
        for mark in marks {
            let named = format!("U+{:04X} does", u32::from(mark));
            assert!(rule(&format!("Ada{mark}nimda")).contains(&named), "{mark:?}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        for c in ['\0', '\n', '\r', '\u{7f}', '\u{85}', '\u{9f}', '\u{2028}', '\u{2029}'] {
            for name in [format!("Ada{c}Bcc: x"), format!("{c}Ada"), format!("Ada{c}")] {
                assert!(rule(&name).contains("control character"), "{name:?}");
            }
        }
    }

    #[test]
    fn the_bounds_are_named_and_counted_in_composed_characters() {
        assert_eq!(kept(&"e\u{301}".repeat(200)).chars().count(), 200);
        assert!(rule(&"x".repeat(201)).contains("must be 1 to 200 characters, has 201"));
    }

    #[test]
    fn a_sku_has_no_invisible_letter() {
        let rule = |text: &str| text.parse::<Sku>().expect_err(text).to_string();
        for text in ["\u{3164}", "A\u{115f}1", "A\u{200b}1", "A\u{202e}1", " A", "A ", "a/b", "A\u{a0}1"] {
            assert!(rule(text).contains("letters, digits, dots"), "{text:?}");
        }
        assert!(rule(&"x".repeat(65)).contains("1 to 64 characters, has 65"));
        assert!(rule("").contains("has 0"));
        assert_eq!("85123A-Ö 9".parse::<Sku>().expect("a SKU").as_str(), "85123A-Ö 9");
    }
}
