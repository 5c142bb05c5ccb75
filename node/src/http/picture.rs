//! QR codes: links as pictures, pictures as links.
//!
//! A code is written at low correction (a screen is clean) with the quiet zone of four modules the standard asks for. A
//! picture from elsewhere is hostile: its size is bounded before anything is decoded, decoding has a bound on memory, and
//! only PNG and JPEG are understood. Both take CPU time: call them where blocking is allowed.

use std::io::Cursor;

use image::{ImageEncoder, ImageReader, Limits};
use parlor_api::{Code, Problem};
use qrcode::render::{svg, unicode};
use qrcode::{Color, EcLevel, QrCode};

use super::limits;

/// Widest picture that is decoded, in pixels: a photograph of 64 megapixels.
const SIDE_MAX: u32 = 12_000;

/// Memory for decoding: one such photograph in colour.
const DECODE_MAX: u64 = 256 << 20;

/// Pictures wider than this are made smaller before the search: a code is found as well and ten times faster.
const SEARCH_SIDE: u32 = 1_600;

/// Pixels a module in a PNG.
const MODULE: u32 = 10;

/// Modules of quiet zone around a code.
const QUIET: u32 = 4;

/// A form of a QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A picture with ten pixels a module.
    Png,
    /// A drawing.
    Svg,
    /// Half blocks for a terminal with a dark background.
    Terminal,
    /// Half blocks for a terminal with a light background.
    TerminalLight,
}

/// A QR code that says `text`.
///
/// # Errors
/// `too_long`, `empty_text`.
pub(crate) fn write_qr(text: &str, form: Form) -> Result<Vec<u8>, Problem> {
    if text.is_empty() {
        return Err(Problem::of(Code::EmptyText));
    }
    let too_long = || Problem::new(Code::TooLong, "the text does not fit a QR code that a phone can read");
    if text.len() > limits::QR_TEXT_MAX {
        return Err(too_long());
    }
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_| too_long())?;
    match form {
        Form::Png => png(&code),
        Form::Svg => Ok(code.render::<svg::Color<'_>>().min_dimensions(280, 280).build().into_bytes()),
        // On a dark background a lit block is a light module.
        Form::Terminal => Ok(terminal(&code, unicode::Dense1x2::Light, unicode::Dense1x2::Dark)),
        Form::TerminalLight => Ok(terminal(&code, unicode::Dense1x2::Dark, unicode::Dense1x2::Light)),
    }
}

fn terminal(code: &QrCode, dark: unicode::Dense1x2, light: unicode::Dense1x2) -> Vec<u8> {
    code.render::<unicode::Dense1x2>().dark_color(dark).light_color(light).build().into_bytes()
}

fn png(code: &QrCode) -> Result<Vec<u8>, Problem> {
    let modules = u32::try_from(code.width()).unwrap_or(0);
    let side = (modules + 2 * QUIET) * MODULE;
    let colors = code.to_colors();
    let mut pixels = vec![255; (side * side) as usize];
    for (i, _) in colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        let (row, column) = (i / code.width(), i % code.width());
        let left = (column as u32 + QUIET) * MODULE;
        let top = (row as u32 + QUIET) * MODULE;
        for y in top..top + MODULE {
            let from = (y * side + left) as usize;
            pixels[from..from + MODULE as usize].fill(0);
        }
    }
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png)
        .write_image(&pixels, side, side, image::ExtendedColorType::L8)
        .map_err(|e| Problem::new(Code::Internal, format!("could not write the picture: {e}")))?;
    Ok(png)
}

