//! The rule for addresses: what mail can be sent to over the public network, by RFC 5321 and RFC 1123.
//!
//! It is stricter than the grammar of RFC 5322. A quoted local part, a comment and an address literal are legal there and are typing errors in a
//! shop. A local part beyond ASCII (RFC 6531) reaches only those whose every mail server offers `SMTPUTF8`, so it is refused; a domain in
//! another script is taken and kept as its A-labels (`xn--...`), which every mail server knows.

use crate::Invalid;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// The most bytes of an address (RFC 5321, erratum 1690), of the part before the `@`, and of one label of a domain.
const MOST: usize = 254;
const MOST_LOCAL: usize = 64;
const MOST_LABEL: usize = 63;

/// The address as it is kept, or the rule that it breaks.
pub(crate) fn parse(text: &str) -> Result<String, Invalid> {
    let Some((local, domain)) = text.rsplit_once('@') else { return Err(wrong("it has no @")) };
    check_local(local)?;
    let domain = in_ascii(domain)?;
    check_domain(&domain)?;
    let address = format!("{local}@{domain}");
    if address.len() > MOST { Err(wrong(&format!("it has {} bytes, of at most {MOST}", address.len()))) } else { Ok(address) }
}

fn wrong(rule: &str) -> Invalid {
    Invalid(format!("must be an e-mail address such as ada@example.com: {rule}"))
}

/// Letters, digits and those signs that need no quotes (`atext` of RFC 5322).
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn check_local(local: &str) -> Result<(), Invalid> {
    if !(1..=MOST_LOCAL).contains(&local.len()) {
        return Err(wrong(&format!("the part before @ must be 1 to {MOST_LOCAL} bytes, has {}", local.len())));
    }
    if !local.bytes().all(|byte| is_atext(byte) || byte == b'.') {
        return Err(wrong("the part before @ may have letters from a to z, digits, dots and !#$%&'*+-/=?^_`{|}~"));
    }
    if local.split('.').any(str::is_empty) {
        return Err(wrong("the part before @ must not begin or end with a dot, nor have two in a row"));
    }
    Ok(())
}

/// A domain in another script in its A-labels; one in ASCII stays as it is spelled.
fn in_ascii(domain: &str) -> Result<String, Invalid> {
    if domain.is_ascii() {
        return Ok(domain.to_owned());
    }
    let converted = Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify);
    converted.map(|domain| domain.into_owned()).map_err(|_| wrong("the domain is not one by the rules for names in other scripts (IDNA)"))
}

fn check_domain(domain: &str) -> Result<(), Invalid> {
    let labels: Vec<&str> = domain.split('.').collect();
    if labels.len() < 2 {
        return Err(wrong("the domain after @ must have a dot within"));
    }
    labels.iter().try_for_each(|label| check_label(label))?;
    let named = labels.last().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()));
    if named { Ok(()) } else { Err(wrong("the last part of the domain must begin with a letter: an IP address is none")) }
}

fn check_label(label: &str) -> Result<(), Invalid> {
    if !(1..=MOST_LABEL).contains(&label.len()) {
        return Err(wrong(&format!("each part of the domain between dots must be 1 to {MOST_LABEL} bytes, one has {}", label.len())));
    }
    let legal = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !legal || label.starts_with('-') || label.ends_with('-') {
        return Err(wrong("each part of the domain between dots may have letters, digits and inner dashes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn rule(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn an_address_that_mail_can_reach_stays_as_it_is_spelled() {
        let longest = format!("{}@{}.{}.{}.example", "a".repeat(64), "b".repeat(63), "c".repeat(63), "d".repeat(53));
        assert_eq!(longest.len(), 254);
        for text in
            ["ada@example.com", "Ada.Lovelace+orders@Mail.Example.co.uk", "o'hara_{x}@1.a-b.example", "a@xn--bcher-kva.example", &longest]
        {
            assert_eq!(parse(text).expect(text), text);
        }
    }

    #[test]
    fn a_domain_in_another_script_is_kept_in_its_ascii_form() {
        assert_eq!(parse("ada@bücher.example").expect("IDN"), "ada@xn--bcher-kva.example");
        assert_eq!(parse("ada@bu\u{308}cher.example").expect("the same in NFD"), "ada@xn--bcher-kva.example");
        assert_eq!(parse("ada@例え.テスト").expect("IDN"), "ada@xn--r8jz45g.xn--zckzah");
        assert!(rule("ada@b\u{202e}ü.example").contains("IDNA"));
        assert!(rule("ada@-ü.example").contains("IDNA"));
    }

    #[test]
    fn what_no_mail_can_reach_is_refused_by_its_rule() {
        for text in ["", "ada", "ada.example.com"] {
            assert!(rule(text).contains("it has no @"), "{text}");
        }
        for text in ["a..b@example.com", ".a@example.com", "a.@example.com"] {
            assert!(rule(text).contains("two in a row"), "{text}");
        }
        let signs = ["a,b", "a;b", "(c)", "a b", "\"a b\"", "<ada", "a:b", "a\\b", "a[b]", "a@b", "adä", "a\u{200b}", "a\r\nBcc: x", "a\0"];
        for local in signs {
            assert!(rule(&format!("{local}@example.com")).contains("letters from a to z"), "{local:?}");
        }
        for domain in
            ["exam ple.com", "example.com>", "-x-.example", "a.-b", "a-.com", "a_b.com", "[127.0.0.1]", "a.b(c)", "a.b\r\n", "a.b,c.d"]
        {
            assert!(
                rule(&format!("ada@{domain}")).contains("inner dashes") || rule(&format!("ada@{domain}")).contains("a dot within"),
                "{domain:?}"
            );
        }
        for domain in ["", "localhost", "-x-"] {
            assert!(rule(&format!("ada@{domain}")).contains("a dot within"), "{domain:?}");
        }
        for domain in [".com", "example..com", "example.com.", &format!("{}.com", "a".repeat(64))] {
            assert!(rule(&format!("ada@{domain}")).contains("1 to 63 bytes"), "{domain:?}");
        }
        for domain in ["127.0.0.1", "example.123", "127.0.0.0x1"] {
            assert!(rule(&format!("ada@{domain}")).contains("begin with a letter"), "{domain:?}");
        }
    }

    #[test]
    fn a_length_beyond_its_bound_is_named() {
        assert!(rule("@example.com").contains("1 to 64 bytes, has 0"));
        assert!(rule(&format!("{}@example.com", "a".repeat(65))).contains("1 to 64 bytes, has 65"));
        let long = format!("ada@{}.{}.{}.{}.com", "b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(55));
        assert!(rule(&long).contains("it has 255 bytes, of at most 254"), "{}", rule(&long));
    }
}
