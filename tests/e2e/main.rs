//! End-to-end tests: the real binary against the sandbox, over real HTTP on loopback.

mod first_light;
mod generate;
mod history;
mod support;
