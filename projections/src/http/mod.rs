//! The building blocks of a service's queries over HTTP. Handlers are thin, since the rows are the answers.
//!
//! A handler takes a [`ReadState`] and the parsed request ([`Asked`]), and answers a row ([`tagged`]), a page ([`List`]) or a row as it was
//! ([`AsItWas`]).

mod as_it_was;
mod asked;
mod at_least;
mod current;
mod dead_letters;
mod letter;
mod page;
mod state;
mod strong;
mod tagged;

pub use as_it_was::AsItWas;
pub use asked::{Asked, Consistency};
pub use current::{current, not_parked};
pub use dead_letters::{LetterBox, letter_routes};
pub use page::{List, Page, PageParams};
pub use state::ReadState;
pub use strong::settle;
pub use tagged::{ReadHeaders, tagged};

pub use crate::shown::{rfc3339, shown};
