//! What is refused, and as what.

use crate::{ISSUER, ada, rsa, signer, verifier};
use access::{
    KeySet, Rejected, TOKEN_BOUND,
    simulated::{Bearer, Signer, forged::TokenKind},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// Verifies one token by the signer's key.
async fn verdict(signer: &Signer, token: &str) -> Result<String, Rejected> {
    verifier(&[signer.jwk()]).verify(token).await.map(|principal| principal.actor())
}

/// A token whose header and claims are changed by these members; null takes one away.
fn changed(signer: &Signer, header: Value, claims: Value) -> String {
    signer.sign(&merged(signer.header(), header), &merged(signer.claims(&ada()), claims)).unwrap()
}

fn merged(mut base: Value, change: Value) -> Value {
    let members = base.as_object_mut().unwrap();
    members.extend(change.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    base
}

#[tokio::test]
async fn every_kind_of_token_gets_its_answer() {
    let signer = signer();
    let verifier = verifier(&[signer.jwk()]);
    for kind in TokenKind::ALL {
        let token = kind.token(&signer, &ada()).unwrap().map(|token| format!("Bearer {token}"));
        let told = verifier.admit(token.as_deref().map(str::as_bytes)).await;
        let expected = match kind {
            TokenKind::None => Err(Rejected::Missing),
            TokenKind::Expired => Err(Rejected::Expired),
            TokenKind::NotYetValid => Err(Rejected::NotYetValid),
            TokenKind::WrongIssuer => Err(Rejected::WrongIssuer),
            TokenKind::WrongAudience => Err(Rejected::WrongAudience),
            TokenKind::AlgNone | TokenKind::Hs256WithPublicKey => Err(Rejected::BadSignature),
            TokenKind::UnknownKid => Err(Rejected::UnknownKey),
            TokenKind::MissingScope | TokenKind::Right => Ok(format!("{ISSUER}#ada")),
            TokenKind::SomebodyElse => Ok(format!("{ISSUER}#not-ada")),
        };
        assert_eq!(told.as_ref().is_ok(), kind.is_verified(), "{kind:?}");
        assert_eq!(told.map(|principal| principal.actor()), expected, "{kind:?}");
    }
}

#[tokio::test]
async fn a_bearer_is_who_the_token_says() {
    let signer = signer();
    let bearer = Bearer { scopes: vec!["orders:read".to_owned()], client: Some("web".to_owned()), acting: Some("bot".to_owned()), ..ada() };
    let principal = verifier(&[signer.jwk()]).verify(&signer.token(&bearer).unwrap()).await.unwrap();
    assert_eq!(principal.actor(), format!("{ISSUER}#ada;act=bot"));
    assert!(principal.has_role("customer") && !principal.has_role("operator"));
    assert!(principal.has_scope("orders:read") && !principal.has_scope("orders"));
    assert_eq!(principal.client.as_deref(), Some("web"));
}

#[tokio::test]
async fn another_key_under_a_known_name_signs_nothing() {
    let (own, other) = (signer(), signer());
    let forged = other.sign(&own.header(), &own.claims(&ada())).unwrap();
    assert_eq!(verdict(&own, &forged).await, Err(Rejected::BadSignature));
}

#[tokio::test]
async fn a_header_cannot_choose() {
    let signer = signer();
    for algorithm in ["none", "None", "HS256", "HS512", "RS256", "RS512", "PS256", "ES384", "EdDSA", "es256", ""] {
        let token = changed(&signer, json!({"alg": algorithm}), json!({}));
        assert_eq!(verdict(&signer, &token).await, Err(Rejected::BadSignature), "{algorithm}");
    }
    let own = Signer::generate(ISSUER, "daybook").unwrap();
    let with_key = own
        .sign(&merged(own.header(), json!({"jwk": own.jwk(), "kid": null, "jku": "https://evil.example/keys"})), &own.claims(&ada()))
        .unwrap();
    assert_eq!(verdict(&signer, &with_key).await, Err(Rejected::BadSignature), "a key that a token brings along is its bearer's word");
    for header in [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"typ": "ID"}),
        json!({"typ": "dpop+jwt"}),
    ] {
        let told = verdict(&signer, &changed(&signer, header.clone(), json!({}))).await;
        assert!(matches!(told, Err(Rejected::Malformed(_))), "{header}: {told:?}");
    }
    for kind in [json!("JWT"), json!("jwt"), json!("at+jwt"), json!("application/at+jwt"), json!(null)] {
        assert!(verdict(&signer, &changed(&signer, json!({"typ": kind}), json!({}))).await.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn a_token_without_a_key_id_needs_a_key_without_doubt() {
    let signer = signer();
    let token = changed(&signer, json!({"kid": null}), json!({}));
    assert!(verdict(&signer, &token).await.is_ok());
    let two = verifier(&[signer.jwk(), crate::signer().jwk()]);
    assert_eq!(two.verify(&token).await, Err(Rejected::UnknownKey));
}

#[tokio::test]
async fn claims_that_are_missing_or_of_another_kind_are_refused() {
    let signer = signer();
    let cases = [
        (json!({"aud": null}), Rejected::WrongAudience),
        (json!({"aud": []}), Rejected::WrongAudience),
        (json!({"aud": {"daybook": true}}), Rejected::WrongAudience),
        (json!({"aud": ["account", "other"]}), Rejected::WrongAudience),
        (json!({"aud": "Daybook"}), Rejected::WrongAudience),
        (json!({"iss": null}), Rejected::WrongIssuer),
        (json!({"iss": [ISSUER]}), Rejected::WrongIssuer),
        (json!({"iss": "https://id.example/"}), Rejected::WrongIssuer),
        (json!({"exp": 0}), Rejected::Expired),
    ];
    for (claims, expected) in cases {
        assert_eq!(verdict(&signer, &changed(&signer, json!({}), claims.clone())).await, Err(expected), "{claims}");
    }
    for claims in [
        json!({"exp": null}),
        json!({"exp": "4102444800"}),
        json!({"exp": -1}),
        json!({"nbf": "0"}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(256)}),
        json!({"typ": "ID"}),
        json!({"exp": 1e300}),
        json!({"act": {}}),
    ] {
        let told = verdict(&signer, &changed(&signer, json!({}), claims.clone())).await;
        assert!(matches!(told, Err(Rejected::Malformed(_))), "{claims}: {told:?}");
    }
}

#[tokio::test]
async fn clocks_may_differ_a_little() {
    let signer = signer();
    let now = signer.claims(&ada())["iat"].as_u64().unwrap();
    for (claims, is_taken) in [
        (json!({"exp": now - 20}), true),
        (json!({"exp": now - 40}), false),
        (json!({"nbf": now + 20}), true),
        (json!({"nbf": now + 40}), false),
    ] {
        assert_eq!(verdict(&signer, &changed(&signer, json!({}), claims.clone())).await.is_ok(), is_taken, "{claims}");
    }
}

#[tokio::test]
async fn rsa_keys_of_2048_bits_verify_and_shorter_ones_do_not() {
    let key = |signed: &rsa::Signed| serde_json::from_str::<Value>(signed.jwk).unwrap();
    let verifier = verifier(&[key(&rsa::GOOD), key(&rsa::SHORT)]);
    assert_eq!(verifier.verify(rsa::GOOD.token).await.map(|ada| ada.actor()), Ok(format!("{ISSUER}#ada")));
    assert_eq!(verifier.verify(rsa::SHORT.token).await, Err(Rejected::BadSignature));
}

#[tokio::test]
async fn ed25519_verifies() {
    let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": URL_SAFE_NO_PAD.encode(key.public_key())});
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": "ed"})), part(signer().claims(&ada())));
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())));
    assert_eq!(verifier(&[jwk]).verify(&token).await.map(|ada| ada.actor()), Ok(format!("{ISSUER}#ada")));
}

