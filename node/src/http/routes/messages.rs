//! Messages: history, sending, waiting for delivery, read marker.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_api::{
    BATCH_MAX, Code, CreatePoll, EditMessage, EventBody, MarkRead, Message, MessageStatus, PAGE_DEFAULT, PAGE_MAX,
    Page, PinRequest, Problem, ReactRequest, ReadAnswer, SendAnswer, SendBatch, SendRequest, Version, VoteRequest,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::{Anchor, Answer, App, Say};
use crate::bus::parse_rfc3339;
use crate::http::error::{ApiError, Body, Params, Reply, Segments};
use crate::http::limits;

/// Which page of history. At most one of `before`, `after`, `around` and `date`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    /// Messages on the page, 1 to 100; 50 when not said.
    limit: Option<u32>,
    /// Older than this: a message id, an `order`, or `older` of a page.
    before: Option<String>,
    /// Newer than this: a message id, an `order`, or `newer` of a page.
    after: Option<String>,
    /// On both sides of this: a message id or an `order`.
    around: Option<String>,
    /// Sent at or after this time, RFC 3339.
    date: Option<String>,
    /// With the notes of the room's log.
    #[serde(default)]
    system: bool,
}

impl HistoryQuery {
    fn anchor(&self) -> Answer<Anchor> {
        let date = self.date.as_deref().map(parse_date).transpose()?;
        let mut told = [
            self.before.clone().map(Anchor::Before),
            self.after.clone().map(Anchor::After),
            self.around.clone().map(Anchor::Around),
            date.map(Anchor::Since),
        ]
        .into_iter()
        .flatten();
        match (told.next(), told.next()) {
            (None, _) => Ok(Anchor::Newest),
            (Some(anchor), None) => Ok(anchor),
            _ => Err(Problem::new(Code::BadRequest, "only one of before, after, around and date can be used")),
        }
    }
}

fn parse_date(text: &str) -> Answer<u64> {
    let wrong = || Problem::new(Code::BadRequest, "the date is not of the form 2026-11-21T08:00:00Z");
    parse_rfc3339(text).ok_or_else(wrong)
}

/// A page of history, newest first.
#[utoipa::path(get, path = "/rooms/{room}/messages", operation_id = "history", params(("room" = String, Path), HistoryQuery), responses((status = 200, body = Page<Message>)))]
pub(crate) async fn history(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Params(query): Params<HistoryQuery>,
) -> Reply<Page<Message>> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    Ok(Json(app.history(&room, query.anchor()?, limit, query.system).await?))
}

/// Where a stretch of an export begins.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// `next` of the stretch before.
    after: Option<String>,
}

/// A stretch of the export of a room, with the keys that open its messages.
#[utoipa::path(get, path = "/rooms/{room}/export", operation_id = "export", params(("room" = String, Path), ExportQuery), responses((status = 200, body = parlor_api::ExportPage)))]
pub(crate) async fn export(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Params(query): Params<ExportQuery>,
) -> Reply<parlor_api::ExportPage> {
    Ok(Json(app.export(&room, query.after.as_deref()).await?))
}

/// One message.
#[utoipa::path(get, path = "/rooms/{room}/messages/{message}", operation_id = "show_message", params(("room" = String, Path), ("message" = String, Path)), responses((status = 200, body = Message)))]
pub(crate) async fn show(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
) -> Reply<Message> {
    Ok(Json(app.message(&room, &message).await?))
}

