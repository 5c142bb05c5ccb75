//! What a picture says beside the picture: taken out before it is sent.
//!
//! Cameras write where and when a picture was taken, with what, and often a small copy of what it was before it was cut. Of JPEG,
//! PNG, WebP and GIF only those parts are kept that are needed to show it, by name; everything else, known or not, goes, as does
//! what stands behind the end. The pixels are copied as they are. Of a JPEG the direction in which it is to be shown is kept.
//! TIFF, HEIF and AVIF point with offsets into themselves, so nothing can be left out by copying: they are refused.

/// Sorts of pictures that are told by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    Webp,
    Gif,
    Tiff,
    Heif,
    Avif,
}

/// Why nothing can be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StripError {
    /// It is not whole, or not what its first bytes say.
    #[error("the picture is damaged: what it says beside the picture can not be told from the picture")]
    Damaged,
    /// Of this format nothing can be taken out here.
    #[error("of pictures of this format nothing can be taken out of what they say beside the picture")]
    Format,
}

/// The part of PNG that is needed to show it.
const PNG: [&[u8; 4]; 21] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"bKGD",
    b"hIST", b"pHYs", b"sPLT", b"acTL", b"fcTL", b"fdAT", b"mDCV", b"cLLI", b"vpAg",
];

/// The parts of WebP that are needed to show it.
const WEBP: [&[u8; 4]; 7] = [b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP"];

const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

impl Kind {
    /// Of a file that begins like this.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let brand = || head.get(8..12).filter(|_| head.get(4..8) == Some(b"ftyp"));
        match head {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            _ if head.starts_with(PNG_MAGIC) => Some(Self::Png),
            _ if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") => Some(Self::Webp),
            _ if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") => Some(Self::Gif),
            _ if head.starts_with(b"II*\0") || head.starts_with(b"MM\0*") => Some(Self::Tiff),
            _ => match brand()? {
                b"avif" | b"avis" => Some(Self::Avif),
                b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => Some(Self::Heif),
                _ => None,
            },
        }
    }

    /// Its media type.
    pub(super) fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Tiff => "image/tiff",
            Self::Heif => "image/heif",
            Self::Avif => "image/avif",
        }
    }
}

/// The picture without what it says beside the picture.
///
/// # Errors
/// See [`StripError`].
pub(super) fn strip(kind: Kind, picture: &[u8]) -> Result<Vec<u8>, StripError> {
    match kind {
        Kind::Jpeg => jpeg(picture),
        Kind::Png => png(picture),
        Kind::Webp => webp(picture),
        Kind::Gif => gif(picture),
        Kind::Tiff | Kind::Heif | Kind::Avif => return Err(StripError::Format),
    }
    .ok_or(StripError::Damaged)
}

/// Bytes that are taken one after the other.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
}

fn jpeg(picture: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes(picture);
    let mut out = bytes.take(2)?.to_vec();
    let mut turned = None;
    // Where what is kept of the direction goes: behind JFIF, which has to come first.
    let mut place = out.len();
    loop {
        if bytes.byte()? != 0xff {
            return None;
        }
        let mut marker = bytes.byte()?;
        while marker == 0xff {
            marker = bytes.byte()?;
        }
        match marker {
            0xd9 => break,
            // They belong into a scan, and say nothing elsewhere.
            0x01 | 0xd0..=0xd7 => continue,
            0x00 | 0xd8 => return None,
            _ => {}
        }
        let len = bytes.take(2)?;
        let len_of = usize::from(u16::from_be_bytes(len.try_into().ok()?));
        let segment = bytes.take(len_of.checked_sub(2)?)?;
        if marker == 0xe1 && turned.is_none() {
            turned = segment.strip_prefix(b"Exif\0\0").and_then(direction);
        }
        match marker {
            0xe0 if place == 2 => {
                if let Some(jfif) = jfif_of(segment) {
                    out.extend_from_slice(&jfif);
                    place = out.len();
                }
            }
            _ if is_needed(marker, segment) => {
                out.extend_from_slice(&[0xff, marker]);
                out.extend_from_slice(len);
                out.extend_from_slice(segment);
            }
            _ => {}
        }
        if marker == 0xda {
            let scan = scan_len(bytes.0)?;
            out.extend_from_slice(bytes.take(scan)?);
        }
    }
    out.extend_from_slice(&[0xff, 0xd9]);
    if let Some(turned) = turned {
        out.splice(place..place, exif_of(turned));
    }
    Some(out)
}

