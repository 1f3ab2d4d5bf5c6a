//! Falcon's sign-in: `POST /oauth2/token`

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    FalconState, POWERED_BY_GATEWAY, POWERED_BY_SIGN_IN, error_response, random_hex, trace_id,
    with_headers, wrong_method,
};
use crate::handler::{Request, Response};
use crate::world::FalconWorld;

/// The message of the real service for a wrong secret.
const WRONG_SECRET: &str = "Failed to issue access token - Client authentication failed (e.g., unknown client, \
    no client authentication included, or unsupported authentication method)";
/// Its message for an unknown client, followed by the client id.
const UNKNOWN_CLIENT: &str = "Failed to generate access token for clientID=";
const NOT_ALLOWED: &str = "access denied, authorization failed";

/// An access token that was issued.
#[derive(Debug)]
pub(super) struct AccessToken {
    expires: Instant,
    /// Valid until a test invalidates all tokens, which increases the epoch of the world.
    epoch: u64,
    alerts_read: bool,
    client_id: String,
    /// The child account (CID) whose alerts it can read; `None` for all of the client's.
    member_cid: Option<String>,
}

/// Issues a token, redirects to another region, or rejects the request.
pub(crate) fn sign_in(
    world: &FalconWorld,
    state: &mut FalconState,
    request: &Request<'_>,
) -> Response {
    if request.method != "POST" {
        return wrong_method(world);
    }
    let invalid =
        |reason: &str| error_response(world, 400, POWERED_BY_SIGN_IN, "invalid request", reason);
    if !request.is_content_type("application/x-www-form-urlencoded") {
        return invalid("Content-Type must be application/x-www-form-urlencoded");
    }
    let (mut id, mut secret, mut member) = (None, None, None);
    for (key, value) in form_urlencoded::parse(request.body) {
        let slot = match key.as_ref() {
            "client_id" => &mut id,
            "client_secret" => &mut secret,
            "member_cid" => &mut member,
            _ => return invalid("only client_id, client_secret and member_cid are supported"),
        };
        if value.is_empty() || slot.replace(value.into_owned()).is_some() {
            return invalid("a key is empty or duplicate");
        }
    }
    let id = id.unwrap_or_default();
    let Some(account) = world.accounts.iter().find(|account| account.client_id == id) else {
        let message = format!("{UNKNOWN_CLIENT}{id}");
        let response = error_response(world, 400, POWERED_BY_SIGN_IN, &message, "unknown client");
        let status = if world.unknown_client_as_500 { 500 } else { response.status };
        return Response { status, ..response };
    };
    if secret.as_ref() != Some(&account.client_secret) {
        return error_response(world, 403, POWERED_BY_SIGN_IN, WRONG_SECRET, "wrong secret");
    }
    if !account.address_allowed {
        return error_response(
            world,
            403,
            POWERED_BY_GATEWAY,
            NOT_ALLOWED,
            "the address is not allowed",
        );
    }
    if member.as_ref().is_some_and(|cid| !account.member_cids.contains(cid)) {
        return error_response(world, 403, POWERED_BY_SIGN_IN, NOT_ALLOWED, "no such member_cid");
    }
    if let Some(location) = &world.redirect {
        return Response { status: 308, ..Response::default() }.header("Location", location);
    }
    let token = random_hex();
    let entry = AccessToken {
        expires: Instant::now() + Duration::from_secs(world.token_lifetime),
        epoch: world.access_token_epoch,
        alerts_read: account.alerts_read,
        client_id: account.client_id.clone(),
        member_cid: member,
    };
    let body =
        json!({"access_token": token, "expires_in": world.token_lifetime, "token_type": "bearer"});
    state.access_tokens.insert(token, entry);
    with_headers(Response::json(201, body.to_string()), world, &trace_id())
        .header("X-Cs-Region", &world.region)
}

/// Checks the `Authorization` header of a request against the tokens that were issued. Returns the
/// child account that the token is limited to, if any.
pub(super) fn authorize(
    world: &FalconWorld,
    state: &FalconState,
    request: &Request<'_>,
) -> Result<Option<String>, Response> {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let known = token.and_then(|token| state.access_tokens.get(token));
    let valid = known
        .filter(|token| token.epoch == world.access_token_epoch && Instant::now() < token.expires);
    let Some(token) = valid else {
        let reason = "the token is unknown or has expired";
        return Err(error_response(
            world,
            401,
            POWERED_BY_GATEWAY,
            "access denied, invalid bearer token",
            reason,
        ));
    };
    let account = world.accounts.iter().find(|account| account.client_id == token.client_id);
    if !token.alerts_read {
        return Err(error_response(
            world,
            403,
            POWERED_BY_GATEWAY,
            NOT_ALLOWED,
            "the scope Alerts: READ is missing",
        ));
    }
    if account.is_some_and(|account| !account.address_allowed) {
        return Err(error_response(
            world,
            403,
            POWERED_BY_GATEWAY,
            NOT_ALLOWED,
            "the address is not allowed",
        ));
    }
    Ok(token.member_cid.clone())
}