/// Send a message. It is durable on this device when the answer comes.
#[utoipa::path(post, path = "/rooms/{room}/messages", operation_id = "send", params(("room" = String, Path)), request_body = SendRequest, responses((status = 201, body = SendAnswer)))]
pub(crate) async fn send(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<SendRequest>,
) -> Result<(StatusCode, Json<SendAnswer>), ApiError> {
    let answers = app.send(&room, vec![request]).await?;
    let answer = answers.into_iter().next().ok_or_else(|| Problem::of(Code::Internal))?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Send several messages in one commit, in this order: all or none.
#[utoipa::path(post, path = "/rooms/{room}/messages/batch", operation_id = "send_batch", params(("room" = String, Path)), request_body = SendBatch, responses((status = 201, body = Vec<SendAnswer>)))]
pub(crate) async fn send_batch(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<SendBatch, { limits::BATCH_BODY_MAX }>,
) -> Result<(StatusCode, Json<Vec<SendAnswer>>), ApiError> {
    if request.messages.is_empty() || request.messages.len() > BATCH_MAX {
        return Err(Problem::new(Code::BadRequest, format!("a batch has 1 to {BATCH_MAX} messages")).into());
    }
    Ok((StatusCode::CREATED, Json(app.send(&room, request.messages).await?)))
}

/// Which page of a thread.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThreadQuery {
    /// Messages on the page, 1 to 100; 50 when not said.
    limit: Option<u32>,
    /// Older than this: a message id, an `order`, or `older` of a page.
    before: Option<String>,
}

/// A page of the thread that a message began, newest first; without that message.
#[utoipa::path(get, path = "/rooms/{room}/messages/{message}/thread", operation_id = "thread", params(("room" = String, Path), ("message" = String, Path), ThreadQuery), responses((status = 200, body = Page<Message>)))]
pub(crate) async fn thread(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
    Params(query): Params<ThreadQuery>,
) -> Reply<Page<Message>> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    Ok(Json(app.thread(&room, &message, query.before, limit).await?))
}

/// The texts that a message had, the first one first.
#[utoipa::path(get, path = "/rooms/{room}/messages/{message}/edits", operation_id = "edits", params(("room" = String, Path), ("message" = String, Path)), responses((status = 200, body = Vec<Version>)))]
pub(crate) async fn edits(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
) -> Reply<Vec<Version>> {
    Ok(Json(app.edits(&room, &message).await?))
}

/// The pinned messages, the one pinned last first.
#[utoipa::path(get, path = "/rooms/{room}/pins", operation_id = "pins", params(("room" = String, Path)), responses((status = 200, body = Vec<Message>)))]
pub(crate) async fn pins(State(app): State<App>, Segments(room): Segments<String>) -> Reply<Vec<Message>> {
    Ok(Json(app.pins(&room).await?))
}

/// Give an own message another text.
#[utoipa::path(patch, path = "/rooms/{room}/messages/{message}", operation_id = "edit", params(("room" = String, Path), ("message" = String, Path)), request_body = EditMessage, responses((status = 200, body = Message)))]
pub(crate) async fn edit(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
    Body(request): Body<EditMessage>,
) -> Reply<Message> {
    Ok(Json(app.say(&room, &message, Say::Edit(request.text), request.client_id).await?))
}

/// Delete a message: the own one, or with the permission to moderate somebody else's.
#[utoipa::path(delete, path = "/rooms/{room}/messages/{message}", operation_id = "delete_message", params(("room" = String, Path), ("message" = String, Path)), responses((status = 200, body = Message)))]
pub(crate) async fn delete(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
) -> Reply<Message> {
    Ok(Json(app.say(&room, &message, Say::Delete, None).await?))
}

/// Put an emoji on a message, or take it off.
#[utoipa::path(put, path = "/rooms/{room}/messages/{message}/reaction", operation_id = "react", params(("room" = String, Path), ("message" = String, Path)), request_body = ReactRequest, responses((status = 200, body = Message)))]
pub(crate) async fn react(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
    Body(request): Body<ReactRequest>,
) -> Reply<Message> {
    Ok(Json(app.say(&room, &message, Say::React(request.emoji, request.on), None).await?))
}

