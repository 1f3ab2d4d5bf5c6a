//! `POST /oauth2/token`

use std::time::{Duration, Instant};

use serde_json::json;

use super::{ACCOUNTS, GATEWAY, Memory, random_hex, refused, trace_id, with_headers, wrong_method};
use crate::handler::{Answer, Asked};
use crate::world::FalconWorld;

const BAD_CLIENT: &str = "Failed to issue access token - Client authentication failed (e.g., unknown client, \
    no client authentication included, or unsupported authentication method)";
const NOT_ALLOWED: &str = "access denied, authorization failed";

/// An access token that was given out.
#[derive(Debug)]
pub(super) struct Token {
    expires: Instant,
    epoch: u64,
    alerts_read: bool,
    client_id: String,
}

/// Gives a token, sends to another region, or refuses.
pub(crate) fn sign_in(world: &FalconWorld, memory: &mut Memory, asked: &Asked<'_>) -> Answer {
    if asked.method != "POST" {
        return wrong_method(world);
    }
    let bad = |reason: &str| refused(world, 400, ACCOUNTS, "invalid request", reason);
    if !asked.is_content_type("application/x-www-form-urlencoded") {
        return bad("the body must be form-encoded and its Content-Type say so");
    }
    let (mut id, mut secret, mut member) = (None, None, None);
    for (key, value) in form_urlencoded::parse(asked.body) {
        let slot = match key.as_ref() {
            "client_id" => &mut id,
            "client_secret" => &mut secret,
            "member_cid" => &mut member,
            _ => return bad("only client_id, client_secret and member_cid are known"),
        };
        if value.is_empty() || slot.replace(value.into_owned()).is_some() {
            return bad("a key is empty or there twice");
        }
    }
    let same = |have: &str, given: &Option<String>| given.as_deref() == Some(have);
    let known = world
        .accounts
        .iter()
        .find(|account| same(&account.client_id, &id) && same(&account.client_secret, &secret));
    let Some(account) = known else {
        return refused(world, 403, ACCOUNTS, BAD_CLIENT, "unknown client or wrong secret");
    };
    if !account.address_allowed {
        return refused(world, 403, GATEWAY, NOT_ALLOWED, "the address is not allowed");
    }
    if member.is_some_and(|cid| !account.member_cids.contains(&cid)) {
        return refused(world, 403, ACCOUNTS, NOT_ALLOWED, "no such member_cid");
    }
    if let Some(location) = &world.redirect {
        return Answer { status: 308, ..Answer::default() }.header("Location", location);
    }
    let token = random_hex();
    let entry = Token {
        expires: Instant::now() + Duration::from_secs(world.token_lifetime),
        epoch: world.sign_in_epoch,
        alerts_read: account.alerts_read,
        client_id: account.client_id.clone(),
    };
    let body =
        json!({"access_token": token, "expires_in": world.token_lifetime, "token_type": "bearer"});
    memory.tokens.insert(token, entry);
    with_headers(Answer::json(201, body.to_string()), world, &trace_id())
        .header("X-Cs-Region", &world.region)
}

/// Holds the `Authorization` header of a call against the tokens given out.
pub(super) fn authorize(
    world: &FalconWorld,
    memory: &Memory,
    asked: &Asked<'_>,
) -> Result<(), Answer> {
    let token = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let known = token.and_then(|token| memory.tokens.get(token));
    let alive =
        known.filter(|token| token.epoch == world.sign_in_epoch && Instant::now() < token.expires);
    let Some(token) = alive else {
        let reason = "the token is unknown or has expired";
        return Err(refused(world, 401, GATEWAY, "access denied, invalid bearer token", reason));
    };
    let account = world.accounts.iter().find(|account| account.client_id == token.client_id);
    if !token.alerts_read {
        return Err(refused(world, 403, GATEWAY, NOT_ALLOWED, "the scope Alerts: READ is missing"));
    }
    if account.is_some_and(|account| !account.address_allowed) {
        return Err(refused(world, 403, GATEWAY, NOT_ALLOWED, "the address is not allowed"));
    }
    Ok(())
}
