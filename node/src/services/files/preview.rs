//! What pictures look like: their size, and a small copy.
//!
//! Pictures are hostile: their first bytes are looked at and their sides and the memory bounded before anything is decoded, and
//! it happens off the async threads, one at a time. A picture that is refused here is a file like any other.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use parlor_proto::limits::MAX_PREVIEW;

use super::metadata::Kind;

/// Widest and highest picture that is decoded.
const SIDE_MAX: u32 = 12_000;

/// Memory for decoding: a photograph of 64 megapixels.
const DECODE_MAX: u64 = 200 << 20;

/// Pixels of the largest picture that is decoded, three bytes each.
pub(crate) const PIXELS_MAX: u64 = DECODE_MAX / 3;

/// Side of the small copy, and how well it is kept: the first that fits.
const TRIES: [(u32, u8); 5] = [(160, 60), (160, 40), (128, 35), (96, 30), (64, 30)];

/// Widest and highest small copy of somebody else that is shown.
const SHOWN_MAX: u32 = 512;

/// What was seen of a picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Width and height, as it is to be shown.
    pub(super) pixels: Option<(u32, u32)>,
    /// A small JPEG; may be empty.
    pub(super) preview: Vec<u8>,
}

/// Whether a file of this type is a picture that windows show.
pub(super) fn is_picture(mime: &str) -> bool {
    matches!(mime, "image/jpeg" | "image/png" | "image/webp" | "image/gif")
}

/// What a picture looks like. Blocks.
pub(super) fn of(kind: Kind, picture: &[u8]) -> Seen {
    let format = match kind {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        _ => return Seen::default(),
    };
    let Some(decoded) = decode(picture, format, SIDE_MAX, DECODE_MAX) else { return Seen::default() };
    let pixels = Some((decoded.width(), decoded.height()));
    let side = TRIES[0].0;
    let small = if decoded.width().max(decoded.height()) > side { decoded.thumbnail(side, side) } else { decoded };
    let fits = |(side, quality): &(u32, u8)| {
        let small =
            if small.width().max(small.height()) > *side { small.thumbnail(*side, *side) } else { small.clone() };
        jpeg(&small, *quality).filter(|bytes| bytes.len() <= MAX_PREVIEW)
    };
    Seen { pixels, preview: TRIES.iter().find_map(fits).unwrap_or_default() }
}

/// Width and height of a PNG or JPEG as its first bytes say it.
pub(crate) fn sides(picture: &[u8]) -> Option<(u32, u32)> {
    let format = match Kind::of(picture)? {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        _ => return None,
    };
    ImageReader::with_format(Cursor::new(picture), format).into_dimensions().ok()
}

/// Whether a picture of such sides, neither of which is too long, has more pixels than are decoded.
pub(crate) fn are_many(width: u32, height: u32) -> bool {
    width.max(height) <= SIDE_MAX && u64::from(width) * u64::from(height) > PIXELS_MAX
}

/// Side of the picture of a profile, and how well it is kept: the first that fits.
const PORTRAITS: [(u32, u8); 6] = [(256, 85), (256, 70), (256, 50), (192, 50), (128, 50), (96, 30)];

/// A picture of somebody in at most `most` bytes: its middle, square, as JPEG. `None` for what is no PNG or JPEG. Blocks.
pub(crate) fn portrait(picture: &[u8], most: usize) -> Option<Vec<u8>> {
    let format = match Kind::of(picture)? {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        _ => return None,
    };
    let decoded = decode(picture, format, SIDE_MAX, DECODE_MAX)?;
    let side = decoded.width().min(decoded.height());
    let (left, top) = ((decoded.width() - side) / 2, (decoded.height() - side) / 2);
    let square = decoded.crop_imm(left, top, side, side);
    let fits = |(side, quality): &(u32, u8)| {
        let small = if square.width() > *side { square.thumbnail(*side, *side) } else { square.clone() };
        jpeg(&small, *quality).filter(|bytes| bytes.len() <= most)
    };
    PORTRAITS.iter().find_map(fits)
}

/// The small copy that somebody else made of a picture, made anew; `None` for what is none. Blocks.
pub(crate) fn checked(preview: &[u8]) -> Option<Vec<u8>> {
    let decoded = decode(preview, ImageFormat::Jpeg, SHOWN_MAX, DECODE_MAX)?;
    jpeg(&decoded, 80)
}