/// Pin a message, or take the pin out.
#[utoipa::path(put, path = "/rooms/{room}/messages/{message}/pin", operation_id = "pin", params(("room" = String, Path), ("message" = String, Path)), request_body = PinRequest, responses((status = 200, body = Message)))]
pub(crate) async fn pin(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
    Body(request): Body<PinRequest>,
) -> Reply<Message> {
    Ok(Json(app.say(&room, &message, Say::Pin(request.on), None).await?))
}

/// Choose in a poll: all that this account chooses, whatever it chose before.
#[utoipa::path(put, path = "/rooms/{room}/messages/{message}/vote", operation_id = "vote", params(("room" = String, Path), ("message" = String, Path)), request_body = VoteRequest, responses((status = 200, body = Message)))]
pub(crate) async fn vote(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
    Body(request): Body<VoteRequest>,
) -> Reply<Message> {
    let mut choices = request.choices;
    choices.sort_unstable();
    choices.dedup();
    Ok(Json(app.say(&room, &message, Say::Vote(choices), None).await?))
}

/// Ask a poll. It is durable on this device when the answer comes.
#[utoipa::path(post, path = "/rooms/{room}/polls", operation_id = "ask", params(("room" = String, Path)), request_body = CreatePoll, responses((status = 201, body = SendAnswer)))]
pub(crate) async fn ask(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<CreatePoll>,
) -> Result<(StatusCode, Json<SendAnswer>), ApiError> {
    Ok((StatusCode::CREATED, Json(app.ask(&room, request).await?)))
}

/// What to wait for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitQuery {
    /// `sent`, `delivered` or `read`.
    #[param(inline)]
    status: MessageStatus,
    /// How long, in seconds; 60 when not said, 600 at most.
    timeout: Option<u64>,
}

/// Wait until a message came at least so far.
#[utoipa::path(get, path = "/rooms/{room}/messages/{message}/wait", operation_id = "wait", params(("room" = String, Path), ("message" = String, Path), WaitQuery), responses((status = 200, body = SendAnswer)))]
pub(crate) async fn wait(
    State(app): State<App>,
    Segments((room, message)): Segments<(String, String)>,
    Params(query): Params<WaitQuery>,
) -> Reply<SendAnswer> {
    let limit = Duration::from_secs(query.timeout.unwrap_or(60)).min(limits::WAIT_MAX);
    let came = tokio::time::timeout(limit, reach(&app, &room, &message, query.status)).await;
    let late = || {
        Problem::new(Code::TimedOut, "the message did not come so far in this time")
            .hint("it stays in the outbox and goes out by itself")
    };
    Ok(Json(came.map_err(|_| late())??))
}

/// Follows a message until it has `wanted`, or failed. Cancel safe.
async fn reach(app: &App, room: &str, message: &str, wanted: MessageStatus) -> Answer<SendAnswer> {
    loop {
        // Subscribed before looking, so that no change falls between.
        let mut events = app.subscribe(None)?;
        let now = app.message(room, message).await?;
        if now.status >= wanted {
            let Message { message, room, status, delivered_to, .. } = now;
            return Ok(SendAnswer { message, room, status, delivered_to });
        }
        if now.status == MessageStatus::Failed {
            return Err(Problem::new(Code::Conflict, now.reason.unwrap_or_else(|| "the message failed".into())));
        }
        loop {
            match events.next().await {
                None => return Err(Problem::of(Code::Stopping)),
                Some(Err(_)) => break,
                Some(Ok(event)) => {
                    if matches!(&event.body, EventBody::Status(s) if s.message == now.message) {
                        break;
                    }
                }
            }
        }
    }
}

/// Move the read marker forward.
#[utoipa::path(put, path = "/rooms/{room}/read", operation_id = "mark_read", params(("room" = String, Path)), request_body = MarkRead, responses((status = 200, body = ReadAnswer)))]
pub(crate) async fn mark_read(
    State(app): State<App>,
    Segments(room): Segments<String>,
    Body(request): Body<MarkRead>,
) -> Reply<ReadAnswer> {
    Ok(Json(app.mark_read(&room, request.message.as_deref()).await?))
}
