//! The table of all routes, and what stands before them.

mod access;
mod attention;
mod backup;
mod contacts;
mod devices;
mod files;
mod groups;
mod invites;
mod live;
mod members;
mod messages;
mod node;
mod outbox;
mod profiles;
mod qr;
mod rooms;
mod search;
mod web;
mod webhooks;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use parlor_api::{Code, PREFIX, Problem, Scope};
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::guard::Gate;
use super::tokens::{Grant, Tokens, Who};
use super::{guard, page};
use crate::app::App;
use crate::door::Door;

/// What handlers need.
#[derive(Clone)]
pub(super) struct Api {
    app: App,
    tokens: Tokens,
    door: Door,
    /// Says true when the node stops.
    stopped: watch::Receiver<bool>,
}

impl FromRef<Api> for App {
    fn from_ref(api: &Api) -> Self {
        api.app.clone()
    }
}

impl FromRef<Api> for Door {
    fn from_ref(api: &Api) -> Self {
        api.door.clone()
    }
}

/// Routes for every token.
fn read() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(node::status))
        .routes(routes!(node::doctor))
        .routes(routes!(rooms::show))
        .routes(routes!(rooms::members))
        .routes(routes!(messages::history))
        .routes(routes!(messages::show))
        .routes(routes!(messages::thread))
        .routes(routes!(messages::edits))
        .routes(routes!(messages::pins))
        .routes(routes!(outbox::list))
        .routes(routes!(search::search))
        .routes(routes!(attention::receipts))
        .routes(routes!(attention::settings))
        .routes(routes!(contacts::list))
        .routes(routes!(profiles::own))
        .routes(routes!(profiles::list))
        .routes(routes!(profiles::show))
        .routes(routes!(devices::list))
}

/// Routes for every token that are about no room, and show by themselves only what the token may see.
fn read_what_is_seen() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(rooms::list))
        .routes(routes!(live::ticket))
        .routes(routes!(access::own))
        .routes(routes!(access::sign))
}

/// Routes for tokens that may send.
fn send() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(messages::send))
        .routes(routes!(messages::send_batch))
        .routes(routes!(messages::ask))
        .routes(routes!(messages::edit))
        .routes(routes!(messages::delete))
        .routes(routes!(messages::react))
        .routes(routes!(messages::pin))
        .routes(routes!(messages::vote))
        .routes(routes!(messages::mark_read))
        .routes(routes!(attention::typing))
        .routes(routes!(attention::attend))
        .routes(routes!(attention::draft, attention::set_draft, attention::clear_draft))
        .routes(routes!(files::fetch))
        .routes(routes!(files::remove))
        .routes(routes!(outbox::retry))
        .routes(routes!(outbox::discard))
}

/// Routes for tokens that may do everything.
fn manage() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(node::stop))
        .routes(routes!(messages::export))
        .routes(routes!(attention::update_settings))
        .routes(routes!(rooms::create))
        .routes(routes!(rooms::update))
        .routes(routes!(rooms::leave))
        .routes(routes!(invites::list))
        .routes(routes!(invites::create))
        .routes(routes!(invites::revoke))
        .routes(routes!(invites::requests))
        .routes(routes!(invites::approve))
        .routes(routes!(invites::refuse))
        .routes(routes!(invites::remove_joined))
        .routes(routes!(invites::cancel_join))
        .routes(routes!(members::set_role))
        .routes(routes!(members::remove))
        .routes(routes!(members::ban))
        .routes(routes!(members::unban))
        .routes(routes!(contacts::card))
        .routes(routes!(profiles::update))
        .routes(routes!(profiles::set_picture, profiles::remove_picture))
        .routes(routes!(groups::list))
        .routes(routes!(groups::accept))
        .routes(routes!(groups::refuse))
        .routes(routes!(devices::confirm))
        .routes(routes!(devices::revoke))
        .routes(routes!(qr::write))
        .routes(routes!(qr::read))
}

/// Routes of [`read`] that may wait for others and have deadlines of their own.
fn patient_read() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(messages::wait)).routes(routes!(contacts::safety))
}

/// Events, whose feed looks at the token by itself.
fn lines() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live::lines))
}

/// What a signed link opens as well: for images, films and downloads.
fn media() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(files::download))
        .routes(routes!(files::preview))
        .routes(routes!(profiles::picture))
}

/// Routes of [`send`] that take as long as the client does.
fn patient_send() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(files::upload))
}

/// Routes of [`manage`] that may wait for others and have deadlines of their own.
fn patient_manage() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(invites::join))
        .routes(routes!(contacts::open))
        .routes(routes!(groups::open))
        .routes(routes!(contacts::add))
        .routes(routes!(contacts::accept))
        .routes(routes!(contacts::block))
        .routes(routes!(contacts::name))
        .routes(routes!(contacts::verify))
        .routes(routes!(contacts::remove))
        .routes(routes!(contacts::claim))
        .routes(routes!(contacts::lookup))
}

/// Routes for the home's token and sessions that take as long as the client does.
fn patient_all() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(backup::create))
}

/// Routes for the home's token and sessions.
fn all() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(access::list, access::create))
        .routes(routes!(access::revoke))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::enable))
}

/// The WebSocket, which a ticket opens as well.
fn socket() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live::socket))
}

