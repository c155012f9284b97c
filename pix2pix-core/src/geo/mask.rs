//! The mask of a GeoTIFF that lies in the file as a picture of one bit, as GDAL writes it.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use flate2::read::ZlibDecoder;
use tiff::{
    TiffResult,
    decoder::{ChunkType, Decoder},
    tags::Tag,
};

/// What the kind of a sub-picture (tag 254) says of masks.
const IS_MASK: u32 = 4;

/// Most bytes of a mask.
const MOST_BYTES: usize = 1 << 30;

/// One bit for each pixel.
pub(super) struct Bitmap {
    row: usize,
    bits: Vec<u8>,
}

impl Bitmap {
    /// Whether the pixel is there.
    pub fn get(&self, x: usize, y: usize) -> bool {
        self.bits[y * self.row + x / 8] >> (7 - x % 8) & 1 == 1
    }
}

type Reader = Decoder<BufReader<File>>;

/// Reads the mask of a picture of this size, when there is one.
pub(super) fn find(decoder: &mut Reader, size: (usize, usize)) -> Result<Option<Bitmap>, String> {
    let text = |error: tiff::TiffError| error.to_string();
    while decoder.more_images() {
        // A sub-picture of a kind that is not known is none of ours.
        if decoder.next_image().is_err() {
            return Ok(None);
        }
        let kind = decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType).map_err(text)?.unwrap_or(0);
        let (width, height) = decoder.dimensions().map_err(text)?;
        if kind & IS_MASK != 0 && (width as usize, height as usize) == size {
            return read(decoder, size).map(Some).map_err(|reason| format!("its mask cannot be read: {reason}"));
        }
    }
    Ok(None)
}

fn read(decoder: &mut Reader, (width, height): (usize, usize)) -> Result<Bitmap, String> {
    let number = |decoder: &mut Reader, tag, usual: u16| -> TiffResult<u16> {
        Ok(decoder.find_tag_unsigned(tag)?.unwrap_or(usual))
    };
    let text = |error: tiff::TiffError| error.to_string();
    let bits = number(decoder, Tag::BitsPerSample, 1).map_err(text)?;
    let compression = number(decoder, Tag::Compression, 1).map_err(text)?;
    if bits != 1 || !matches!(compression, 1 | 8 | 32_946) {
        return Err(format!("{bits} bits with compression {compression}; read is one bit, plain or deflate"));
    }
    let (size, offsets, lengths) = match decoder.get_chunk_type() {
        ChunkType::Strip => {
            let rows = decoder.chunk_dimensions().1.min(height as u32);
            ((width, rows as usize), Tag::StripOffsets, Tag::StripByteCounts)
        }
        ChunkType::Tile => {
            let (width, height) = decoder.chunk_dimensions();
            ((width as usize, height as usize), Tag::TileOffsets, Tag::TileByteCounts)
        }
    };
    let offsets = decoder.get_tag_u64_vec(offsets).map_err(text)?;
    let lengths = decoder.get_tag_u64_vec(lengths).map_err(text)?;
    let across = width.div_ceil(size.0);
    if offsets.len() != lengths.len() || offsets.len() < across * height.div_ceil(size.1) {
        return Err("parts of it are missing".into());
    }
    let row = width.div_ceil(8);
    if row.saturating_mul(height) > MOST_BYTES {
        return Err(format!("it has {width}x{height} pixels, at most {} are read", 8 * MOST_BYTES));
    }
    let mut bitmap = Bitmap { row, bits: vec![0; row * height] };
    let chunk_row = size.0.div_ceil(8);
    let mut bytes = Vec::new();
    for (at, (&offset, &length)) in offsets.iter().zip(&lengths).enumerate() {
        let (x, y) = (at % across * size.0, at / across * size.1);
        if y >= height || length == 0 {
            // Sparse files leave out what is all zero.
            continue;
        }
        bytes.clear();
        let most = (chunk_row * size.1) as u64;
        let from = decoder.inner();
        let read = from.seek(SeekFrom::Start(offset)).and_then(|_| {
            let packed = from.take(length);
            if compression == 1 {
                packed.take(most).read_to_end(&mut bytes)
            } else {
                ZlibDecoder::new(packed).take(most).read_to_end(&mut bytes)
            }
        });
        read.map_err(|error| error.to_string())?;
        // Tiles begin at whole bytes: their sides are multiples of 16.
        let count = chunk_row.min(row - x / 8);
        for (line, values) in bytes.chunks_exact(chunk_row).take(height - y).enumerate() {
            bitmap.bits[(y + line) * row + x / 8..][..count].copy_from_slice(&values[..count]);
        }
    }
    Ok(bitmap)
}