/// What the QR code in a PNG or JPEG picture says.
///
/// # Errors
/// `no_qr`: no picture, one that is too large, or one in which no code is found; `too_long` for a file of too many bytes.
pub(crate) fn read_qr(picture: &[u8]) -> Result<String, Problem> {
    if picture.len() > parlor_api::PICTURE_MAX {
        return Err(Problem::new(Code::TooLong, "the picture has too many bytes").hint("make it smaller than 16 MiB"));
    }
    let bad =
        |why: &str| Problem::new(Code::NoQr, why).hint("use a sharp PNG or JPEG picture, or copy the link itself");
    let mut reader = ImageReader::new(Cursor::new(picture))
        .with_guessed_format()
        .map_err(|_| bad("the file is no PNG or JPEG picture"))?;
    let mut bounds = Limits::default();
    bounds.max_image_width = Some(SIDE_MAX);
    bounds.max_image_height = Some(SIDE_MAX);
    bounds.max_alloc = Some(DECODE_MAX);
    reader.limits(bounds);
    let decoded = reader.decode().map_err(|e| match e {
        image::ImageError::Limits(_) => bad("the picture is too large"),
        _ => bad("the file is no whole PNG or JPEG picture"),
    })?;
    let grey = if decoded.width().max(decoded.height()) > SEARCH_SIDE {
        // The smaller one is tried first; a small code in a large photograph needs all pixels.
        let small = decoded.thumbnail(SEARCH_SIDE, SEARCH_SIDE).into_luma8();
        match search(small) {
            Some(text) => return Ok(text),
            None => decoded.into_luma8(),
        }
    } else {
        decoded.into_luma8()
    };
    search(grey).ok_or_else(|| bad("no QR code was found in the picture"))
}

fn search(grey: image::GrayImage) -> Option<String> {
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let pixels = grey.into_raw();
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        pixels.get(y * width + x).copied().unwrap_or(255)
    });
    prepared.detect_grids().iter().find_map(|grid| grid.decode().ok().map(|(_, text)| text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str =
        "parlor://join/1/AZmSrxMfYyx0YzW0gZ9jpZlyKq3vS1xq8mJ2aLk4f0qVJ4cVnW7bG3sR5tU8iO1pEaDdFfGgHhJjKkLl";

    #[test]
    fn a_picture_of_a_link_says_the_link() {
        let long = format!("{LINK}{}", "Zx9-_".repeat(60));
        for link in [LINK, &long, "PARLOR://JOIN/1/ABC234"] {
            assert_eq!(read_qr(&write_qr(link, Form::Png).unwrap()).unwrap(), link);
        }
    }

    #[test]
    fn a_photograph_as_jpeg_of_another_size_says_the_link() {
        let png = write_qr(LINK, Form::Png).unwrap();
        let picture = image::load_from_memory(&png).unwrap();
        let side = picture.width() * 3;
        let larger = picture.resize(side, side, image::imageops::FilterType::Triangle);
        let mut jpeg = Cursor::new(Vec::new());
        larger.to_rgb8().write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        assert_eq!(read_qr(jpeg.get_ref()).unwrap(), LINK);
    }

    #[test]
    fn a_code_for_the_terminal_has_a_quiet_zone_and_fits_80_columns() {
        let text = String::from_utf8(write_qr(&"A".repeat(300), Form::Terminal).unwrap()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.iter().all(|l| l.chars().count() <= 80), "{text}");
        assert!(lines[0].chars().all(|c| c == '█'), "{text}");
        // The last line may be half a block high.
        assert!(lines.iter().all(|l| l.starts_with("████") || l.starts_with("▀▀▀▀")), "{text}");
    }

    #[test]
    fn what_is_no_picture_with_a_code_is_refused() {
        let mut blank = Cursor::new(Vec::new());
        image::GrayImage::from_pixel(64, 64, image::Luma([255])).write_to(&mut blank, image::ImageFormat::Png).unwrap();
        let whole = write_qr(LINK, Form::Png).unwrap();
        for picture in [&b""[..], b"hello", blank.get_ref(), &whole[..whole.len() / 2]] {
            assert_eq!(read_qr(picture).unwrap_err().code, Code::NoQr);
        }
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused_before_decoding() {
        let mut bomb = write_qr(LINK, Form::Png).unwrap();
        // Width and height of the header chunk, and its checksum.
        bomb[16..24].copy_from_slice(&[0x00, 0x01, 0x86, 0xa0, 0x00, 0x01, 0x86, 0xa0]);
        let crc = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        let problem = read_qr(&bomb).unwrap_err();
        assert_eq!((problem.code, problem.detail.as_str()), (Code::NoQr, "the picture is too large"));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc: u32, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
    }
}
