//! Whose tokens are taken: the settings of an issuer, checked.

use crate::NAME_BOUND;
use std::time::Duration;
use url::{Host, Url};

/// The longest difference between our clock and the issuer's that is allowed for.
const LEEWAY_BOUND: Duration = Duration::from_secs(300);

/// Keycloak's place for a realm's roles, and the plain claim that others use.
const USUAL_ROLES: [&str; 2] = ["realm_access.roles", "roles"];

/// An OpenID Connect issuer, and what its access tokens must say to be taken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    url: String,
    audience: String,
    roles: Vec<RoleClaim>,
    leeway: Duration,
}

/// A setting that cannot be followed: names the variable, the rule and the bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongSetting {
    /// The issuer's URL.
    #[error("DAYBOOK_OIDC_ISSUER: {0}")]
    Issuer(#[from] WrongUrl),
    /// The audience.
    #[error("DAYBOOK_OIDC_AUDIENCE must be 1 to {NAME_BOUND} visible ASCII characters, as in the tokens' `aud`")]
    Audience,
    /// The claims that roles stand in.
    #[error(
        "DAYBOOK_OIDC_ROLES must be claims separated by commas, each by its names with dots between (`realm_access.roles`) or as a JSON pointer (`/realm_access/roles`)"
    )]
    Roles,
    /// The difference between clocks.
    #[error("DAYBOOK_OIDC_LEEWAY must be 0 to {} seconds", LEEWAY_BOUND.as_secs())]
    Leeway,
}

/// Why a URL is not one that keys or tokens may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongUrl {
    /// It is no URL, or too long.
    #[error("the URL must be absolute, of 1 to {NAME_BOUND} visible ASCII characters")]
    NotAbsolute,
    /// Anybody on the way could answer in the issuer's place.
    #[error("the URL must begin with https:// (http:// is for localhost, 127.0.0.0/8 and ::1 only)")]
    NotSecret,
    /// It has parts that an issuer's URL never has.
    #[error("the URL must have neither user, password, query nor fragment")]
    Extra,
}

impl Issuer {
    /// The issuer at `url`, spelled exactly as its tokens' `iss`, whose tokens must be for `audience`.
    pub fn new(url: &str, audience: &str) -> Result<Self, WrongSetting> {
        checked_url(url)?;
        if !is_name(audience) {
            return Err(WrongSetting::Audience);
        }
        let roles = USUAL_ROLES.iter().filter_map(|claim| RoleClaim::parse(claim)).collect();
        Ok(Self { url: url.to_owned(), audience: audience.to_owned(), roles, leeway: Duration::from_secs(30) })
    }

    /// Reads roles from these claims (`DAYBOOK_OIDC_ROLES`) instead of `realm_access.roles` and `roles`.
    pub fn with_roles(mut self, claims: &str) -> Result<Self, WrongSetting> {
        self.roles = claims.split(',').map(|claim| RoleClaim::parse(claim.trim())).collect::<Option<_>>().ok_or(WrongSetting::Roles)?;
        Ok(self)
    }

    /// Allows for clocks that differ by this much (`DAYBOOK_OIDC_LEEWAY`, 30 seconds unless said).
    pub fn with_leeway(mut self, leeway: Duration) -> Result<Self, WrongSetting> {
        if leeway > LEEWAY_BOUND {
            return Err(WrongSetting::Leeway);
        }
        self.leeway = leeway;
        Ok(self)
    }

    /// The issuer's URL, as its tokens spell it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whom its tokens must be for.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// How much clocks may differ.
    pub fn leeway(&self) -> Duration {
        self.leeway
    }

    /// Where OpenID Connect Discovery has the issuer's metadata.
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/'))
    }

    pub(crate) fn role_claims(&self) -> &[RoleClaim] {
        &self.roles
    }
}

/// A claim that roles stand in, as the JSON pointer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleClaim(String);

impl RoleClaim {
    fn parse(claim: &str) -> Option<Self> {
        let pointer = match claim.strip_prefix('/') {
            Some(_) => claim.to_owned(),
            None => claim.split('.').flat_map(|name| ["/", name]).collect(),
        };
        let is_whole = pointer.split('/').skip(1).all(|name| !name.is_empty());
        is_whole.then_some(Self(pointer))
    }