#[tokio::test]
async fn keys_for_other_uses_verify_nothing() {
    let signer = signer();
    let token = signer.token(&ada()).unwrap();
    for change in [
        json!({"use": "enc"}),
        json!({"alg": "ES384"}),
        json!({"alg": "RS256"}),
        json!({"alg": "HS256"}),
        json!({"key_ops": ["sign"]}),
        json!({"crv": "P-384"}),
        json!({"kty": "OKP"}),
    ] {
        let unfit = merged(signer.jwk(), change.clone());
        assert!(KeySet::parse(json!({"keys": [unfit.clone()]}).to_string().as_bytes()).is_err(), "{change}");
        let told = verifier(&[unfit, crate::signer().jwk()]).verify(&token).await;
        assert_eq!(told, Err(Rejected::UnknownKey), "{change}");
    }
}

#[tokio::test]
async fn what_is_too_long_or_no_token_is_refused() {
    let signer = signer();
    let long = changed(&signer, json!({}), json!({"note": "x".repeat(TOKEN_BOUND)}));
    for text in [long.as_str(), "", "a", "a.b", "a.b.c", "....", "e30.e30.", "e30.e30.e30.e30"] {
        let told = verdict(&signer, text).await;
        assert!(matches!(told, Err(Rejected::Malformed(_))), "{text}: {told:?}");
    }
}

/// One runtime for a property's many cases.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn a_token_with_any_character_changed_is_refused(place in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let signer = signer();
        let token = signer.token(&ada()).unwrap();
        let place = place.index(token.len());
        let mut other = token.clone();
        other.replace_range(place..=place, &to);
        prop_assert_eq!(block_on(verdict(&signer, &other)).is_ok(), other == token);
    }

    #[test]
    fn nothing_that_is_shown_panics(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>(), signature in any::<Vec<u8>>(), text in "\\PC{0,100}") {
        let signer = signer();
        let parts = [&header, &claims, &signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let signed = signer.sign(&signer.header(), &json!(text)).unwrap();
        let verdicts = block_on(async { [verdict(&signer, &parts).await, verdict(&signer, &text).await, verdict(&signer, &signed).await] });
        prop_assert!(verdicts.iter().all(Result::is_err));
    }

    #[test]
    fn no_key_set_panics(body in any::<Vec<u8>>(), x in "\\PC{0,50}", kind in "EC|RSA|OKP|oct") {
        let _ = KeySet::parse(&body);
        let odd = json!({"keys": [{"kty": kind, "crv": "P-256", "x": x, "y": x, "n": x, "e": x, "k": x}, x, 7, null, {"keys": []}]});
        let _ = KeySet::parse(odd.to_string().as_bytes());
    }

    #[test]
    fn no_odd_key_panics(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        let signer = signer();
        let odd = merged(signer.jwk(), json!({"x": URL_SAFE_NO_PAD.encode(&bytes), "y": ""}));
        let token = signer.token(&ada()).unwrap();
        let told = block_on(async { verifier(&[odd]).verify(&token).await });
        prop_assert!(told.is_err());
    }
}
