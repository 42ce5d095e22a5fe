//! Where the API of a running system is, and the token that it asks for.

use crate::settings::{HostPort, host_port, http_url};
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// An access token, as the value of its header. It is not shown.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

/// The errors do not repeat the token.
fn token(text: &str) -> Result<Token, String> {
    let must = "must be an access token, such as eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl: visible ASCII characters";
    let text = Some(text.trim()).filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic())).ok_or(must)?;
    let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| must)?;
    value.set_sensitive(true);
    Ok(Token(value))
}

/// Where the API of a running system is.
#[derive(Args, Clone)]
pub struct ApiArguments {
    /// Where Daybook is, `http://host:port`. Default: this machine, at the port of `DAYBOOK_HTTP`, or 8080.
    #[arg(long, env = "DAYBOOK_URL", hide_env_values = true, value_parser = http_url)]
    url: Option<String>,
    /// Where HTTP is served, by the setting of the node.
    #[arg(long, env = "DAYBOOK_HTTP", hide = true, default_value = "127.0.0.1:8080", value_parser = host_port)]
    http: HostPort,
    /// The access token that every request bears, where Daybook asks for one. Rather in the variable: arguments are seen by everybody on
    /// the machine.
    #[arg(long, env = "DAYBOOK_TOKEN", hide_env_values = true, value_parser = token)]
    token: Option<Token>,
}

impl ApiArguments {
    /// The API's address, without a slash at its end.
    pub fn url(&self) -> String {
        self.url.clone().unwrap_or_else(|| format!("http://{}", self.http.reachable()))
    }

    /// True where a token is set.
    pub fn bears_token(&self) -> bool {
        self.token.is_some()
    }

    /// The headers that every request bears: the token, where one is set.
    pub fn headers(&self) -> HeaderMap {
        self.token.iter().map(|Token(value)| (AUTHORIZATION, value.clone())).collect()
    }
}
