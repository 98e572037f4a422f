//! Streams of accounts on other networks: to local sockets, and with TLS that begins in the middle (RFC 6120 §5.4).

use super::{Network, Phase, StreamState, StreamUser};
use crate::base::limits::ACCOUNTS;
use crate::base::net::{Stream, Transport};
use crate::base::time::Instant;

impl Network {
    /// Begins a stream to the local socket of an account.
    pub fn connect_local(&mut self, now: Instant, user: StreamUser) -> Option<Stream> {
        let stream = self.vacant_stream()?;
        let (phase, vacant) = (Phase::ToConnect, StreamState::vacant());
        self.begin(stream, StreamState { phase, user, is_local: true, active_at: now, ..vacant });
        Some(stream)
    }

    /// Has TLS begin on a stream of an account, once what it has to send is sent. Until it is up nothing is read from it,
    /// and nothing more is taken to be sent. Whether that can be: it is up, and plain TCP.
    pub fn start_tls(&mut self, now: Instant, stream: Stream) -> bool {
        let Some(state) = self.stream_mut(stream) else { return false };
        let can_be = state.phase == Phase::Open
            && state.transport == Transport::Tcp
            && state.user.is_account()
            && !state.is_local
            && !state.domain.is_empty();
        if can_be {
            (state.phase, state.active_at) = (Phase::ToSecure, now);
            state.partial_since = None;
        }
        can_be
    }

    /// TLS is up on a stream.
    pub fn secured(&mut self, now: Instant, stream: Stream) {
        let Some(state) = self.stream_mut(stream) else { return };
        state.is_secured = true;
        state.transport = Transport::Tls;
        if state.phase == Phase::Securing {
            (state.phase, state.active_at) = (Phase::Open, now);
            state.is_flush_due = state.out.is_some();
        }
    }

    /// The accounts have other numbers now. Connections of those that are gone are closed; `changed` is told their slots.
    pub fn renumber_accounts(&mut self, moved: &[Option<usize>; ACCOUNTS], mut changed: impl FnMut(usize)) {
        for (index, state) in self.streams.iter_mut().enumerate() {
            let StreamUser::Account { account, link } = state.user else { continue };
            let moved = moved.get(usize::from(account)).copied().flatten();
            // Nobody's from now on, though it may take a moment until it is gone.
            state.user = StreamUser::Account { account: moved.map_or(NO_ACCOUNT, |moved| moved as u8), link };
            if moved.is_none() && state.is_usable() {
                state.phase = Phase::ToClose;
                changed(index);
            }
        }
    }
}

/// There is no account with this number.
const NO_ACCOUNT: u8 = u8::MAX;
const _: () = assert!(ACCOUNTS <= NO_ACCOUNT as usize);
