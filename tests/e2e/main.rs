//! End-to-end tests: the real binary against the sandbox, over real HTTP on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop where it is"
)]

mod first_light;
mod readme;
mod support;
