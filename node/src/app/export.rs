//! Export of a room, a stretch at a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_api::{Code, EXPORT_VERSION, ExportHead, ExportPage, Problem};

use super::{Answer, App};
use crate::bus::rfc3339;
use crate::clock::now_ms;
use crate::limits::EXPORT_EVENTS;

impl App {
    /// A stretch of the export of a room: what its members signed, the keys that open it, and what windows show of it.
    ///
    /// # Errors
    /// `room_not_found`, `ambiguous`; `bad_request` for a cursor that is none.
    pub async fn export(&self, room: &str, after: Option<&str>) -> Answer<ExportPage> {
        let id = self.find_room(room).await?;
        let view = self.node.rooms.show(id).await?;
        let context = &self.node.context;
        let about = ExportHead {
            parlor_export: EXPORT_VERSION,
            room: id.to_string(),
            name: view.name,
            description: view.about,
            account: context.identity.account().to_string(),
            by: context.name.clone(),
            exported_at: rfc3339(now_ms()),
        };
        let wrong = || Problem::new(Code::BadRequest, "not a cursor: take `next` of the stretch before");
        let control_from = match after {
            None => Some(0),
            Some(text) => text.strip_prefix('c').map(str::parse::<usize>).transpose().map_err(|_| wrong())?,
        };
        if let Some(from) = control_from {
            let store = context.store.clone();
            let read = tokio::task::spawn_blocking(move || store.control(&id)).await;
            let rows =
                read.map_err(|_| Problem::of(Code::Internal))?.map_err(|e| crate::home_damaged(e.to_string()))?;
            let some: Vec<_> = rows.iter().skip(from).take(EXPORT_EVENTS).collect();
            if !some.is_empty() {
                let control = some.iter().map(|row| URL_SAFE_NO_PAD.encode(&row.bytes)).collect();
                let next = Some(format!("c{}", from + some.len()));
                return Ok(ExportPage { about, control, events: Vec::new(), next });
            }
        }
        let place = match after.filter(|_| control_from.is_none()) {
            Some(text) => Some(text.strip_prefix('m').and_then(|text| text.parse().ok()).ok_or_else(wrong)?),
            None => None,
        };
        let stretch = self.node.rooms.exported(id, place, EXPORT_EVENTS).await?;
        let next = stretch.next.map(|place| format!("m{place}"));
        Ok(ExportPage { about, control: Vec::new(), events: stretch.events, next })
    }
}
