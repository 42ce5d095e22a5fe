//! Places that callers take, with a share for each: a caller who takes many leaves some to the others.

use axum::{extract::Request, http::Extensions};
use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A caller may hold at most so many times what is free. So one caller alone gets 8/9 of a pool, two that want all get 8/17 each, and
/// whoever comes next still finds a place.
const SHARE: usize = 8;
/// Callers are counted in so many groups, by a hash that nobody outside can foretell: the count needs no lock and no memory for each.
const GROUPS: usize = 1024;
/// The part of an IPv6 address that names a network: one caller has as many addresses in it as it likes.
const NETWORK: u128 = !0 << 64;

/// Who counts as one caller: the address that a connection comes from. A request without one (in a test) counts as a caller by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallerKey(Option<IpAddr>);

impl CallerKey {
    /// The caller at this address.
    pub fn at(address: IpAddr) -> Self {
        Self(Some(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address @ IpAddr::V4(_) => address,
        }))
    }

    /// The caller of a request, as its connection stored it.
    pub fn of(request: &Request) -> Self {
        request.extensions().get().copied().unwrap_or(Self(None))
    }

    /// Stores the caller with a request.
    pub fn store(self, extensions: &mut Extensions) {
        extensions.insert(self);
    }
}

/// A bounded number of places.
pub(super) struct Pool {
    used: AtomicUsize,
    groups: Box<[AtomicUsize]>,
    hash: RandomState,
}

impl Pool {
    pub fn new() -> Self {
        Self { used: AtomicUsize::new(0), groups: (0..GROUPS).map(|_| AtomicUsize::new(0)).collect(), hash: RandomState::new() }
    }

    /// How many places are taken.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether the caller could take one more of so many places.
    pub fn has_room(&self, capacity: usize, caller: CallerKey) -> bool {
        fits(capacity, self.used(), self.group(caller).load(Ordering::Relaxed))
    }

    /// Takes a place, where the pool and the caller's share of it leave one. Whoever takes it must [leave](Self::leave).
    pub fn enter(&self, capacity: usize, caller: CallerKey) -> bool {
        let group = self.group(caller);
        let (used, own) = (self.used.fetch_add(1, Ordering::Relaxed), group.fetch_add(1, Ordering::Relaxed));
        let enters = fits(capacity, used, own);
        if !enters {
            self.leave(caller);
        }
        enters
    }

    /// Gives a place back; answers how many were taken.
    pub fn leave(&self, caller: CallerKey) -> usize {
        self.group(caller).fetch_sub(1, Ordering::Relaxed);
        self.used.fetch_sub(1, Ordering::Relaxed)
    }

    fn group(&self, caller: CallerKey) -> &AtomicUsize {
        &self.groups[self.hash.hash_one(caller) as usize % GROUPS]
    }
}

fn fits(capacity: usize, used: usize, own: usize) -> bool {
    used < capacity && own < (capacity - used).saturating_mul(SHARE)
}

/// Places of one pool that a caller holds until this is dropped.
pub(super) struct Places<P: AsRef<Pool>> {
    pool: P,
    caller: CallerKey,
    held: usize,
}

impl<P: AsRef<Pool>> Places<P> {
    /// None yet.
    pub fn none(pool: P, caller: CallerKey) -> Self {
        Self { pool, caller, held: 0 }
    }

    /// One, where there is one.
    pub fn one(pool: P, capacity: usize, caller: CallerKey) -> Option<Self> {
        let mut places = Self::none(pool, caller);
        places.hold(1, capacity).then_some(places)
    }

    /// Takes places until it holds so many; false where there are not as many.
    pub fn hold(&mut self, wanted: usize, capacity: usize) -> bool {
        while self.held < wanted && self.pool.as_ref().enter(capacity, self.caller) {
            self.held += 1;
        }
        self.held >= wanted
    }

    /// How many it holds.
    pub fn held(&self) -> usize {
        self.held
    }
}

impl<P: AsRef<Pool>> Drop for Places<P> {
    fn drop(&mut self) {
        for _ in 0..self.held {
            self.pool.as_ref().leave(self.caller);
        }
    }
}

impl AsRef<Pool> for Pool {
    fn as_ref(&self) -> &Pool {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn caller(address: &str) -> CallerKey {
        CallerKey::at(address.parse().unwrap())
    }

    fn takes_all(pool: &Pool, capacity: usize, caller: CallerKey) -> usize {
        (0..capacity).take_while(|_| pool.enter(capacity, caller)).count()
    }

    /// Callers that are counted in groups of their own, whatever this pool's hash is.
    fn strangers(pool: &Pool) -> [CallerKey; 4] {
        let mut groups = HashSet::new();
        let callers = (1..=255).map(|number| caller(&format!("10.0.0.{number}")));
        let apart: Vec<_> = callers.filter(|caller| groups.insert(std::ptr::from_ref(pool.group(*caller)))).take(4).collect();
        apart.try_into().unwrap()
    }

    #[test]
    fn who_takes_all_leaves_a_place_to_the_next() {
        let pool = Pool::new();
        let [first, second, third, fourth] = strangers(&pool);
        let taken = [first, second, third].map(|caller| takes_all(&pool, 900, caller));
        assert_eq!(taken, [800, 89, 10]);
        assert!(pool.has_room(900, fourth) && !pool.has_room(900, first));
        for _ in 0..800 {
            pool.leave(first);
        }
        assert_eq!(pool.used(), 99);
        assert!(pool.enter(900, second), "there is room again");
    }

    #[test]
    fn a_pool_is_never_more_than_full() {
        let pool = Pool::new();
        assert!(pool.enter(1, caller("10.0.0.1")));
        assert!(!pool.enter(1, caller("10.0.0.2")));
        assert_eq!(pool.used(), 1);
    }

    #[test]
    fn the_addresses_of_one_network_are_one_caller() {
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:2"));
        assert_ne!(caller("2001:db8::1"), caller("2001:db8:0:1::1"));
        assert_eq!(caller("::ffff:10.0.0.1"), caller("10.0.0.1"));
        assert_ne!(caller("10.0.0.1"), caller("10.0.0.2"));
    }
}
