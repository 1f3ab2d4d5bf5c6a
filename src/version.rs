//! The version of this program, the commit that it was built from, and the target it was built for.

use std::env::consts::{ARCH, OS};

/// The version, for example `0.1.0`.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit as the build of the packages names it in `COLLECTIVE_INSIGHTS_COMMIT`, or `unknown`.
pub(crate) const COMMIT: &str = match option_env!("COLLECTIVE_INSIGHTS_COMMIT") {
    Some(commit) if !commit.is_empty() => commit,
    _ => "unknown",
};

/// Returns version, commit and target, for example
/// `0.1.0 (commit 0123456789ab, x86_64-unknown-linux-musl)`.
pub(crate) fn long() -> String {
    format!("{VERSION} (commit {COMMIT}, {})", target())
}

/// Returns the target as rustc names it. It is put together here, because cargo passes it to build
/// scripts only.
pub(crate) fn target() -> String {
    let environment = if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "gnu") {
        "-gnu"
    } else if cfg!(target_env = "msvc") {
        "-msvc"
    } else {
        ""
    };
    let system = match OS {
        "macos" => "apple-darwin",
        "windows" => "pc-windows",
        system => return format!("{ARCH}-unknown-{system}{environment}"),
    };
    format!("{ARCH}-{system}{environment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_named_as_rustc_names_it() {
        let rustc = std::process::Command::new("rustc").arg("-vV").output().unwrap();
        let rustc = String::from_utf8(rustc.stdout).unwrap();
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        // The tests are built for the host, unless another target is chosen.
        if std::env::var_os("CARGO_BUILD_TARGET").is_none() {
            assert_eq!(target(), host);
        }
    }

    #[test]
    fn the_long_version_is_one_line_that_begins_with_the_version() {
        let long = long();
        assert!(long.starts_with(&format!("{VERSION} (commit ")), "{long}");
        assert!(long.ends_with(&format!(", {})", target())), "{long}");
        assert_eq!(long.lines().count(), 1);
    }
}
