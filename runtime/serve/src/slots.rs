//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Who connects; `None` for Unix sockets and standard input.
pub(crate) type Peer = Option<IpAddr>;

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
