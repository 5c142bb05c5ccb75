//! QR codes: written for links, read from pictures.

use axum::Json;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use parlor_api::{Code, Problem};
use parlor_proto::contact::Card;
use parlor_proto::link::Link;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::{ApiError, Body, Reply, read_body};
use crate::http::picture;

/// A form of a QR code.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QrFormat {
    /// A picture.
    Png,
    /// A drawing.
    Svg,
    /// Half blocks for a terminal with a dark background.
    Terminal,
    /// Half blocks for a terminal with a light background.
    TerminalLight,
}

/// A QR code to write.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteQr {
    /// What it says, usually a link.
    text: String,
    /// Which form.
    format: QrFormat,
}

/// What a QR code says.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct QrText {
    /// The text.
    text: String,
}

/// A QR code of a text. The text is in the body, since links are secret and URLs are not.
#[utoipa::path(post, path = "/qr", operation_id = "write_qr", request_body = WriteQr, responses((status = 200, content_type = "image/png")))]
pub(crate) async fn write(Body(request): Body<WriteQr>) -> Result<Response, ApiError> {
    let (form, kind) = match request.format {
        QrFormat::Png => (picture::Form::Png, "image/png"),
        QrFormat::Svg => (picture::Form::Svg, "image/svg+xml"),
        QrFormat::Terminal => (picture::Form::Terminal, "text/plain; charset=utf-8"),
        QrFormat::TerminalLight => (picture::Form::TerminalLight, "text/plain; charset=utf-8"),
    };
    let text = compact(request.text);
    let bytes = blocking(move || picture::write_qr(&text, form)).await?;
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

/// What the QR code in a PNG or JPEG picture says.
#[utoipa::path(post, path = "/qr/read", operation_id = "read_qr", request_body(content = Vec<u8>, content_type = "image/png"), responses((status = 200, body = QrText)))]
pub(crate) async fn read(request: Request) -> Reply<QrText> {
    let bytes = read_body(request, parlor_api::PICTURE_MAX).await?;
    Ok(Json(QrText { text: blocking(move || picture::read_qr(&bytes)).await? }))
}

/// A link in its form for QR codes, which takes a third fewer modules; other text as it is.
fn compact(text: String) -> String {
    // At time zero no link has expired: whether it still works is the joiner's question.
    if let Ok(card) = Card::parse(&text) {
        return card.to_qr_text();
    }
    Link::parse(&text, 0).map_or(text, |link| link.to_qr_text())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let failed = |_| Problem::new(Code::Internal, "the picture could not be worked on");
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
