//! Falcon's clouds and the addresses of their APIs.

use reqwest::Url;

/// One of CrowdStrike's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(super) enum Cloud {
    /// The first commercial cloud, and the default.
    #[value(name = "us-1")]
    Us1,
    /// The second commercial cloud.
    #[value(name = "us-2")]
    Us2,
    /// The third commercial cloud.
    #[value(name = "us-3")]
    Us3,
    /// The European cloud.
    #[value(name = "eu-1")]
    Eu1,
    /// The first government cloud.
    #[value(name = "us-gov-1")]
    UsGov1,
    /// The second government cloud.
    #[value(name = "us-gov-2")]
    UsGov2,
}

impl Cloud {
    const ALL: [Self; 6] = [Self::Us1, Self::Us2, Self::Us3, Self::Eu1, Self::UsGov1, Self::UsGov2];

    /// Returns its name on the command line and in `X-Cs-Region`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Us1 => "us-1",
            Self::Us2 => "us-2",
            Self::Us3 => "us-3",
            Self::Eu1 => "eu-1",
            Self::UsGov1 => "us-gov-1",
            Self::UsGov2 => "us-gov-2",
        }
    }

    /// Returns the host of its API.
    pub(super) const fn host(self) -> &'static str {
        match self {
            Self::Us1 => "api.crowdstrike.com",
            Self::Us2 => "api.us-2.crowdstrike.com",
            Self::Us3 => "api.us-3.crowdstrike.com",
            Self::Eu1 => "api.eu-1.crowdstrike.com",
            Self::UsGov1 => "api.laggar.gcw.crowdstrike.com",
            Self::UsGov2 => "api.us-gov-2.crowdstrike.mil",
        }
    }

    /// Returns the cloud that the header `X-Cs-Region` of a sign-in names.
    pub(super) fn from_region(region: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cloud| cloud.name().eq_ignore_ascii_case(region.trim()))
    }

    /// Returns the cloud of this name, written with hyphens, underscores or neither, in any case.
    pub(super) fn from_any_spelling(name: &str) -> Option<Self> {
        let bare = |name: &str| name.trim().to_ascii_lowercase().replace(['-', '_'], "");
        Self::ALL.into_iter().find(|cloud| bare(cloud.name()) == bare(name))
    }

    /// Returns the cloud that the header `Location` of a redirected sign-in points to: one of the
    /// known hosts over HTTPS, or `None`. The secret is sent nowhere else.
    pub(super) fn from_location(location: &str) -> Option<Self> {
        let url = Url::parse(location).ok()?;
        let plain = url.scheme() == "https" && url.port().is_none() && url.username().is_empty();
        let host = url.host_str().filter(|_| plain)?;
        Self::ALL.into_iter().find(|cloud| cloud.host() == host)
    }

    /// Whether a sign-in to another cloud can lead to this one. Government clouds cannot be
    /// discovered.
    pub(super) const fn is_discoverable(self) -> bool {
        !matches!(self, Self::UsGov1 | Self::UsGov2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_hosts_are_accepted_as_a_location() {
        assert_eq!(
            Cloud::from_location("https://api.us-2.crowdstrike.com/oauth2/token"),
            Some(Cloud::Us2)
        );
        for location in [
            "http://api.us-2.crowdstrike.com/oauth2/token",
            "https://api.us-2.crowdstrike.com.evil.example/oauth2/token",
            "https://api.us-2.crowdstrike.com:8443/oauth2/token",
            "https://x@api.us-2.crowdstrike.com/oauth2/token",
            "https://evil.example/?https://api.us-2.crowdstrike.com",
            "/oauth2/token",
            "",
        ] {
            assert_eq!(Cloud::from_location(location), None, "{location}");
        }
    }

    #[test]
    fn regions_are_case_insensitive() {
        assert_eq!(Cloud::from_region(" US-2 "), Some(Cloud::Us2));
        assert_eq!(Cloud::from_region("mars-1"), None);
    }
}
