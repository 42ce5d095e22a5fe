//! Who may call a node: the settings, and what follows from them.

use crate::{
    Failure, HostPort, System,
    settings::{http_url, whole, yes_or_no},
};
use access::{HttpKeys, Issuer, Verifier, WrongSetting, simulated::Simulated};
use clap::{Args, ValueEnum};
use command_api::edge::Guard;
use std::{net::IpAddr, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The word that lets strangers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Open {
    /// Whoever reaches HTTP may do everything, and the operator knows it.
    IKnow,
}

/// Who may call a node.
#[derive(Args, Clone)]
pub struct CallerArguments {
    /// The OpenID Connect issuer whose access tokens callers must bring, `https://host/path`. Without it nobody is asked who they are, and
    /// HTTP is served on this machine only.
    #[arg(long, env = "DAYBOOK_OIDC_ISSUER", hide_env_values = true, value_parser = issuer_url)]
    pub oidc_issuer: Option<String>,
    /// What tokens for this API have as their audience.
    #[arg(long, env = "DAYBOOK_OIDC_AUDIENCE", default_value = "daybook", value_parser = audience)]
    pub oidc_audience: String,
    /// The claim that lists the caller's roles, as a path: `realm_access.roles`. Default: that one, and `roles`.
    #[arg(long, env = "DAYBOOK_OIDC_ROLES", value_parser = role_claims)]
    pub oidc_roles: Option<String>,
    /// Seconds by which the issuer's clock may differ from this one's.
    #[arg(long, env = "DAYBOOK_OIDC_LEEWAY", default_value_t = 30, value_parser = whole::<u64>("seconds", 0..=300, 30))]
    pub oidc_leeway: u64,
    /// This API's own address, as its callers know it. Default: where HTTP is served.
    #[arg(long, env = "DAYBOOK_PUBLIC_URL", value_parser = http_url)]
    pub public_url: Option<String>,
    /// Ask callers for tokens of a simulated issuer, which this process runs on 127.0.0.1: it gives a token of any role to whoever asks.
    #[arg(long, env = "DAYBOOK_SECURE", value_parser = yes_or_no, num_args = 0..=1, default_missing_value = "yes")]
    pub secure: Option<bool>,
    /// The port of the simulated issuer.
    #[arg(long, env = "DAYBOOK_ISSUER_PORT", default_value_t = 9400, value_parser = whole::<u16>("", 0..=65_535, 9400))]
    pub issuer_port: u16,
    /// `i-know`: serve HTTP beyond this machine, and ask nobody who they are.
    #[arg(long, env = "DAYBOOK_OPEN")]
    pub open: Option<Open>,
}

/// An issuer that stands for the settings that are not being parsed.
const ANY_ISSUER: &str = "https://id.example.com";

fn issuer_url(text: &str) -> Result<String, String> {
    let must = "must be the address of an issuer, such as https://id.example.com/realms/shop";
    Issuer::new(text.trim(), "daybook").map(|_| text.trim().to_owned()).map_err(|error| format!("{must}: {}", bare(&error)))
}

fn audience(text: &str) -> Result<String, String> {
    let must = "must be what tokens have as their audience, such as daybook";
    Issuer::new(ANY_ISSUER, text.trim()).map(|_| text.trim().to_owned()).map_err(|error| format!("{must}: {}", bare(&error)))
}

fn role_claims(text: &str) -> Result<String, String> {
    let must = "must be the claims that list roles, such as realm_access.roles,roles";
    let parsed = Issuer::new(ANY_ISSUER, "daybook").and_then(|issuer| issuer.with_roles(text.trim()));
    parsed.map(|_| text.trim().to_owned()).map_err(|error| format!("{must}: {}", bare(&error)))
}

/// The rule without the variable's name, which the refusal gives itself.
fn bare(error: &WrongSetting) -> String {
    let text = error.to_string();
    text.split_once(' ').map_or(text.clone(), |(_, rule)| rule.trim_start_matches("must be ").to_owned())
}

impl CallerArguments {
    /// True where callers are asked for tokens.
    pub(crate) fn asks(&self) -> bool {
        self.oidc_issuer.is_some() || self.secure == Some(true)
    }

    /// Refuses to let strangers in by accident, and settings that contradict each other.
    ///
    /// # Errors
    /// Which ones, and what to set instead.
    pub(crate) fn check(&self, system: &System, http: &HostPort) -> Result<(), Failure> {
        if let Some(url) = &self.oidc_issuer {
            self.checked(url)?;
        }
        if self.oidc_issuer.is_some() && self.secure == Some(true) {
            return Err(Failure::usage(
                "DAYBOOK_OIDC_ISSUER and DAYBOOK_SECURE (--secure) exclude each other: the latter starts an issuer of its own",
            ));
        }
        if self.asks() && system.policy().is_empty() {
            return Err(Failure::usage(format!(
                "{} does not say who may what, so it cannot ask for tokens: unset DAYBOOK_OIDC_ISSUER and DAYBOOK_SECURE",
                system.name()
            )));
        }
        if self.asks() && self.open.is_some() {
            return Err(Failure::usage(
                "DAYBOOK_OPEN asks nobody who they are, and DAYBOOK_OIDC_ISSUER or DAYBOOK_SECURE asks everybody: unset one of them",
            ));
        }
        if self.oidc_issuer.is_some() || self.open == Some(Open::IKnow) || is_loopback(http) {
            return Ok(());
        }
        if self.asks() {
            return Err(Failure::usage(format!(
                "DAYBOOK_SECURE (--secure) has an issuer that gives any role to whoever asks on this machine, and HTTP would be served at {http}, \
                 beyond it: set DAYBOOK_OIDC_ISSUER, or listen on 127.0.0.1"
            )));
        }
        Err(Failure::usage(format!(
            "HTTP would be served at {http}, beyond this machine, and everybody who reaches it could do everything: set DAYBOOK_OIDC_ISSUER, \
             or listen on 127.0.0.1, or say DAYBOOK_OPEN=i-know"
        )))
    }
}

fn is_loopback(address: &HostPort) -> bool {
    address.host == "localhost" || address.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The guard of a node's HTTP, and the line in which its start says who may call.
pub(crate) struct Callers {
    pub guard: Guard,
    pub greeting: String,
}

impl Callers {
    /// Begins to read the issuer's keys; where a simulated issuer is wanted, starts it first.
    ///
    /// # Errors
    /// The port of the simulated issuer is taken, or a setting is wrong.
    pub async fn start(
        system: &System,
        arguments: &CallerArguments,
        http: &TcpListener,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let Some(url) = arguments.issuer(system, stop).await? else {
            let greeting = match arguments.open {
                Some(Open::IKnow) => "open mode (DAYBOOK_OPEN=i-know): whoever reaches this node may do everything",
                None => "open mode: nobody is asked who they are, so only this machine is served (--secure asks for tokens)",
            };
            return Ok(Self { guard: Guard::open(), greeting: greeting.to_owned() });
        };
        let issuer = arguments.checked(&url)?;
        let keys = HttpKeys::new(&issuer, access::system_authorities()).map_err(Failure::failed)?;
        let address = http.local_addr().map_err(Failure::failed)?;
        let public_url = arguments.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let greeting = match arguments.secure {
            Some(true) => simulated_greeting(system, &url),
            Some(false) | None => format!("callers need an access token of {url} for {}", arguments.oidc_audience),
        };
        let guard = Guard::asking(Verifier::start(issuer, keys), system.policy().clone(), public_url);
        Ok(Self { guard, greeting })
    }
}

impl CallerArguments {
    /// The issuer of this URL, as the settings have it.
    fn checked(&self, url: &str) -> Result<Issuer, Failure> {
        let wrong = |error: WrongSetting| Failure::usage(error.to_string());
        let issuer = Issuer::new(url, &self.oidc_audience)
            .and_then(|issuer| issuer.with_leeway(Duration::from_secs(self.oidc_leeway)))
            .map_err(wrong)?;
        match &self.oidc_roles {
            Some(claims) => issuer.with_roles(claims).map_err(wrong),
            None => Ok(issuer),
        }
    }

    /// The issuer's URL; none in open mode.
    async fn issuer(&self, system: &System, stop: &CancellationToken) -> Result<Option<String>, Failure> {
        if self.secure != Some(true) {
            return Ok(self.oidc_issuer.clone());
        }
        let address = HostPort { host: "127.0.0.1".to_owned(), port: self.issuer_port };
        let in_use = |error| Failure::in_use("the simulated issuer", &address, &error, "DAYBOOK_ISSUER_PORT");
        let listener = TcpListener::bind(address.pair()).await.map_err(in_use)?;
        let issuer = Simulated::new(listener, &self.oidc_audience, system.policy().roles()).map_err(Failure::failed)?;
        let url = issuer.url().to_owned();
        let end = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(error) = issuer.serve(end).await {
                tracing::error!(%error, "the simulated issuer has ended");
            }
        });
        Ok(Some(url))
    }
}

fn simulated_greeting(system: &System, url: &str) -> String {
    let roles = system.policy().roles().join(", ");
    format!(
        "callers need an access token. The issuer on {url} is simulated, and gives one to whoever asks on this machine; the roles are {roles}:\n\
         TOKEN=$(curl -s {url}/token -d grant_type=client_credentials -d sub=ada -d role=customer | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])')"
    )
}
