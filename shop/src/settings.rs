//! The shop's settings, beyond those of every system.

use clap::Args;
use std::time::Duration;

/// The shop's own settings.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The payment gateway. Without it, a simulated one is started.
    #[arg(long, env = "DAYBOOK_GATEWAY_URL")]
    pub gateway_url: Option<String>,
    /// A mail server, `smtp://host:port`. Without it, messages become files in the data directory.
    #[arg(long, env = "DAYBOOK_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// The sender of the messages.
    #[arg(long, env = "DAYBOOK_MAIL_FROM", default_value = Settings::MAIL_FROM)]
    pub mail_from: String,
    /// Seconds that an order may take to be confirmed before it expires.
    #[arg(long, env = "DAYBOOK_ORDER_DEADLINE", default_value_t = Settings::ORDER_DEADLINE, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub order_deadline: u64,
}

impl Settings {
    const MAIL_FROM: &str = "Daybook <shop@daybook.example>";
    const ORDER_DEADLINE: u64 = 900;

    /// How long an order may take from being placed to being confirmed.
    pub fn order_deadline(&self) -> Duration {
        Duration::from_secs(self.order_deadline)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { gateway_url: None, smtp_url: None, mail_from: Self::MAIL_FROM.to_owned(), order_deadline: Self::ORDER_DEADLINE }
    }
}
