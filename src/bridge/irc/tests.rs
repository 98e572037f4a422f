//! Conversations with servers.
