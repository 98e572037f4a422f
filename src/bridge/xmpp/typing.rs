//! Who types (XEP-0085): states go only to who has sent one, and only changes are told.

use heapless::Vec;

/// People whose states are followed. More: the one who was first heard of is forgotten, and gets no states until he
/// sends one.
pub const PEERS: usize = 8;

/// Those who send chat states.
pub struct Peers(Vec<Peer, PEERS>);

struct Peer {
    /// A hash of the bare JID.
    who: u32,
    types: bool,
}

impl Peers {
    /// Nobody.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Somebody sends a state: whether it is a change.
    pub fn heard(&mut self, who: u32, types: bool) -> bool {
        if let Some(peer) = self.0.iter_mut().find(|peer| peer.who == who) {
            return core::mem::replace(&mut peer.types, types) != types;
        }
        if self.0.is_full() {
            self.0.remove(0);
        }
        // There is room.
        let _ = self.0.push(Peer { who, types });
        types
    }

    /// Whether somebody understands states.
    pub fn knows(&self, who: u32) -> bool {
        self.0.iter().any(|peer| peer.who == who)
    }

    /// Nobody types any more: the connection is gone.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let mut peers = Peers::new();
        assert!(!peers.heard(1, false) && peers.heard(1, true) && !peers.heard(1, true) && peers.heard(1, false));
        assert!(peers.knows(1) && !peers.knows(2));
        (2..2 + PEERS as u32).for_each(|who| assert!(peers.heard(who, true)));
        assert!(!peers.knows(1) && peers.knows(2));
    }
}
