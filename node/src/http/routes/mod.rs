//! The table of all routes, and what stands before them.

mod attention;
mod contacts;
mod devices;
mod files;
mod invites;
mod live;
mod members;
mod messages;
mod node;
mod outbox;
mod qr;
mod rooms;
mod search;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::{from_fn, from_fn_with_state};
use parlor_api::{Code, PREFIX, Problem};
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::tokens::{Scope, Tokens};
use super::{guard, page};
use crate::app::App;

/// What handlers need.
#[derive(Clone)]
pub(super) struct Api {
    app: App,
    tokens: Tokens,
    /// Says true when the node stops.
    stopped: watch::Receiver<bool>,
}

impl FromRef<Api> for App {
    fn from_ref(api: &Api) -> Self {
        api.app.clone()
    }
}

/// Routes for every token.
fn read() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(node::status))
        .routes(routes!(node::doctor))
        .routes(routes!(rooms::list))
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
        .routes(routes!(devices::list))
        .routes(routes!(files::preview))
        .routes(routes!(live::ticket))
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
        .routes(routes!(members::set_role))
        .routes(routes!(members::remove))
        .routes(routes!(members::ban))
        .routes(routes!(members::unban))
        .routes(routes!(contacts::card))
        .routes(routes!(devices::revoke))
        .routes(routes!(qr::write))
        .routes(routes!(qr::read))
}

/// Routes of [`read`] that may wait for others and have deadlines of their own.
fn patient_read() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(messages::wait))
        .routes(routes!(live::lines))
        .routes(routes!(contacts::safety))
        .routes(routes!(files::download))
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
        .routes(routes!(contacts::add))
        .routes(routes!(contacts::accept))
        .routes(routes!(contacts::block))
        .routes(routes!(contacts::name))
        .routes(routes!(contacts::verify))
        .routes(routes!(contacts::remove))
        .routes(routes!(contacts::claim))
        .routes(routes!(contacts::lookup))
}

/// The WebSocket, which a ticket opens as well.
fn socket() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live::socket))
}

/// All routes with their guards, for a node whose API has this port.
pub fn router(app: App, tokens: Tokens, port: u16, stopped: watch::Receiver<bool>) -> Router {
    let quick =
        guarded(read(), Scope::Read).merge(guarded(send(), Scope::Send)).merge(guarded(manage(), Scope::Manage));
    let patient = guarded(patient_read(), Scope::Read)
        .merge(guarded(patient_send(), Scope::Send))
        .merge(guarded(patient_manage(), Scope::Manage));
    let description = openapi();
    let described = move || async move { axum::Json(description) };
    let routes = Router::from(quick.layer(from_fn(guard::deadline)))
        .merge(Router::from(patient))
        .route("/openapi.json", axum::routing::get(described))
        .fallback(unknown)
        .layer(from_fn_with_state(tokens.clone(), guard::token));
    let socket = Router::from(guarded(socket(), Scope::Read));
    let socket = socket.layer(from_fn_with_state(tokens.clone(), guard::token_or_ticket));
    let api = routes.merge(socket).method_not_allowed_fallback(wrong_method).with_state(Api { app, tokens, stopped });
    let page = Router::new().fallback(page::page).with_state(page::Files::here());
    protect(Router::new().nest(PREFIX, api).merge(page), port)
}

/// The guards that every request passes, whatever it asks for.
pub(super) fn protect(router: Router, port: u16) -> Router {
    router.layer(from_fn(guard::origin)).layer(from_fn_with_state(port, guard::host)).layer(from_fn(guard::log))
}

fn guarded(routes: OpenApiRouter<Api>, scope: Scope) -> OpenApiRouter<Api> {
    routes.route_layer(from_fn_with_state(scope, guard::scope))
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
    let all = [read(), send(), manage(), patient_read(), patient_send(), patient_manage(), socket()];
    let routes = all.into_iter().fold(OpenApiRouter::new(), OpenApiRouter::merge);
    let mut description = base.nest(PREFIX, routes).into_openapi();
    let token = utoipa::openapi::security::Http::new(utoipa::openapi::security::HttpAuthScheme::Bearer);
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", utoipa::openapi::security::SecurityScheme::Http(token));
    description
}