fn decode(picture: &[u8], format: ImageFormat, side: u32, memory: u64) -> Option<DynamicImage> {
    let mut reader = ImageReader::with_format(Cursor::new(picture), format);
    let mut bounds = Limits::default();
    bounds.max_image_width = Some(side);
    bounds.max_image_height = Some(side);
    bounds.max_alloc = Some(memory);
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().ok()?;
    if decoder.total_bytes() > memory {
        return None;
    }
    let turned = decoder.orientation().ok();
    let mut decoded = DynamicImage::from_decoder(decoder).ok()?;
    if let Some(turned) = turned {
        decoded.apply_orientation(turned);
    }
    Some(decoded)
}

fn jpeg(picture: &DynamicImage, quality: u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    picture.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality)).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::metadata::tests::photo;
    use super::*;

    #[test]
    fn a_picture_is_seen_as_it_is_to_be_shown_and_its_copy_is_small() {
        let seen = of(Kind::Jpeg, &photo());
        assert_eq!(seen.pixels, Some((30, 40)), "turned");
        assert!(!seen.preview.is_empty() && seen.preview.len() <= MAX_PREVIEW);
        let shown = checked(&seen.preview).unwrap();
        let shown = image::load_from_memory(&shown).unwrap();
        assert_eq!((shown.width(), shown.height()), (30, 40));
    }

    #[test]
    fn a_large_noisy_picture_has_a_copy_that_fits() {
        let noise = image::RgbImage::from_fn(900, 700, |x, y| {
            let mix = x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503) ^ (x * y);
            image::Rgb([mix as u8, (mix >> 8) as u8, (mix >> 16) as u8])
        });
        let mut png = Cursor::new(Vec::new());
        noise.write_to(&mut png, ImageFormat::Png).unwrap();
        let seen = of(Kind::Png, png.get_ref());
        assert_eq!(seen.pixels, Some((900, 700)));
        assert!(!seen.preview.is_empty() && seen.preview.len() <= MAX_PREVIEW, "{}", seen.preview.len());
    }

    #[test]
    fn a_portrait_is_the_middle_of_a_picture_and_says_nothing_beside_it() {
        let wide =
            image::RgbImage::from_fn(700, 300, |x, _| image::Rgb([if (200..500).contains(&x) { 255 } else { 0 }; 3]));
        let mut png = Cursor::new(Vec::new());
        wide.write_to(&mut png, ImageFormat::Png).unwrap();
        let made = image::load_from_memory(&portrait(png.get_ref(), 24 * 1024).unwrap()).unwrap().into_luma8();
        assert_eq!((made.width(), made.height()), (256, 256));
        assert!(made.pixels().all(|pixel| pixel.0[0] > 240));
        let small = portrait(&photo(), 24 * 1024).unwrap();
        assert!(!small.windows(4).any(|four| four == b"Exif") && checked(&small).is_some());
        assert!(portrait(&photo(), 100).is_none());
        for bad in [&b"GIF89a"[..], b"", b"<svg/>", &photo()[..80]] {
            assert_eq!(portrait(bad, 24 * 1024), None);
        }
    }

    /// Attack 52: pictures that claim to be huge, are cut, or are something else.
    #[test]
    fn bombs_are_files_like_any_other() {
        let mut png = Cursor::new(Vec::new());
        image::GrayImage::new(8, 8).write_to(&mut png, ImageFormat::Png).unwrap();
        let mut huge = png.into_inner();
        huge[16..24].copy_from_slice(&[0, 0, 0x2e, 0xe0, 0, 0, 0x2e, 0xe0]);
        let crc = crc32(&huge[12..29]);
        huge[29..33].copy_from_slice(&crc.to_be_bytes());
        let mut wide = huge.clone();
        wide[16..20].copy_from_slice(&[0, 1, 0x86, 0xa0]);
        let crc = crc32(&wide[12..29]);
        wide[29..33].copy_from_slice(&crc.to_be_bytes());
        let mut tall = photo();
        let frame = tall.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        tall[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        let cut = photo()[..80].to_vec();
        for (kind, bomb) in
            [(Kind::Png, huge), (Kind::Png, wide), (Kind::Jpeg, tall), (Kind::Jpeg, cut), (Kind::Png, photo())]
        {
            assert_eq!(of(kind, &bomb), Seen::default());
        }
        assert_eq!(checked(b"<svg onload=alert(1)>"), None);
        let wide = image::GrayImage::new(SHOWN_MAX + 1, 1);
        let mut jpeg = Cursor::new(Vec::new());
        wide.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        assert_eq!(checked(jpeg.get_ref()), None);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc: u32, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
    }
}