/// Whether a segment is needed to show a JPEG: frames, tables, scans, and how colours are meant. Any other may say anything.
fn is_needed(marker: u8, segment: &[u8]) -> bool {
    match marker {
        // SOF, DHT (0xc4) and DAC (0xcc); 0xc8 is of no known use.
        0xc0..=0xc7 | 0xc9..=0xcf => true,
        // SOS, DQT, DNL, DRI.
        0xda..=0xdd => true,
        0xe2 => segment.starts_with(b"ICC_PROFILE\0"),
        0xee => segment.starts_with(b"Adobe"),
        _ => false,
    }
}

/// A JFIF segment that says how dense pixels are, as this one does, and holds no small picture.
fn jfif_of(segment: &[u8]) -> Option<Vec<u8>> {
    let meant = segment.strip_prefix(b"JFIF\0")?.get(..7)?;
    Some([&b"\xff\xe0\x00\x10JFIF\0"[..], meant, &[0, 0]].concat())
}

/// Bytes of a scan: up to the next marker that is no part of it.
fn scan_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7))
}

/// How a picture is to be turned, if it is: the tag 0x0112 of the first directory.
fn direction(tiff: &[u8]) -> Option<u8> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let first: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let first = if little { u32::from_le_bytes(first) } else { u32::from_be_bytes(first) } as usize;
    let n = usize::from(short(first)?);
    let entry = (0..n).map(|i| first + 2 + 12 * i).find(|at| short(*at) == Some(0x0112))?;
    u8::try_from(short(entry + 8)?).ok().filter(|turned| (2..=8).contains(turned))
}

/// A segment that says nothing but how a picture is to be turned.
fn exif_of(turned: u8) -> Vec<u8> {
    let mut segment = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    segment.extend_from_slice(&[turned, 0, 0, 0, 0, 0, 0, 0]);
    segment
}

fn png(picture: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes(picture);
    let mut out = bytes.take(PNG_MAGIC.len())?.to_vec();
    loop {
        let head = bytes.take(8)?;
        let len = u32::from_be_bytes(head.get(..4)?.try_into().ok()?) as usize;
        let body = bytes.take(len.checked_add(4)?)?;
        let name = head.get(4..)?;
        if PNG.iter().any(|kept| kept.as_slice() == name) {
            out.extend_from_slice(head);
            out.extend_from_slice(body);
        }
        if name == b"IEND" {
            return Some(out);
        }
    }
}

fn webp(picture: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes(picture);
    let mut out = bytes.take(12)?.to_vec();
    let whole = u32::from_le_bytes(out.get(4..8)?.try_into().ok()?) as usize;
    // What stands behind the end is no part of it.
    bytes.0 = bytes.0.get(..whole.checked_sub(4)?)?;
    while !bytes.0.is_empty() {
        let head = bytes.take(8)?;
        let len = u32::from_le_bytes(head.get(4..)?.try_into().ok()?) as usize;
        let body = bytes.take(len)?;
        let filling = bytes.take(len % 2).unwrap_or_default();
        let name = head.get(..4)?;
        if !WEBP.iter().any(|kept| kept.as_slice() == name) {
            continue;
        }
        out.extend_from_slice(head);
        let at = out.len();
        out.extend_from_slice(body);
        out.extend_from_slice(filling);
        if name == b"VP8X" {
            // It says no more that there is Exif or XMP.
            *out.get_mut(at)? &= !0x0c;
        }
    }
    let len = u32::try_from(out.len() - 8).ok()?.to_le_bytes();
    out.get_mut(4..8)?.copy_from_slice(&len);
    Some(out)
}

