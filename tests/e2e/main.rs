//! End-to-end tests: the real binary against the sandbox, over real HTTP on loopback.

mod first_light;
mod halving;
mod kill;
mod machine;
mod nights;
mod oracle;
mod paging;
mod retries;
mod support;
mod tenants;
mod tending;
