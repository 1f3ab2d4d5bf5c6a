//! The validated settings of a run, and where their values come from. What this machine can find
//! wrong with them is found before any request.

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
    /// The last N hours (1 to 8760), extended back to two hours before the checkpoint, as far as
    /// the limit for catching up allows.
    Hours(u32),
    /// Exactly this range.
    Exact {
        /// The start, inclusive.
        since: PointInTime,
        /// The end, exclusive; the start of the run if there is none.
        until: Option<PointInTime>,
    },
}

/// Whether a run has a ledger, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LedgerChoice {
    /// The ledger in this file.
    File {
        path: PathBuf,
        /// Whether this is the default path. A run creates the state folder, but no other.
        in_state_folder: bool,
    },
    /// `--no-ledger`.
    None,
}

impl LedgerChoice {
    /// Returns the path of the ledger; `None` if there is none.
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
    /// Prints them, and sends nothing.
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
    /// Whether the alerts may belong to a customer id that differs from the one in the ledger.
    pub adopt: bool,
    pub recorded_future: recorded_future::Config,
    pub span: RequestedSpan,
    /// The maximum span that a run catches up.
    pub max_catch_up: TimeDelta,
    /// Whether the gaps of the tenant are given up, including one that this run leaves.
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
    pub mode: Mode,
    pub ledger: LedgerChoice,
    /// How to wait while another run has the ledger locked; `None` to fail at once.
    pub wait: Option<LockWait>,
}

/// How a run waits while another one has the ledger locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockWait {
    /// The maximum wait.
    pub limit: Duration,
    /// Whether a message on the terminal says that the run waits.
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
