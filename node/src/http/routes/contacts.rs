//! Contacts, and direct chats with them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::{
    AddContact, BlockContact, ClaimName, Code, Contact, ContactCard, Direct, NameContact, NameEntry, OpenDirect,
    Problem, Safety, VerifyContact,
};

use crate::app::App;
use crate::http::error::{ApiError, Body, Reply, Segments};
use crate::http::limits;
use crate::limits::CONTACT_KEY_WAIT;
use crate::services::names::PATIENCE;

/// The book of contacts: also who asks to be in it, and who is blocked.
#[utoipa::path(get, path = "/contacts", operation_id = "list_contacts", responses((status = 200, body = Vec<Contact>)))]
pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<Contact>> {
    Ok(Json(app.list_contacts().await?))
}

/// The own contact card. Whoever has it can ask to write to us.
#[utoipa::path(get, path = "/contacts/card", operation_id = "contact_card", responses((status = 200, body = ContactCard)))]
pub(crate) async fn card(State(app): State<App>) -> Reply<ContactCard> {
    Ok(Json(app.contact_card().await?))
}

/// Add somebody and ask him, or accept who asks.
#[utoipa::path(post, path = "/contacts", operation_id = "add_contact", request_body = AddContact, responses((status = 201, body = Contact)))]
pub(crate) async fn add(
    State(app): State<App>,
    Body(request): Body<AddContact>,
) -> Result<(StatusCode, Json<Contact>), ApiError> {
    Ok((StatusCode::CREATED, Json(app.add_contact(request).await?)))
}

/// Say yes to somebody who asks to write to us.
#[utoipa::path(post, path = "/contacts/{who}/accept", operation_id = "accept_contact", params(("who" = String, Path)), responses((status = 200, body = Contact)))]
pub(crate) async fn accept(State(app): State<App>, Segments(who): Segments<String>) -> Reply<Contact> {
    Ok(Json(app.accept_contact(&who).await?))
}

/// Block somebody, or take that back. Nobody is told.
#[utoipa::path(put, path = "/contacts/{who}/block", operation_id = "block_contact", params(("who" = String, Path)), request_body = BlockContact, responses((status = 200, body = Contact)))]
pub(crate) async fn block(
    State(app): State<App>,
    Segments(who): Segments<String>,
    Body(how): Body<BlockContact>,
) -> Reply<Contact> {
    Ok(Json(app.block_contact(&who, how.blocked).await?))
}

/// Name somebody, for this account alone.
#[utoipa::path(put, path = "/contacts/{who}/name", operation_id = "name_contact", params(("who" = String, Path)), request_body = NameContact, responses((status = 200, body = Contact)))]
pub(crate) async fn name(
    State(app): State<App>,
    Segments(who): Segments<String>,
    Body(request): Body<NameContact>,
) -> Reply<Contact> {
    Ok(Json(app.name_contact(&who, &request.name).await?))
}

/// The safety number with somebody, to be compared with what he sees.
#[utoipa::path(get, path = "/contacts/{who}/safety", operation_id = "safety", params(("who" = String, Path)), responses((status = 200, body = Safety)))]
pub(crate) async fn safety(State(app): State<App>, Segments(who): Segments<String>) -> Reply<Safety> {
    Ok(Json(app.safety(&who, None).await?))
}

/// The safety number was compared, or the mark is taken back.
#[utoipa::path(put, path = "/contacts/{who}/safety", operation_id = "verify_contact", params(("who" = String, Path)), request_body = VerifyContact, responses((status = 200, body = Safety)))]
pub(crate) async fn verify(
    State(app): State<App>,
    Segments(who): Segments<String>,
    Body(how): Body<VerifyContact>,
) -> Reply<Safety> {
    Ok(Json(app.safety(&who, Some(how)).await?))
}

/// Take somebody out of the book.
#[utoipa::path(delete, path = "/contacts/{who}", operation_id = "remove_contact", params(("who" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(State(app): State<App>, Segments(who): Segments<String>) -> Result<StatusCode, ApiError> {
    app.remove_contact(&who).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Open the direct chat with somebody, and write into it. Waits a moment for the card of somebody known from a room only.
#[utoipa::path(post, path = "/dm", operation_id = "open_direct", request_body = OpenDirect, responses((status = 200, body = Direct)))]
pub(crate) async fn open(State(app): State<App>, Body(request): Body<OpenDirect>) -> Reply<Direct> {
    let limit: Duration = PATIENCE + CONTACT_KEY_WAIT + limits::HANDLE_TIME;
    let opened = tokio::time::timeout(limit, app.open_direct(request)).await;
    Ok(Json(opened.map_err(|_| Problem::of(Code::TimedOut))??))
}

/// Claim a name at a relay.
#[utoipa::path(post, path = "/names", operation_id = "claim_name", request_body = ClaimName, responses((status = 200, body = NameEntry)))]
pub(crate) async fn claim(State(app): State<App>, Body(request): Body<ClaimName>) -> Reply<NameEntry> {
    Ok(Json(app.claim_name(&request.name, &request.relay).await?))
}

/// Whom a name at a relay leads to: `@alice@relay`.
#[utoipa::path(get, path = "/names/{name}", operation_id = "lookup_name", params(("name" = String, Path)), responses((status = 200, body = NameEntry)))]
pub(crate) async fn lookup(State(app): State<App>, Segments(name): Segments<String>) -> Reply<NameEntry> {
    Ok(Json(app.lookup_name(&name).await?))
}
