//! Conversations with scripted name servers, in virtual time.