/// All routes with their guards, for a node whose API has this port.
pub(crate) fn router(app: App, door: Door, port: u16, stopped: watch::Receiver<bool>) -> Router {
    let tokens = door.tokens().clone();
    let quick = guarded(read(), Gate::of(Scope::Read))
        .merge(guarded(read_what_is_seen(), Gate::for_all(Scope::Read)))
        .merge(guarded(send().route_layer(from_fn_with_state(app.clone(), profiles::act)), Gate::of(Scope::Send)))
        .merge(guarded(manage(), Gate::of(Scope::Manage)))
        .merge(guarded(all(), Gate::of(Scope::All)))
        .merge(web::unlocked());
    let patient = guarded(patient_read(), Gate::of(Scope::Read))
        .merge(guarded(lines(), Gate::for_all(Scope::Read)))
        .merge(guarded(patient_send(), Gate::for_all(Scope::Send)))
        .merge(guarded(patient_manage(), Gate::of(Scope::Manage)))
        .merge(guarded(patient_all(), Gate::of(Scope::All)));
    let description = openapi();
    let described = move || async move { axum::Json(description) };
    let routes = Router::from(quick.layer(from_fn(guard::deadline)))
        .merge(Router::from(patient))
        .route("/openapi.json", axum::routing::get(described))
        .fallback(unknown)
        .layer(from_fn_with_state(tokens.clone(), guard::token));
    let socket = Router::from(guarded(socket(), Gate::for_all(Scope::Read)));
    let socket = socket.layer(from_fn_with_state(tokens.clone(), guard::token_or_ticket));
    let media = Router::from(guarded(media(), Gate::of(Scope::Read)));
    let media = media.layer(from_fn_with_state(tokens.clone(), guard::token_or_link));
    let api = routes.merge(socket).merge(media).merge(at_the_door(&tokens));
    let api = api.method_not_allowed_fallback(wrong_method).with_state(Api { app, tokens, door, stopped });
    whole(api, port)
}

/// The routes of a home whose node does not run yet: those by which it will, and the page.
pub(crate) fn waiting(door: Door, port: u16) -> Router {
    let tokens = door.tokens().clone();
    let closed = |State(door): State<Door>| async move { ApiError::from(door.closed()) };
    let stop = |State(door): State<Door>, Extension(grant): Extension<Grant>| async move {
        // The page of somebody who does not know the passphrase yet ends nothing.
        if grant.who != Who::Home {
            return Err(ApiError::from(door.closed()));
        }
        door.stop();
        Ok(StatusCode::ACCEPTED)
    };
    let known = Router::new().route("/stop", axum::routing::post(stop)).merge(Router::from(web::unlocked()));
    let known = known.fallback(closed).layer(from_fn_with_state(tokens.clone(), guard::token));
    let api = known.merge(at_the_door(&tokens)).method_not_allowed_fallback(wrong_method);
    whole(api.with_state(door), port)
}

/// What needs no token but a code, or also goes while sessions are locked.
fn at_the_door<S: Clone + Send + Sync + 'static>(tokens: &Tokens) -> Router<S>
where
    Door: FromRef<S>,
{
    let locked_too = Router::from(web::locked_too());
    Router::from(web::open()).merge(locked_too.layer(from_fn_with_state(tokens.clone(), guard::token_locked_too)))
}

/// The API at its place, beside the page, behind the guards of all.
fn whole(api: Router, port: u16) -> Router {
    let page = Router::new().fallback(page::page).with_state(page::Files::here());
    protect(Router::new().nest(PREFIX, api).merge(page), port)
}

/// The guards that every request passes, whatever it asks for.
pub(super) fn protect(router: Router, port: u16) -> Router {
    router.layer(from_fn(guard::origin)).layer(from_fn_with_state(port, guard::host)).layer(from_fn(guard::log))
}

fn guarded(routes: OpenApiRouter<Api>, gate: Gate) -> OpenApiRouter<Api> {
    routes.route_layer(from_fn_with_state(gate, guard::scope))
}

async fn unknown() -> ApiError {
    Problem::new(Code::NotFound, "there is no such route").into()
}

async fn wrong_method() -> ApiError {
    Problem::of(Code::MethodNotAllowed).into()
}

/// The description of the API, OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(
        info(title = "Parlor local API", description = "What windows, scripts and bots can ask of a node. Errors are \
            RFC 9457 problem documents with a stable `code` and a `hint`."),
        components(schemas(parlor_api::Problem, parlor_api::Event)),
        security(("token" = []))
    )]
    struct Base;

    let base = OpenApiRouter::<Api>::with_openapi(Base::openapi());
    let of_door = [web::open(), web::locked_too(), web::unlocked()];
    let of_node = [read(), read_what_is_seen(), send(), manage(), all(), media(), socket()];
    let patient = [patient_read(), lines(), patient_send(), patient_manage(), patient_all()];
    let routes = of_door.into_iter().chain(of_node).chain(patient).fold(OpenApiRouter::new(), OpenApiRouter::merge);
    let mut description = base.nest(PREFIX, routes).into_openapi();
    let token = utoipa::openapi::security::Http::new(utoipa::openapi::security::HttpAuthScheme::Bearer);
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", utoipa::openapi::security::SecurityScheme::Http(token));
    description
}
