//! The validated settings of a run, and where their values come from. Everything that can be wrong
//! with them is found before any request.

mod base_url;
pub(crate) mod config_file;
pub(crate) mod layers;
pub(crate) mod lookup;
mod origin;
mod point_in_time;
mod secret_file;
mod state;
mod tenant_name;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;

pub(crate) use self::base_url::base_url;
use self::lookup::Names;
pub(crate) use self::origin::{EffectiveOption, Origin};
pub(crate) use self::point_in_time::PointInTime;
pub(crate) use self::state::default_ledger;
pub(crate) use self::tenant_name::TenantName;
use crate::failure::{Failure, FailureKind};
use crate::http;
use crate::recorded_future;

/// The time range that was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestedSpan {
    /// The last N hours (1 to 8760), and the time that earlier runs missed.
    Hours(u32),
    /// Exactly this range.
    Exact {
        /// The start, inclusive.
        since: PointInTime,
        /// The end, exclusive; the start of the run if there is none.
        until: Option<PointInTime>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LedgerChoice {
    /// The ledger in this file.
    File {
        path: PathBuf,
        /// Whether it is in the state folder, which a run creates.
        in_state_folder: bool,
    },
    /// There is no ledger.
    None,
}

impl LedgerChoice {
    /// Returns the path of the ledger.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::None => None,
        }
    }
}

/// The mode of a run: what it does with the selected indicators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Sends them and stores the result.
    Live,
    /// Sends them with `options.debug`: Recorded Future validates but does not store them.
    Debug,
    /// Prints them.
    DryRun,
}

impl Mode {
    /// Returns the name of the mode in the JSON document and the ledger.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Debug => "debug",
            Self::DryRun => "dry-run",
        }
    }
}

/// The settings of a run that do not depend on the source.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Settings {
    pub tenant: TenantName,
    /// Whether the tenant's customer may be another one than before.
    pub adopt: bool,
    pub recorded_future: recorded_future::Config,
    pub span: RequestedSpan,
    /// The maximum span that a run catches up.
    pub max_catch_up: TimeDelta,
    /// Whether spans that no run read are given up.
    pub accept_gap: bool,
    /// The file of indicators that are never sent.
    pub exclusion_file: Option<PathBuf>,
    /// The maximum number of submissions per request, at least 1.
    pub batch_size: usize,
    /// The maximum number of submissions per UTC day; `None` for no limit.
    pub daily_limit: Option<u64>,
    /// The maximum run time.
    pub deadline: Duration,
    pub network: http::NetworkOptions,
    /// Whether alerts that an analyst dismissed are left out.
    pub skip_dismissed: bool,
    /// Whether indicators that were delivered before are sent again.
    pub resend: bool,
    /// The use of the selected indicators.
    pub mode: Mode,
    pub ledger: LedgerChoice,
    /// Whether and how to wait for another run that has the ledger locked.
    pub wait: Option<LockWait>,
}

/// The options for waiting for another run that has the ledger locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockWait {
    /// The maximum wait.
    pub limit: Duration,
    /// Whether it says so on the terminal.
    pub announce: bool,
}

/// Returns the failure of a setting whose value is not valid.
pub(crate) fn invalid_setting(names: &Names, reason: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("{names} is not valid: {reason}"),
        "Correct it and run again. No request was made.",
    )
}
