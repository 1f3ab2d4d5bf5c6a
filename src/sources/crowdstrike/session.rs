//! Signing in to Falcon, staying signed in, and finding the right cloud.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::form_urlencoded;

use super::cloud::Cloud;
use super::{Address, Settings, refusal, wire};
use crate::failure::{Failure, Kind};
use crate::http::{Answer, Broken, Call, Http, Reply};
use crate::logging::redaction;

/// How long a token is good when the answer does not say (it always did).
const USUAL_LIFETIME: Duration = Duration::from_secs(1799);
/// How long before its end a token is renewed.
const RENEW_EARLY: Duration = Duration::from_mins(2);

/// A signed-in client of one Falcon cloud.
#[derive(Debug)]
pub(super) struct Session {
    http: Http,
    settings: Settings,
    base: Url,
    may_move: bool,
    token: Option<Token>,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

impl Session {
    /// A session that signs in when it is first used.
    pub fn new(http: &Http, settings: &Settings) -> Self {
        let may_move = matches!(settings.address, Address::Discover(_));
        Self {
            http: http.clone(),
            settings: settings.clone(),
            base: settings.address.base().clone(),
            may_move,
            token: None,
        }
    }

    /// The host that is talked to.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or("CrowdStrike")
    }

    /// Posts JSON to a path and reads the answer. A 401 leads to one new sign-in and one repeat, no
    /// more: with a bad token the limit is 15 requests a minute.
    pub async fn post<T>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        read: impl Fn(&Answer) -> Result<T, Broken>,
    ) -> Result<Reply<T>, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Failure::new(
                Kind::Unexpected,
                format!("a request could not be written as JSON: {error}"),
                "Report this.",
            )
        })?;
        let mut renewed = false;
        loop {
            let authorization = self.authorization().await?;
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (AUTHORIZATION, authorization),
            ];
            let call = self.call(path, headers, body.clone())?;
            match self.http.send(&call, &read).await.map_err(super::trouble)? {
                Reply::Refused(answer) if answer.status.as_u16() == 401 && !renewed => {
                    tracing::info!(
                        "CrowdStrike no longer takes the access token: signing in again"
                    );
                    self.token = None;
                    renewed = true;
                }
                reply => return Ok(reply),
            }
        }
    }

    async fn authorization(&mut self) -> Result<HeaderValue, Failure> {
        match &self.token {
            Some(token) if Instant::now() < token.renew_at => Ok(token.header.clone()),
            _ => {
                let token = self.sign_in().await?;
                let header = token.header.clone();
                self.token = Some(token);
                Ok(header)
            }
        }
    }

    /// Signs in, and moves to the account's own cloud where that may be discovered: once.
    async fn sign_in(&mut self) -> Result<Token, Failure> {
        let answer = match self.request_token().await? {
            Reply::Refused(answer) => {
                match self.other_cloud(answer.header("location").and_then(Cloud::from_location)) {
                    Some(cloud) if answer.status.as_u16() == 308 => {
                        self.move_to(cloud)?;
                        self.request_token().await?
                    }
                    _ => Reply::Refused(answer),
                }
            }
            reply @ Reply::Success(_) => reply,
        };
        match answer {
            Reply::Success((token, region)) => {
                if let Some(cloud) = self.other_cloud(region) {
                    self.move_to(cloud)?;
                }
                Ok(token)
            }
            Reply::Refused(answer) => Err(refusal::sign_in(&answer, self.host())),
        }
    }

    async fn request_token(&self) -> Result<Reply<(Token, Option<Cloud>)>, Failure> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", self.settings.client_id.expose_secret());
        form.append_pair("client_secret", self.settings.client_secret.expose_secret());
        if let Some(member) = &self.settings.member_cid {
            form.append_pair("member_cid", member);
        }
        let headers = [(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        )];
        let call = self.call("oauth2/token", headers, form.finish().into_bytes())?;
        self.http
            .send(&call, |answer| {
                let region = answer.header("x-cs-region").and_then(Cloud::from_region);
                Ok((read_token(answer)?, region))
            })
            .await
            .map_err(super::trouble)
    }

    fn other_cloud(&self, cloud: Option<Cloud>) -> Option<Cloud> {
        cloud
            .filter(|cloud| self.may_move && cloud.is_discoverable() && self.host() != cloud.host())
    }

    fn move_to(&mut self, cloud: Cloud) -> Result<(), Failure> {
        tracing::info!(
            "the account lives in CrowdStrike's cloud {}: going on there",
            cloud.name()
        );
        self.base = super::cloud_base(cloud)?;
        self.may_move = false;
        Ok(())
    }

    fn call(
        &self,
        path: &str,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        body: Vec<u8>,
    ) -> Result<Call, Failure> {
        let url = self.base.join(path).map_err(|error| {
            Failure::new(
                Kind::Configuration,
                format!("{} is no usable base URL: {error}", self.base),
                "Check --base-url (CS_BASE_URL).",
            )
        })?;
        Ok(Call {
            method: Method::POST,
            url,
            headers: HeaderMap::from_iter(headers),
            body,
        })
    }
}

/// A success without a token is broken, not a sign-in.
fn read_token(answer: &Answer) -> Result<Token, Broken> {
    let token: wire::Token =
        serde_json::from_slice(&answer.body).map_err(|error| Broken::json(&error))?;
    let secret = SecretString::from(
        token
            .access_token
            .ok_or_else(|| Broken("it holds no access token".into()))?,
    );
    redaction::remember(&secret);
    let mut header = HeaderValue::try_from(format!("Bearer {}", secret.expose_secret()))
        .map_err(|_| Broken("its access token holds characters that no header can carry".into()))?;
    header.set_sensitive(true);
    let lifetime = token.expires_in.map_or(USUAL_LIFETIME, Duration::from_secs);
    // A token shorter than the usual head start is still used for half of its time.
    let good_for = lifetime.saturating_sub(RENEW_EARLY).max(lifetime / 2);
    Ok(Token {
        header,
        renew_at: Instant::now()
            .checked_add(good_for)
            .unwrap_or_else(Instant::now),
    })
}
