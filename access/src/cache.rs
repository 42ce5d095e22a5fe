//! Tokens that were verified a moment ago: a token that is shown again costs a hash instead of a signature.

use crate::{Principal, token::Verified};
use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The most tokens that are remembered; the one that was not shown for the longest is forgotten first. Each takes about 1 KiB.
const TOKENS_BOUND: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// A token's hash: the token itself is nowhere kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// The principals of verified tokens. Only tokens that hold come in, so that nobody fills it with rubbish.
pub(crate) struct VerifiedTokens {
    entries: Mutex<LruCache<TokenHash, Entry>>,
    leeway: Duration,
}

struct Entry {
    principal: Arc<Principal>,
    /// The keys that verified it; others verify it anew, since its own may be withdrawn.
    generation: u64,
    expires: u64,
}

impl VerifiedTokens {
    pub(crate) fn new(leeway: Duration) -> Self {
        Self { entries: Mutex::new(LruCache::new(TOKENS_BOUND)), leeway }
    }

    /// The token's principal, if keys of this generation verified it and it has not expired.
    pub(crate) fn get(&self, token: &TokenHash, generation: u64, now: SystemTime) -> Option<Arc<Principal>> {
        let mut entries = self.entries.lock();
        let entry = entries.get(token)?;
        if entry.generation == generation && self.is_current(entry, now) {
            return Some(entry.principal.clone());
        }
        entries.pop(token);
        None
    }

    pub(crate) fn put(&self, token: TokenHash, generation: u64, verified: Verified) -> Arc<Principal> {
        let principal = Arc::new(verified.principal);
        let entry = Entry { principal: principal.clone(), generation, expires: verified.expires };
        self.entries.lock().put(token, entry);
        principal
    }

    fn is_current(&self, entry: &Entry, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        now <= entry.expires.saturating_add(self.leeway.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn verified(expires: u64) -> Verified {
        let (roles, scopes) = (BTreeSet::new(), BTreeSet::new());
        let principal = Principal { issuer: "i".to_owned(), subject: "ada".to_owned(), roles, scopes, client: None, acting: None };
        Verified { principal, expires }
    }

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn a_token_is_known_until_it_ends() {
        let tokens = VerifiedTokens::new(Duration::from_secs(30));
        let token = TokenHash::of("a.b.c");
        tokens.put(token, 1, verified(1000));
        assert!(tokens.get(&token, 1, at(1030)).is_some());
        assert!(tokens.get(&token, 1, at(1031)).is_none());
        assert!(tokens.get(&token, 1, at(1000)).is_none(), "what has ended is forgotten");
        assert!(tokens.get(&TokenHash::of("a.b.d"), 1, at(0)).is_none());
    }

    #[test]
    fn other_keys_verify_anew() {
        let tokens = VerifiedTokens::new(Duration::ZERO);
        let token = TokenHash::of("a.b.c");
        tokens.put(token, 1, verified(1000));
        assert!(tokens.get(&token, 2, at(0)).is_none());
    }

    #[test]
    fn tokens_are_bounded() {
        let tokens = VerifiedTokens::new(Duration::ZERO);
        for number in 0..TOKENS_BOUND.get() + 1 {
            tokens.put(TokenHash::of(&number.to_string()), 1, verified(u64::MAX));
        }
        assert_eq!(tokens.entries.lock().len(), TOKENS_BOUND.get());
        assert!(tokens.get(&TokenHash::of("0"), 1, at(0)).is_none());
        assert!(tokens.get(&TokenHash::of("1"), 1, at(0)).is_some());
    }
}
