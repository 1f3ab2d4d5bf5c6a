//! End-to-end tests: the real binary against the sandbox, over real HTTP on loopback.

mod first_light;
mod halving;
mod kill;

mod oracle;
mod retries;
mod support;
