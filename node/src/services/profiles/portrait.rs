//! Pictures of profiles: made small here, and opened, checked and made anew when they come from others.

use parlor_api::{Code, Problem};
use parlor_proto::limits::MAX_PORTRAIT;
use parlor_proto::profile::{PictureKey, Portrait};
use parlor_proto::{DeviceId, RoomId};
use parlor_storage::{Namespace, Store};

use crate::app::Answer;
use crate::services::files;

/// A picture of a client, made small: a JPEG that says nothing beside the picture. Blocks.
///
/// # Errors
/// `bad_request` for what is no PNG or JPEG picture, or one that is not decoded.
pub(super) fn made_small(picture: &[u8]) -> Answer<Vec<u8>> {
    let wrong = || match files::sides(picture) {
        Some((width, height)) if files::are_many(width, height) => {
            let detail = format!("the picture has {width} times {height} pixels, more than are made small");
            let most = files::PIXELS_MAX / 1_000_000;
            Problem::new(Code::BadRequest, detail).hint(format!("take one of at most {most} million pixels in all"))
        }
        _ => Problem::new(Code::BadRequest, "this is no picture that can be made small")
            .hint("take a whole PNG or JPEG picture of at most 12,000 pixels in width and height"),
    };
    files::portrait(picture, MAX_PORTRAIT).ok_or_else(wrong)
}

/// A picture that a device of somebody showed in a room, opened and made anew; `None` for what is not here, not the picture that was
/// named, or none at all. Blocks.
pub(super) fn opened(store: &Store, room: &RoomId, device: &DeviceId, named: &PictureKey) -> Option<Vec<u8>> {
    let picture = raw(store, room, device, named)?;
    files::checked_preview(&picture)
}

/// A picture that another device of ours told, as it is told on: one that windows can be given. Blocks.
pub(super) fn told(store: &Store, room: &RoomId, device: &DeviceId, named: &PictureKey) -> Option<Vec<u8>> {
    raw(store, room, device, named).filter(|picture| files::checked_preview(picture).is_some())
}

fn raw(store: &Store, room: &RoomId, device: &DeviceId, named: &PictureKey) -> Option<Vec<u8>> {
    let bytes = store.get(Some(room), Namespace::Portrait, &device.0).ok().flatten()?;
    Portrait::decode(room, &bytes).ok()?.open(room, named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::files::photo;

    #[test]
    fn a_picture_with_too_many_pixels_is_refused_for_them_and_not_for_its_sides() {
        // Its first bytes say that it is of 9,000 by 9,000 pixels.
        let mut large = photo();
        let frame = large.windows(2).position(|marker| matches!(marker, [0xff, 0xc0 | 0xc2])).unwrap();
        large[frame + 5..frame + 9].copy_from_slice(&[0x23, 0x28, 0x23, 0x28]);
        let refused = made_small(&large).unwrap_err();
        assert!(refused.detail.contains("9000 times 9000 pixels"), "{refused:?}");
        assert!(refused.hint.unwrap().contains("69 million pixels"));
        let none = made_small(b"no picture").unwrap_err();
        assert_eq!(none.detail, "this is no picture that can be made small");
    }
}