fn gif(picture: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes(picture);
    let head = bytes.take(13)?;
    let mut out = head.to_vec();
    out.extend_from_slice(colours(&mut bytes, *head.get(10)?)?);
    loop {
        let before = bytes.0;
        let keep = match bytes.byte()? {
            0x3b => {
                out.push(0x3b);
                return Some(out);
            }
            0x2c => {
                let packed = *bytes.take(9)?.get(8)?;
                colours(&mut bytes, packed)?;
                bytes.byte()?;
                true
            }
            0x21 => match bytes.byte()? {
                0xf9 | 0x01 => true,
                // How often a moving picture is repeated.
                0xff => matches!(bytes.0.get(1..12)?, b"NETSCAPE2.0" | b"ANIMEXTS1.0"),
                _ => false,
            },
            _ => return None,
        };
        loop {
            let n = usize::from(bytes.byte()?);
            if n == 0 {
                break;
            }
            bytes.take(n)?;
        }
        if keep {
            out.extend_from_slice(before.get(..before.len() - bytes.0.len())?);
        }
    }
}

/// A table of colours, if what is packed says that there is one.
fn colours<'a>(bytes: &mut Bytes<'a>, packed: u8) -> Option<&'a [u8]> {
    if packed & 0x80 == 0 { Some(&[]) } else { bytes.take(3 << ((packed & 7) + 1)) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use image::ImageFormat;

    use super::*;

    const SECRET: &[u8] = b"GPS 52.5163 13.3777";

    fn pixels(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 99]));
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        [&[0xff, marker], (content.len() as u16 + 2).to_be_bytes().as_slice(), content].concat()
    }

    /// A JPEG as a phone writes it: where it was taken, a comment, a direction, and more behind the end.
    pub(crate) fn photo() -> Vec<u8> {
        let plain = pixels(ImageFormat::Jpeg);
        let exif = [&b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"[..], SECRET].concat();
        let xmp = [&b"http://ns.adobe.com/xap/1.0/\0"[..], SECRET].concat();
        let mut more =
            [segment(0xe1, &exif), segment(0xe1, &xmp), segment(0xed, SECRET), segment(0xfe, SECRET)].concat();
        for unknown in [0x02, 0xbf, 0xc8, 0xde, 0xdf, 0xf0, 0xf7, 0xfd] {
            more.extend(segment(unknown, SECRET));
        }
        [&plain[..2], &more, &plain[2..], SECRET].concat()
    }

    fn has(bytes: &[u8]) -> bool {
        bytes.windows(SECRET.len()).any(|window| window == SECRET)
    }

    fn same_pixels(one: &[u8], other: &[u8]) {
        let (one, other) = (image::load_from_memory(one).unwrap(), image::load_from_memory(other).unwrap());
        assert_eq!(one.into_rgb8(), other.into_rgb8());
    }

    #[test]
    fn a_jpeg_says_no_more_where_it_was_taken_and_shows_the_same() {
        let photo = photo();
        assert!(has(&photo) && Kind::of(&photo) == Some(Kind::Jpeg));
        let stripped = strip(Kind::Jpeg, &photo).unwrap();
        assert!(!has(&stripped));
        same_pixels(&photo, &stripped);
        let exif = stripped.windows(6).position(|window| window == b"Exif\0\0").expect("its direction is kept");
        assert_eq!(direction(&stripped[exif + 6..]), Some(6));
        assert_eq!(strip(Kind::Jpeg, &stripped).unwrap(), stripped, "once is enough");
    }

    #[test]
    fn the_small_picture_of_jfif_goes_and_how_dense_pixels_are_stays() {
        let plain = pixels(ImageFormat::Jpeg);
        assert_eq!(plain[2..11], *b"\xff\xe0\x00\x10JFIF\0");
        let small = [&plain[6..18], &[1, 7], &[9; 21], SECRET].concat();
        let extension = [&b"JFXX\0\x13"[..], SECRET].concat();
        let jfif = [segment(0xe0, &small), segment(0xe0, &extension), segment(0xe0, &small)].concat();
        let photo = [&plain[..2], &jfif, &plain[20..]].concat();
        let stripped = strip(Kind::Jpeg, &photo).unwrap();
        assert!(has(&photo) && !has(&stripped));
        assert_eq!(stripped, plain);
        same_pixels(&photo, &stripped);
        // Cut off where it says how dense pixels are: it says nothing.
        let short = [&plain[..2], &segment(0xe0, b"JFIF\0\x01"), &plain[20..]].concat();
        assert_eq!(strip(Kind::Jpeg, &short).unwrap(), [&plain[..2], &plain[20..]].concat());
    }

    #[test]
    fn a_png_says_no_more_where_it_was_taken_and_shows_the_same() {
        let plain = pixels(ImageFormat::Png);
        let chunk = |name: &[u8]| [&(SECRET.len() as u32).to_be_bytes(), name, SECRET, &[0; 4]].concat();
        let at = 8 + 25;
        let png = [&plain[..at], &chunk(b"eXIf"), &chunk(b"tEXt"), &chunk(b"prVt"), &plain[at..], SECRET].concat();
        let stripped = strip(Kind::Png, &png).unwrap();
        assert!(has(&png) && !has(&stripped));
        same_pixels(&plain, &stripped);
    }

    #[test]
    fn a_webp_says_no_more_where_it_was_taken() {
        let chunk = |name: &[u8], body: &[u8]| {
            let filling = if body.len() % 2 == 1 { &[0][..] } else { &[] };
            [name, &(body.len() as u32).to_le_bytes(), body, filling].concat()
        };
        let parts =
            [chunk(b"VP8X", &[0x1c, 0, 0, 0, 9, 0, 0, 9, 0, 0]), chunk(b"VP8L", b"pixel"), chunk(b"EXIF", SECRET)];
        let body = [&b"WEBP"[..], &parts.concat()].concat();
        let webp = [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body, SECRET].concat();
        let stripped = strip(Kind::Webp, &webp).unwrap();
        assert!(has(&webp) && !has(&stripped));
        assert_eq!(stripped[20], 0x10, "it does not say that there is any");
        assert_eq!(u32::from_le_bytes(stripped[4..8].try_into().unwrap()) as usize, stripped.len() - 8);
    }

    #[test]
    fn a_gif_says_no_more_than_its_frames() {
        let start = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff";
        let repeat = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0";
        let frame = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
        let comment = [&b"\x21\xfe"[..], &[SECRET.len() as u8], SECRET, &[0]].concat();
        let xmp = [&b"\x21\xff\x0bXMP DataXMP"[..], &[SECRET.len() as u8], SECRET, &[0]].concat();
        let gif = [&start[..], repeat, &comment, &xmp, frame, b"\x3b", SECRET].concat();
        let stripped = strip(Kind::Gif, &gif).unwrap();
        assert_eq!(stripped, [&start[..], repeat, frame, b"\x3b"].concat());
    }

    #[test]
    fn what_can_not_be_told_apart_is_refused_and_no_bytes_break_it() {
        assert_eq!(strip(Kind::of(b"II*\0....").unwrap(), b"II*\0...."), Err(StripError::Format));
        assert_eq!(Kind::of(b"\0\0\0\x18ftypheic"), Some(Kind::Heif));
        assert_eq!(Kind::of(b"plain text"), None);
        let whole = photo();
        for len in 0..whole.len() - SECRET.len() - 1 {
            assert_eq!(strip(Kind::Jpeg, &whole[..len]), Err(StripError::Damaged), "{len}");
        }
        use proptest::prelude::*;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let samples =
            [photo(), pixels(ImageFormat::Png), b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff\x21\xfe".to_vec()];
        let changed = (0..3_usize, prop::collection::vec((any::<u16>(), any::<u8>()), 1..20));
        runner
            .run(&changed, |(which, changes)| {
                let mut bytes = samples[which].clone();
                for (at, byte) in changes {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] = byte;
                }
                for kind in [Kind::Jpeg, Kind::Png, Kind::Webp, Kind::Gif] {
                    if let Ok(stripped) = strip(kind, &bytes) {
                        prop_assert!(stripped.len() <= bytes.len() + 36);
                    }
                }
                Ok(())
            })
            .unwrap();
    }
}