    pub(crate) fn pointer(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BOUND).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A URL that tokens may name as their issuer.
fn checked_url(text: &str) -> Result<Url, WrongUrl> {
    let url = secret_url(text)?;
    let has_extra = !url.username().is_empty() || url.password().is_some() || text.contains(['?', '#']);
    if has_extra { Err(WrongUrl::Extra) } else { Ok(url) }
}

/// A URL whose answer nobody on the way can change: by https, or on this machine.
pub(crate) fn secret_url(text: &str) -> Result<Url, WrongUrl> {
    let url = Url::parse(text).ok().filter(|_| is_name(text)).ok_or(WrongUrl::NotAbsolute)?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(WrongUrl::NotSecret),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> Result<(), WrongSetting> {
        Issuer::new(url, "daybook").map(|_| ())
    }

    #[test]
    fn an_issuer_is_reached_by_https_or_on_this_machine() {
        for good in
            ["https://id.example/realms/shop", "https://id.example/", "http://localhost:8180", "http://127.0.0.7:1", "http://[::1]:8180/x"]
        {
            assert_eq!(told(good), Ok(()), "{good}");
        }
        for plain in ["http://id.example", "http://localhost.example", "http://10.0.0.1", "ftp://id.example", "file:///etc/passwd"] {
            assert_eq!(told(plain), Err(WrongUrl::NotSecret.into()), "{plain}");
        }
        let long = format!("https://id.example/{}", "x".repeat(NAME_BOUND));
        for none in ["", "id.example", "/realms/shop", "https://", "https://id.example/a b", "https://id.example/é", &long] {
            assert_eq!(told(none), Err(WrongUrl::NotAbsolute.into()), "{none}");
        }
        for extra in [
            "https://me:secret@id.example",
            "https://me@id.example",
            "https://id.example/?a=b",
            "https://id.example/#a",
            "https://id.example?",
        ] {
            assert_eq!(told(extra), Err(WrongUrl::Extra.into()), "{extra}");
        }
    }

    #[test]
    fn what_is_wrong_names_the_variable_and_no_secret() {
        let text = told("http://me:secret@id.example").unwrap_err().to_string();
        assert!(text.starts_with("DAYBOOK_OIDC_ISSUER") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn metadata_stand_below_the_issuer() {
        for url in ["https://id.example/realms/shop", "https://id.example/realms/shop/"] {
            let issuer = Issuer::new(url, "daybook").unwrap();
            assert_eq!(issuer.discovery_url(), "https://id.example/realms/shop/.well-known/openid-configuration");
            assert_eq!(issuer.url(), url);
        }
    }

    #[test]
    fn an_audience_is_a_name() {
        for audience in ["", "a b", &"a".repeat(NAME_BOUND + 1)] {
            assert_eq!(Issuer::new("https://id.example", audience), Err(WrongSetting::Audience));
        }
    }

    #[test]
    fn roles_stand_where_the_setting_says() {
        let issuer = Issuer::new("https://id.example", "daybook").unwrap();
        let pointers = |issuer: &Issuer| issuer.role_claims().iter().map(|claim| claim.pointer().to_owned()).collect::<Vec<_>>();
        assert_eq!(pointers(&issuer), ["/realm_access/roles", "/roles"]);
        let told = issuer.clone().with_roles("resource_access.shop.roles, /https:~1~1shop.example~1roles").unwrap();
        assert_eq!(pointers(&told), ["/resource_access/shop/roles", "/https:~1~1shop.example~1roles"]);
        for wrong in ["", "roles,", "a..b", ".", "/"] {
            assert_eq!(issuer.clone().with_roles(wrong), Err(WrongSetting::Roles), "{wrong}");
        }
    }

    #[test]
    fn clocks_may_differ_by_a_bounded_time() {
        let issuer = Issuer::new("https://id.example", "daybook").unwrap();
        assert_eq!(issuer.leeway(), Duration::from_secs(30));
        assert_eq!(issuer.clone().with_leeway(LEEWAY_BOUND).map(|told| told.leeway()), Ok(LEEWAY_BOUND));
        assert_eq!(issuer.with_leeway(LEEWAY_BOUND + Duration::from_secs(1)), Err(WrongSetting::Leeway));
    }
}
