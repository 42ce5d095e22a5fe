//! Where the tools that speak with a running Daybook find it.

use clap::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where Daybook is.
#[derive(Args, Clone, Debug, Default)]
pub struct ApiArguments {
    /// Where Daybook is. Without it, where DAYBOOK_HTTP says that it serves HTTP, else http://127.0.0.1:8080.
    #[arg(long, env = "DAYBOOK_URL")]
    pub url: Option<String>,
}

impl ApiArguments {
    /// The URL: as it is stated, or that of the address which `daybook run` takes from the same environment.
    pub fn url(&self) -> String {
        url(self.url.as_deref(), std::env::var("DAYBOOK_HTTP").ok().as_deref())
    }
}

/// An empty text is as none: a variable that is set to nothing says nothing.
fn url(stated: Option<&str>, served: Option<&str>) -> String {
    let said = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let served = || said(served).map(|address| format!("http://{}", address.parse().map_or(address, reachable)));
    said(stated).or_else(served).unwrap_or_else(|| "http://127.0.0.1:8080".to_owned())
}

/// Who serves on every address of its machine is reached on the loopback one.
fn reachable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port()).to_string()
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn a_client_finds_the_daybook_of_its_environment() {
        assert_eq!(url(None, None), "http://127.0.0.1:8080");
        assert_eq!(url(None, Some("127.0.0.1:9000")), "http://127.0.0.1:9000");
        assert_eq!(url(None, Some("0.0.0.0:9000")), "http://127.0.0.1:9000");
        assert_eq!(url(None, Some("[::]:9000")), "http://[::1]:9000");
        assert_eq!(url(None, Some("shop.example:9000")), "http://shop.example:9000");
        assert_eq!(url(Some("https://shop.example"), Some("127.0.0.1:9000")), "https://shop.example");
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        assert_eq!(url(Some(""), Some("127.0.0.1:9000")), "http://127.0.0.1:9000");
        assert_eq!(url(Some(" "), Some("")), "http://127.0.0.1:8080");
    }
}
