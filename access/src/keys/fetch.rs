//! What reads an issuer's keys; what may go wrong with it.

use super::KeySet;

/// Reads an issuer's keys as they are now.
pub trait FetchKeys: Send + Sync + 'static {
    /// The keys, or why there are none.
    fn fetch(&self) -> impl Future<Output = Result<KeySet, Unfetched>> + Send;
}

/// Why an issuer's keys could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfetched {
    /// Nobody answered, not in time, or not with 200.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What came of it.
        reason: String,
    },
    /// What was answered is not what it should be.
    #[error("the issuer's answer cannot be used: {0}")]
    Unreadable(&'static str),
    /// Another issuer answered: its keys are not the setting's.
    #[error(
        "the issuer calls itself {told:?} in its metadata, and DAYBOOK_OIDC_ISSUER calls it {expected:?}: they must be the same to the letter"
    )]
    OtherIssuer {
        /// What it calls itself.
        told: String,
        /// What the setting calls it.
        expected: String,
    },
}

impl Unfetched {
    /// A short name, for metrics' labels.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Unfetched::Unreachable { .. } => "unreachable",
            Unfetched::Unreadable(_) => "unreadable",
            Unfetched::OtherIssuer { .. } => "other-issuer",
        }
    }
}
