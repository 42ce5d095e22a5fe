//! From the claims of a verified token to the principal.

use crate::{Actor, Issuer, NAME_BOUND, Principal, Rejected};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The claims of a token whose signature, times, issuer and audience hold.
pub(crate) struct Claims(Value);

impl From<Map<String, Value>> for Claims {
    fn from(claims: Map<String, Value>) -> Self {
        Self(Value::Object(claims))
    }
}

impl Claims {
    /// Whom the token speaks for.
    pub(crate) fn principal(&self, issuer: &Issuer) -> Result<Principal, Rejected> {
        self.check_kind()?;
        if self.text("/iss") != Some(issuer.url()) {
            return Err(Rejected::WrongIssuer);
        }
        Ok(Principal {
            issuer: issuer.url().to_owned(),
            subject: name(self.text("/sub")).ok_or(Rejected::Malformed("its `sub` must be 1 to 255 bytes"))?,
            roles: issuer.role_claims().iter().flat_map(|claim| self.words(claim.pointer())).collect(),
            scopes: self.words("/scope").collect(),
            client: self.text("/client_id").or(self.text("/azp")).map(str::to_owned),
            acting: self.acting()?,
        })
    }

    /// The second at which the token ends.
    pub(crate) fn expires(&self) -> Result<u64, Rejected> {
        self.seconds("/exp")?.ok_or(Rejected::Malformed("it has no `exp`"))
    }

    /// Keycloak says in `typ` what a token is for: of its kinds only `Bearer` is an access token that its bearer alone may show.
    fn check_kind(&self) -> Result<(), Rejected> {
        // A `nbf` that is no number would be passed over by jsonwebtoken.
        self.seconds("/nbf")?;
        match self.0.pointer("/typ") {
            None => Ok(()),
            Some(kind) if kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) => Ok(()),
            Some(_) => Err(Rejected::Malformed("it is not an access token")),
        }
    }

    fn acting(&self) -> Result<Option<Actor>, Rejected> {
        let Some(act) = self.0.pointer("/act") else { return Ok(None) };
        let wrong = Rejected::Malformed("its `act` must have a `sub`, and may have an `iss`, of 1 to 255 bytes");
        let subject = name(act.pointer("/sub").and_then(Value::as_str)).ok_or(wrong.clone())?;
        let issuer = match act.pointer("/iss") {
            None => None,
            Some(issuer) => Some(name(issuer.as_str()).ok_or(wrong)?),
        };
        let is_foreign = |issuer: &String| self.text("/iss") != Some(issuer);
        Ok(Some(Actor { issuer: issuer.filter(is_foreign), subject }))
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str()
    }

    fn seconds(&self, pointer: &str) -> Result<Option<u64>, Rejected> {
        match self.0.pointer(pointer) {
            None => Ok(None),
            // The fraction of a second is cut, and a float that is out of bounds becomes the nearest bound.
            Some(Value::Number(seconds)) => Ok(seconds.as_u64().or(seconds.as_f64().map(|seconds| seconds as u64))),
            Some(_) => Err(Rejected::Malformed("its times must be numbers")),
        }
    }

    /// The words of a claim, which has them in a list or with spaces between.
    fn words(&self, pointer: &str) -> impl Iterator<Item = String> {
        let words: BTreeSet<String> = match self.0.pointer(pointer) {
            Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        words.into_iter()
    }
}

fn name(text: Option<&str>) -> Option<String> {
    text.filter(|text| (1..=NAME_BOUND).contains(&text.len())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn issuer() -> Issuer {
        Issuer::new("https://id.example", "daybook").unwrap()
    }

    fn read(extra: Value) -> Result<Principal, Rejected> {
        let mut claims = json!({"iss": "https://id.example", "sub": "ada", "aud": "daybook", "exp": 1});
        claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        Claims(claims).principal(&issuer())
    }

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn roles_and_scopes_are_read_where_they_stand() {
        let keycloak = json!({"realm_access": {"roles": ["customer", "offline_access"]}, "scope": "openid orders:read", "azp": "shop-web", "typ": "Bearer"});
        let ada = read(keycloak).unwrap();
        assert_eq!(
            (ada.roles, ada.scopes, ada.client),
            (set(&["customer", "offline_access"]), set(&["openid", "orders:read"]), Some("shop-web".to_owned()))
        );
        assert_eq!(read(json!({"roles": ["auditor"], "client_id": "a", "azp": "b"})).unwrap().client.as_deref(), Some("a"));
        assert_eq!(
            read(json!({"roles": ["auditor"], "realm_access": {"roles": ["support"]}})).unwrap().roles,
            set(&["auditor", "support"])
        );
        assert_eq!(read(json!({"roles": "auditor support"})).unwrap().roles, set(&["auditor", "support"]));
    }

    #[test]
    fn a_claim_of_another_shape_gives_no_role() {
        for other in [
            json!({"roles": {"customer": true}}),
            json!({"roles": [1, null, ["customer"]]}),
            json!({"realm_access": ["customer"]}),
            json!({"roles": 7}),
        ] {
            assert_eq!(read(other.clone()).unwrap().roles, set(&[]), "{other}");
        }
    }

    #[test]
    fn a_subject_is_a_name() {
        for wrong in [json!(null), json!(""), json!(7), json!("x".repeat(NAME_BOUND + 1))] {
            assert!(matches!(read(json!({"sub": wrong})), Err(Rejected::Malformed(_))), "{wrong}");
        }
        assert_eq!(read(json!({"sub": "x".repeat(NAME_BOUND)})).unwrap().subject.len(), NAME_BOUND);
    }

    #[test]
    fn only_access_tokens_are() {
        for kind in [json!("ID"), json!("Refresh"), json!("Offline"), json!("DPoP"), json!(["Bearer"])] {
            assert_eq!(read(json!({"typ": kind})), Err(Rejected::Malformed("it is not an access token")), "{kind}");
        }
    }

    #[test]
    fn an_issuer_among_others_is_none() {
        assert_eq!(read(json!({"iss": ["https://id.example", "https://other.example"]})), Err(Rejected::WrongIssuer));
    }

    #[test]
    fn who_acts_is_the_outermost() {
        let nested = json!({"act": {"sub": "bot", "act": {"sub": "elder"}}});
        assert_eq!(read(nested).unwrap().acting, Some(Actor { issuer: None, subject: "bot".to_owned() }));
        let own = json!({"act": {"sub": "bot", "iss": "https://id.example"}});
        assert_eq!(read(own).unwrap().acting, Some(Actor { issuer: None, subject: "bot".to_owned() }));
        let foreign = json!({"act": {"sub": "bot", "iss": "https://other.example"}});
        assert_eq!(read(foreign).unwrap().acting.unwrap().issuer.as_deref(), Some("https://other.example"));
        for wrong in [json!({}), json!("bot"), json!({"sub": ""}), json!({"sub": "bot", "iss": 7})] {
            assert!(matches!(read(json!({"act": wrong})), Err(Rejected::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn times_are_numbers() {
        let exp = |exp: Value| Claims(json!({"exp": exp})).expires();
        assert_eq!((exp(json!(7)), exp(json!(7.9)), exp(json!(1e300)), exp(json!(-3))), (Ok(7), Ok(7), Ok(u64::MAX), Ok(0)));
        assert!(exp(json!("7")).is_err());
        assert!(read(json!({"nbf": "soon"})).is_err());
    }
}
