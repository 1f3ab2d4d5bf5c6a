//! The sign-in to Falcon: access tokens, their renewal, and the discovery of the account's cloud.

use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::cloud::Cloud;
use super::errors::VENDOR;
use super::wire::TokenResponse;
use super::{Address, Config, errors};
use crate::failure::Failure;
use crate::http::{self, Http, MalformedBody, Reply, Response};
use crate::redact;
use crate::sources::request;

/// The lifetime of a token whose response does not have one; all responses seen so far have one.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(1799);
/// A token is renewed this long before it expires, or after half of its lifetime if that is later.
const RENEW_EARLY: Duration = Duration::from_mins(2);

/// A client that is signed in to one Falcon cloud, shared by concurrent requests.
#[derive(Debug)]
pub(super) struct Session {
    http: Http,
    settings: Config,
    state: Mutex<SessionState>,
}

#[derive(Debug)]
struct SessionState {
    base: Url,
    /// Whether a sign-in may switch to the account's cloud.
    region_discovery: bool,
    token: Option<AccessToken>,
    /// The number of sign-ins, so that several requests with the same rejected token lead to one
    /// new sign-in.
    sign_ins: u64,
}

#[derive(Debug)]
struct AccessToken {
    header: HeaderValue,
    renew_at: Instant,
}

/// The parts of a session that a request needs.
struct Authorization {
    base: Url,
    header: HeaderValue,
    /// The number of the sign-in that returned the token.
    sign_in: u64,
}

impl Session {
    /// Creates a session that signs in when it is first used.
    pub(super) fn new(http: &Http, settings: &Config) -> Self {
        let region_discovery = matches!(settings.address, Address::Discover(_));
        let base = settings.address.base().clone();
        let state = SessionState { base, region_discovery, token: None, sign_ins: 0 };
        Self { http: http.clone(), settings: settings.clone(), state: Mutex::new(state) }
    }

    /// Posts JSON to a path and reads the response. After a 401 it signs in again and repeats the
    /// request, once only: Falcon allows 15 requests per minute with rejected tokens.
    pub(super) async fn post<T>(
        &self,
        path: &str,
        body: &impl Serialize,
        read: impl Fn(&Response) -> Result<T, MalformedBody>,
    ) -> Result<Reply<T>, Failure> {
        let body = request::json_body(body)?;
        let mut rejected = None;
        loop {
            let authorization = self.authorize(rejected).await?;
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (AUTHORIZATION, authorization.header),
            ];
            let request = request::post(&authorization.base, path, headers, body.clone());
            match request::send(&self.http, VENDOR, &request, &read).await? {
                Reply::Rejected(response)
                    if response.status.as_u16() == 401 && rejected.is_none() =>
                {
                    tracing::info!("{VENDOR} rejected the access token: signing in again");
                    rejected = Some(authorization.sign_in);
                }
                reply => return Ok(reply),
            }
        }
    }

    /// Returns a valid token, signing in if necessary. `rejected` is the number of the sign-in
    /// whose token was rejected.
    async fn authorize(&self, rejected: Option<u64>) -> Result<Authorization, Failure> {
        // Locked during the sign-in, so that concurrent requests wait for it instead of their own.
        let mut state = self.state.lock().await;
        if rejected == Some(state.sign_ins) {
            state.token = None;
        }
        let header = match &state.token {
            Some(token) if Instant::now() < token.renew_at => token.header.clone(),
            _ => {
                let token = self.sign_in(&mut state).await?;
                let header = token.header.clone();
                state.token = Some(token);
                state.sign_ins += 1;
                header
            }
        };
        Ok(Authorization { base: state.base.clone(), header, sign_in: state.sign_ins })
    }

    /// Signs in, and switches to the account's cloud once if it may be discovered.
    async fn sign_in(&self, state: &mut SessionState) -> Result<AccessToken, Failure> {
        let mut reply = self.request_token(&state.base).await?;
        if let Reply::Rejected(response) = &reply
            && response.status.as_u16() == 308
            && let Some(cloud) =
                state.discovered_cloud(response.header("location").and_then(Cloud::from_location))
        {
            state.switch_cloud(cloud)?;
            reply = self.request_token(&state.base).await?;
        }
        let host = state.base.host_str().unwrap_or(VENDOR);
        let (token, region) =
            request::accepted(reply, |response| errors::sign_in_rejected(response, host))?;
        if let Some(cloud) = state.discovered_cloud(region) {
            state.switch_cloud(cloud)?;
        }
        Ok(token)
    }

    fn sign_in_form(&self) -> Vec<u8> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", self.settings.client_id.expose_secret());
        form.append_pair("client_secret", self.settings.client_secret.expose_secret());
        if let Some(member) = &self.settings.member_cid {
            form.append_pair("member_cid", member);
        }
        form.finish().into_bytes()
    }

    /// Returns a token, and the cloud that the response names as the account's.
    async fn request_token(
        &self,
        base: &Url,
    ) -> Result<Reply<(AccessToken, Option<Cloud>)>, Failure> {
        let headers =
            [(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
        let request = request::post(base, "oauth2/token", headers, self.sign_in_form())
            .without_retry_if(errors::rejects_credentials);
        request::send(&self.http, VENDOR, &request, |response| {
            let region = response.header("x-cs-region").and_then(Cloud::from_region);
            Ok((access_token(response)?, region))
        })
        .await
    }
}

impl SessionState {
    /// Returns the cloud to switch to, if it is another one and may be discovered.
    fn discovered_cloud(&self, cloud: Option<Cloud>) -> Option<Cloud> {
        cloud.filter(|cloud| {
            self.region_discovery
                && cloud.is_discoverable()
                && self.base.host_str() != Some(cloud.host())
        })
    }

    fn switch_cloud(&mut self, cloud: Cloud) -> Result<(), Failure> {
        tracing::info!(
            cloud = cloud.name(),
            "the {VENDOR} account belongs to another cloud: continuing there"
        );
        self.base = super::cloud_base(cloud)?;
        self.region_discovery = false;
        Ok(())
    }
}

/// Reads the token of a successful sign-in; without one the response is malformed.
fn access_token(response: &Response) -> Result<AccessToken, MalformedBody> {
    let token: TokenResponse = response.json()?;
    let secret = SecretString::from(
        token.access_token.ok_or_else(|| MalformedBody("it has no access token".into()))?,
    );
    redact::register_secret(&secret);
    let header =
        http::secret_header(&format!("Bearer {}", secret.expose_secret())).map_err(|_| {
            MalformedBody(
                "its access token contains characters that are not allowed in an HTTP header"
                    .into(),
            )
        })?;
    let lifetime = token.expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs);
    // A token with a lifetime shorter than twice RENEW_EARLY is used for half of it.
    let valid_for = lifetime.saturating_sub(RENEW_EARLY).max(lifetime / 2);
    Ok(AccessToken {
        header,
        renew_at: Instant::now().checked_add(valid_for).unwrap_or_else(Instant::now),
    })
}
