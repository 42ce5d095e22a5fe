//! Who asks: what a verified token says of its bearer.

use std::{collections::BTreeSet, fmt::Write};

/// The longest issuer and subject, in bytes. OpenID Connect allows a subject of 255; a longer one is refused, since it stands in every event.
pub const NAME_BOUND: usize = 255;

/// The longest text that [`Principal::actor`] makes, in bytes: four names, each byte percent-encoded, and what stands between them.
pub const ACTOR_BOUND: usize = 4 * 3 * NAME_BOUND + "#;act=#".len();

/// Whom a verified access token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The issuer that vouches for the subject (`iss`), spelled as the setting spells it.
    pub issuer: String,
    /// Who it is, by the issuer's own name (`sub`). Only issuer and subject together are unique.
    pub subject: String,
    /// The roles that the issuer gave the subject.
    pub roles: BTreeSet<String>,
    /// The scopes that the token was issued for (`scope`).
    pub scopes: BTreeSet<String>,
    /// The client that the token was issued to (`client_id`, or `azp`).
    pub client: Option<String>,
    /// Who acts for the subject (`act`, RFC 8693), where it is not the subject itself.
    pub acting: Option<Actor>,
}

/// Who acts in the subject's name: the outermost `act` of RFC 8693, which is the only one that may be judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Whose name `subject` is, where it is not the token's own issuer's.
    pub issuer: Option<String>,
    /// Who acts.
    pub subject: String,
}

impl Principal {
    /// The text for an event's `actor` header: `<iss>#<sub>`, and `<iss>#<sub>;act=<sub>` where somebody acts for the subject.
    ///
    /// It is visible ASCII without spaces, at most [`ACTOR_BOUND`] bytes, and two principals that differ in any of these names never share one: what is not visible
    /// ASCII, and `#`, `%` and `;`, are percent-encoded.
    pub fn actor(&self) -> String {
        let mut text = String::with_capacity(self.issuer.len() + self.subject.len() + 1);
        push_name(&mut text, &self.issuer, &self.subject);
        if let Some(acting) = &self.acting {
            text.push_str(";act=");
            match &acting.issuer {
                Some(issuer) => push_name(&mut text, issuer, &acting.subject),
                None => push_encoded(&mut text, &acting.subject),
            }
        }
        text
    }

    /// Bytes that name the subject's account, to derive ids from (UUIDv5): the issuer, a zero byte, the subject. Who acts makes no difference.
    pub fn account_name(&self) -> Vec<u8> {
        [self.issuer.as_bytes(), &[0], self.subject.as_bytes()].concat()
    }

    /// True if the issuer gave the subject this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// True if the token was issued for this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

fn push_name(text: &mut String, issuer: &str, subject: &str) {
    push_encoded(text, issuer);
    text.push('#');
    push_encoded(text, subject);
}

fn push_encoded(text: &mut String, name: &str) {
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && !b"#%;".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn principal(issuer: &str, subject: &str, acting: Option<Actor>) -> Principal {
        Principal {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            roles: BTreeSet::new(),
            scopes: BTreeSet::new(),
            client: None,
            acting,
        }
    }

    #[test]
    fn an_actor_is_issuer_and_subject() {
        let ada = principal("https://id.example/realms/shop", "ada", None);
        assert_eq!(ada.actor(), "https://id.example/realms/shop#ada");
        let reactor = Actor { issuer: None, subject: "reactors of orders".to_owned() };
        assert_eq!(principal("https://id.example", "ada", Some(reactor)).actor(), "https://id.example#ada;act=reactors%20of%20orders");
        let foreign = Actor { issuer: Some("https://other.example".to_owned()), subject: "bot".to_owned() };
        assert_eq!(principal("https://id.example", "ada", Some(foreign)).actor(), "https://id.example#ada;act=https://other.example#bot");
    }

    #[test]
    fn what_could_be_mistaken_is_encoded() {
        assert_eq!(principal("https://id.example", "a#b;act=c %é\n", None).actor(), "https://id.example#a%23b%3Bact=c%20%25%C3%A9%0A");
        assert_ne!(
            principal("i", "a;act=b", None).actor(),
            principal("i", "a", Some(Actor { issuer: None, subject: "b".to_owned() })).actor()
        );
    }

    #[test]
    fn an_account_is_the_same_whoever_acts() {
        let acting = Some(Actor { issuer: None, subject: "bot".to_owned() });
        assert_eq!(principal("i", "ada", acting).account_name(), b"i\0ada");
        assert_ne!(principal("i", "ada", None).account_name(), principal("ia", "da", None).account_name());
    }

    fn acting() -> impl Strategy<Value = Option<Actor>> {
        proptest::option::of((proptest::option::of(".{0,8}"), ".{0,8}").prop_map(|(issuer, subject)| Actor { issuer, subject }))
    }

    proptest! {
        #[test]
        fn actors_are_visible_ascii_and_tell_principals_apart(
            (iss, sub, act) in (".{0,8}", ".{0,8}", acting()),
            (other_iss, other_sub, other_act) in (".{0,8}", ".{0,8}", acting()),
        ) {
            let (one, other) = (principal(&iss, &sub, act), principal(&other_iss, &other_sub, other_act));
            prop_assert!(one.actor().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(one == other, one.actor() == other.actor());
        }

        #[test]
        fn actors_are_bounded(name in "\\PC{0,255}") {
            let name: String = name.chars().scan(0, |len, c| { *len += c.len_utf8(); (*len <= NAME_BOUND).then_some(c) }).collect();
            let full = principal(&name, &name, Some(Actor { issuer: Some(name.clone()), subject: name.clone() }));
            prop_assert!(full.actor().len() <= ACTOR_BOUND);
        }
    }
}
