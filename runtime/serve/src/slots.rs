//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Who connects; `None` for Unix sockets and standard input.
pub(crate) type Peer = Option<IpAddr>;

/// Whom limits count an address to: IPv6 gives a host a network of 2^64 addresses to connect from, so all of these are one. Link-local ones
/// share theirs with every other host of the link, and an IPv4 address in IPv6's clothes is that address.
pub(crate) fn peer(address: IpAddr) -> Peer {
    const HOSTS: u32 = 64;
    Some(match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_unicast_link_local() && !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> HOSTS << HOSTS).into(),
        address => address,
    })
}

/// Counts connections.
#[derive(Clone)]
pub(crate) struct Slots {
    taken: Arc<Mutex<HashMap<Peer, usize>>>,
    most: usize,
    most_per_peer: usize,
}

/// A connection's place; free again when dropped.
pub(crate) struct Slot {
    taken: Arc<Mutex<HashMap<Peer, usize>>>,
    peer: Peer,
}

impl Slots {
    pub(crate) fn new(most: usize, most_per_peer: usize) -> Self {
        Self { taken: Arc::default(), most, most_per_peer }
    }

    /// A place for one more connection of `peer`, if there is one.
    pub(crate) fn take(&self, peer: Peer) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&peer).copied().unwrap_or(0);
        if own >= self.most_per_peer || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(peer, own + 1);
        Some(Slot { taken: Arc::clone(&self.taken), peer })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.peer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => _ = taken.remove(&self.peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_host_is_one_peer() {
        let of = |text: &str| peer(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("fe80::1"), of("fe80::2"));
        assert_eq!(of("::ffff:10.0.0.1"), Some([10, 0, 0, 1].into()));
        assert_eq!(of("::1"), Some(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn one_address_cannot_take_all() {
        let slots = Slots::new(3, 2);
        let (a, b) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        let held = [slots.take(a), slots.take(a)];
        assert!(held.iter().all(Option::is_some) && slots.take(a).is_none());
        let other = slots.take(b);
        assert!(other.is_some() && slots.take(None).is_none());
        drop(held);
        assert!(slots.take(a).is_some());
        drop(other);
        assert!(slots.take(None).is_some());
    }
}
