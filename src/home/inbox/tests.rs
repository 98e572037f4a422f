//! The inbox: literal conversations, and a seeded model.
