//! Signing in to Falcon, staying signed in, and finding the right cloud.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::cloud::Cloud;
use super::{Address, Settings, errors, wire};
use crate::failure::{Failure, FailureKind};
use crate::http::{Http, MalformedBody, Reply, Request, Response};
use crate::redact;

/// How long a token is good when the answer does not say (it always did).
const USUAL_LIFETIME: Duration = Duration::from_secs(1799);
/// How long before its end a token is renewed.
const RENEW_EARLY: Duration = Duration::from_mins(2);

/// A signed-in client of one Falcon cloud, shared by the requests that go side by side.
#[derive(Debug)]
pub(super) struct Session {
    http: Http,
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    base: Url,
    region_discovery: bool,
    token: Option<Token>,
    /// Counts sign-ins, so that several requests whose token was refused lead to one new sign-in.
    sign_ins: u64,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

/// What a request needs of the session: where to, with which token, and of which sign-in that is.
struct Authorization {
    base: Url,
    header: HeaderValue,
    sign_in: u64,
}

impl Session {
    /// A session that signs in when it is first used.
    pub fn new(http: &Http, settings: &Settings) -> Self {
        let region_discovery = matches!(settings.address, Address::Discover(_));
        let base = settings.address.base().clone();
        let state = Mutex::new(State { base, region_discovery, token: None, sign_ins: 0 });
        Self { http: http.clone(), settings: settings.clone(), state }
    }

    /// Posts JSON to a path and reads the response. A 401 leads to one new sign-in and one repeat, no
    /// more: with a bad token the limit is 15 requests a minute.
    pub async fn post<T>(
        &self,
        path: &str,
        body: &impl Serialize,
        read: impl Fn(&Response) -> Result<T, MalformedBody>,
    ) -> Result<Reply<T>, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Failure::new(
                FailureKind::Unexpected,
                format!("a request could not be written as JSON: {error}"),
                "Report this.",
            )
        })?;
        let mut refused = None;
        loop {
            let pass = self.authorize(refused).await?;
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (AUTHORIZATION, pass.header),
            ];
            let request = request(&pass.base, path, headers, body.clone())?;
            match self.http.send(&request, &read).await.map_err(super::trouble)? {
                Reply::Rejected(response)
                    if response.status.as_u16() == 401 && refused.is_none() =>
                {
                    tracing::info!(
                        "CrowdStrike no longer takes the access token: signing in again"
                    );
                    refused = Some(pass.sign_in);
                }
                reply => return Ok(reply),
            }
        }
    }

    /// A pass with a good token, not of the sign-in that was refused.
    async fn authorize(&self, refused: Option<u64>) -> Result<Authorization, Failure> {
        // Held while signing in: whoever comes meanwhile waits for that one sign-in.
        let mut state = self.state.lock().await;
        if refused == Some(state.sign_ins) {
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

    /// Signs in, and moves to the account's own cloud where that may be discovered: once.
    async fn sign_in(&self, state: &mut State) -> Result<Token, Failure> {
        let mut reply = self.request_token(&state.base).await?;
        if let Reply::Rejected(response) = &reply
            && response.status.as_u16() == 308
            && let Some(cloud) =
                state.discovered_cloud(response.header("location").and_then(Cloud::from_location))
        {
            state.switch_cloud(cloud)?;
            reply = self.request_token(&state.base).await?;
        }
        match reply {
            Reply::Success((token, region)) => {
                if let Some(cloud) = state.discovered_cloud(region) {
                    state.switch_cloud(cloud)?;
                }
                Ok(token)
            }
            Reply::Rejected(response) => {
                Err(errors::sign_in(&response, state.base.host_str().unwrap_or("CrowdStrike")))
            }
        }
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

    async fn request_token(&self, base: &Url) -> Result<Reply<(Token, Option<Cloud>)>, Failure> {
        let headers =
            [(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
        let request = request(base, "oauth2/token", headers, self.sign_in_form())?;
        self.http
            .send(&request, |response| {
                let region = response.header("x-cs-region").and_then(Cloud::from_region);
                Ok((read_token(response)?, region))
            })
            .await
            .map_err(super::trouble)
    }
}

impl State {
    fn discovered_cloud(&self, cloud: Option<Cloud>) -> Option<Cloud> {
        cloud.filter(|cloud| {
            self.region_discovery
                && cloud.is_discoverable()
                && self.base.host_str() != Some(cloud.host())
        })
    }

    fn switch_cloud(&mut self, cloud: Cloud) -> Result<(), Failure> {
        tracing::info!("the account lives in CrowdStrike's cloud {}: going on there", cloud.name());
        self.base = super::cloud_base(cloud)?;
        self.region_discovery = false;
        Ok(())
    }
}

fn request(
    base: &Url,
    path: &str,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    body: Vec<u8>,
) -> Result<Request, Failure> {
    let url = base.join(path).map_err(|error| {
        Failure::new(
            FailureKind::Configuration,
            format!("{base} is no usable base URL: {error}"),
            "Check --base-url (CS_BASE_URL).",
        )
    })?;
    Ok(Request { method: Method::POST, url, headers: HeaderMap::from_iter(headers), body })
}

/// A success without a token is broken, not a sign-in.
fn read_token(response: &Response) -> Result<Token, MalformedBody> {
    let token: wire::Token =
        serde_json::from_slice(&response.body).map_err(|error| MalformedBody::json(&error))?;
    let secret = SecretString::from(
        token.access_token.ok_or_else(|| MalformedBody("it holds no access token".into()))?,
    );
    redact::register_secret(&secret);
    let mut header =
        HeaderValue::try_from(format!("Bearer {}", secret.expose_secret())).map_err(|_| {
            MalformedBody("its access token holds characters that no header can carry".into())
        })?;
    header.set_sensitive(true);
    let lifetime = token.expires_in.map_or(USUAL_LIFETIME, Duration::from_secs);
    // A token shorter than the usual head start is still used for half of its time.
    let good_for = lifetime.saturating_sub(RENEW_EARLY).max(lifetime / 2);
    Ok(Token {
        header,
        renew_at: Instant::now().checked_add(good_for).unwrap_or_else(Instant::now),
    })
}
