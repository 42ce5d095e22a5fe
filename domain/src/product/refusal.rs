use super::{Product, Stock};
use crate::{
    Currency, Money, Quantity, Refusal, Sku,
    reservation::{FORGONE, Holder, UNRESERVED},
};

/// Why a product's command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProductRefusal {
    /// Nobody has listed a product under this identity.
    #[error("the product does not exist: list it first")]
    Unknown,
    /// The identity is taken.
    #[error("the product is already listed, as sku {sku}: an identity is listed once")]
    AlreadyListed {
        /// The stock-keeping unit that it is listed as.
        sku: Sku,
    },
    /// The product is out of the catalogue for good.
    #[error("the product is withdrawn: it can only be shipped or released where it was reserved")]
    Withdrawn,
    /// A product keeps the currency that it was listed in.
    #[error("price: must be in {}, the currency of the product, is in {}", listed.as_str(), given.as_str())]
    CurrencyMismatch {
        /// The currency of the product.
        listed: Currency,
        /// The currency of the command.
        given: Currency,
    },
    /// The price is out of range.
    #[error("price: must be from 0 to {} minor units, is {amount}", Money::MAX)]
    InvalidPrice {
        /// Minor units.
        amount: i64,
    },
    /// The quantity is out of range.
    #[error("quantity: must be from 1 to {}, is {pieces}", Quantity::MAX)]
    InvalidQuantity {
        /// Pieces.
        pieces: i64,
    },
    /// The stock would exceed its limit.
    #[error("quantity: at most {} pieces may be in stock, {on_hand} are and {received} more were to come", Stock::MAX)]
    TooMuchStock {
        /// Pieces that the command would add.
        received: i64,
        /// Pieces in stock.
        on_hand: i64,
    },
    /// Another product is listed as this stock-keeping unit.
    #[error("is the stock-keeping unit of a listed product already: each unit has one product")]
    SkuTaken,
    /// The command bears no reservation of its stock-keeping unit.
    #[error("must be reserved first: a node of an earlier version has sent this, send it again")]
    Unreserved,
    /// The product has forgone the reservation.
    #[error("its reservation was given up meanwhile: reserve it again")]
    Forgone,
}

impl Refusal for ProductRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-product",
            Self::AlreadyListed { .. } => "already-listed",
            Self::Withdrawn => "withdrawn-product",
            Self::CurrencyMismatch { .. } => "currency-mismatch",
            Self::InvalidPrice { .. } => "invalid-price",
            Self::InvalidQuantity { .. } => "invalid-quantity",
            Self::TooMuchStock { .. } => "too-much-stock",
            Self::SkuTaken => Product::TAKEN,
            Self::Unreserved => UNRESERVED,
            Self::Forgone => FORGONE,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::AlreadyListed { .. } | Self::Withdrawn => None,
            Self::CurrencyMismatch { .. } | Self::InvalidPrice { .. } => Some("price"),
            Self::InvalidQuantity { .. } | Self::TooMuchStock { .. } => Some("quantity"),
            Self::SkuTaken | Self::Unreserved | Self::Forgone => Some("sku"),
        }
    }

    fn is_not_found(&self) -> bool {
        *self == Self::Unknown
    }
}
