//! Pictures and label maps in memory.

use std::ops::Range;

use super::PixelError;

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left column.
    pub x: usize,
    /// Top row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The values of a picture, 8 or 16 bits each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 0..=255.
    U8(Vec<u8>),
    /// 0..=65535.
    U16(Vec<u16>),
}

/// A picture: interleaved rows, top to bottom, gray (1 channel) or RGB (3 channels).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    samples: Samples,
}

impl Picture {
    /// A picture from its values.
    ///
    /// # Errors
    /// A side or number of channels of zero, or a number of values that does not fit them.
    pub fn new(width: usize, height: usize, channels: usize, samples: Samples) -> Result<Self, PixelError> {
        let found = match &samples {
            Samples::U8(values) => values.len(),
            Samples::U16(values) => values.len(),
        };
        let expected = width.checked_mul(height).and_then(|area| area.checked_mul(channels));
        if expected == Some(found) && found > 0 {
            Ok(Self { width, height, channels, samples })
        } else {
            Err(PixelError::Length { width, height, channels, found })
        }
    }

    /// A picture from 8-bit values. Errors as in [`Self::new`].
    ///
    /// # Errors
    /// A side or number of channels of zero, or a number of values that does not fit them.
    pub fn from_u8(width: usize, height: usize, channels: usize, values: Vec<u8>) -> Result<Self, PixelError> {
        Self::new(width, height, channels, Samples::U8(values))
    }

    /// A picture of one colour, with one channel for each of its values.
    ///
    /// # Panics
    /// When a side is zero or the colour is empty.
    pub fn filled(width: usize, height: usize, color: &[u8]) -> Self {
        assert!(width > 0 && height > 0 && !color.is_empty(), "a picture has pixels and channels");
        let samples = Samples::U8(color.repeat(width * height));
        Self { width, height, channels: color.len(), samples }
    }

    /// Pixels in a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// 1 (gray) or 3 (RGB).
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// The values, interleaved.
    pub const fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Bits of a value, 8 or 16.
    pub const fn bits(&self) -> u8 {
        match self.samples {
            Samples::U8(_) => 8,
            Samples::U16(_) => 16,
        }
    }

    /// The channels of one pixel of an 8-bit picture.
    ///
    /// # Panics
    /// Outside the picture, or when it has 16 bits.
    pub fn pixel(&self, x: usize, y: usize) -> &[u8] {
        assert!(x < self.width && y < self.height, "pixel ({x}, {y}) lies inside {}x{}", self.width, self.height);
        match &self.samples {
            Samples::U8(values) => &values[(y * self.width + x) * self.channels..][..self.channels],
            Samples::U16(_) => panic!("pixel() looks into 8-bit pictures"),
        }
    }

    /// A part of the picture.
    ///
    /// # Panics
    /// When the part does not lie inside.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        assert!(x + width <= self.width && y + height <= self.height, "the part lies inside the picture");
        let (stride, row) = (self.width * self.channels, x * self.channels..(x + width) * self.channels);
        let samples = match &self.samples {
            Samples::U8(values) => Samples::U8(crop_rows(values, stride, y..y + height, row)),
            Samples::U16(values) => Samples::U16(crop_rows(values, stride, y..y + height, row)),
        };
        Self { width, height, channels: self.channels, samples }
    }

    /// Left and right exchanged.
    pub fn flip_horizontal(&self) -> Self {
        self.gather(self.width, self.height, |x, y| (self.width - 1 - x, y))
    }

    /// Top and bottom exchanged.
    pub fn flip_vertical(&self) -> Self {
        self.gather(self.width, self.height, |x, y| (x, self.height - 1 - y))
    }

    /// Turned clockwise by quarter turns.
    pub fn rotate_quarter(&self, turns: u8) -> Self {
        let (width, height) = (self.width, self.height);
        match turns % 4 {
            0 => self.clone(),
            1 => self.gather(height, width, |x, y| (y, height - 1 - x)),
            2 => self.gather(width, height, |x, y| (width - 1 - x, height - 1 - y)),
            _ => self.gather(height, width, |x, y| (width - 1 - y, x)),
        }
    }

    /// Gray made RGB or RGB made gray (ITU-R 601-2 luma, as Pillow's mode `L`).
    ///
    /// # Panics
    /// For numbers of channels other than 1 and 3.
    pub fn to_channels(&self, channels: usize) -> Self {
        assert!(matches!((self.channels, channels), (1 | 3, 1 | 3)), "pictures are gray or RGB");
        let samples = match (self.channels, channels, &self.samples) {
            (1, 3, Samples::U8(values)) => Samples::U8(values.iter().flat_map(|&v| [v; 3]).collect()),
            (1, 3, Samples::U16(values)) => Samples::U16(values.iter().flat_map(|&v| [v; 3]).collect()),
            (3, 1, Samples::U8(values)) => Samples::U8(
                values.chunks_exact(3).map(|c| luma([c[0].into(), c[1].into(), c[2].into()]) as u8).collect(),
            ),
            (3, 1, Samples::U16(values)) => Samples::U16(
                values.chunks_exact(3).map(|c| luma([c[0].into(), c[1].into(), c[2].into()]) as u16).collect(),
            ),
            _ => return self.clone(),
        };
        Self { channels, samples, ..*self }
    }

    /// 16-bit values rounded to 8 bits.
    pub fn to_u8(&self) -> Self {
        let samples = match &self.samples {
            Samples::U8(_) => return self.clone(),
            Samples::U16(values) => Samples::U8(values.iter().map(|&v| ((u32::from(v) + 128) / 257) as u8).collect()),
        };
        Self { samples, ..*self }
    }

    /// Puts an 8-bit picture over a part of this one.
    ///
    /// # Panics
    /// When it does not lie inside, or bits or channels differ.
    pub fn paste(&mut self, other: &Self, x: usize, y: usize) {
        assert!(x + other.width <= self.width && y + other.height <= self.height, "the picture lies inside");
        assert_eq!(self.channels, other.channels, "both pictures have the same channels");
        let (Samples::U8(to), Samples::U8(from)) = (&mut self.samples, &other.samples) else {
            panic!("both pictures have 8 bits")
        };
        let length = other.width * self.channels;
        for (row, values) in from.chunks_exact(length).enumerate() {
            to[((y + row) * self.width + x) * self.channels..][..length].copy_from_slice(values);
        }
    }

    /// A picture whose pixel (x, y) is this one's pixel `place(x, y)`.
    fn gather(&self, width: usize, height: usize, place: impl Fn(usize, usize) -> (usize, usize)) -> Self {
        let samples = match &self.samples {
            Samples::U8(values) => Samples::U8(gather(values, self.width, self.channels, (width, height), place)),
            Samples::U16(values) => Samples::U16(gather(values, self.width, self.channels, (width, height), place)),
        };
        Self { width, height, channels: self.channels, samples }
    }
}

fn luma([red, green, blue]: [u64; 3]) -> u64 {
    (red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16
}

fn crop_rows<T: Copy>(values: &[T], stride: usize, rows: Range<usize>, row: Range<usize>) -> Vec<T> {
    let mut result = Vec::with_capacity(rows.len() * row.len());
    rows.for_each(|y| result.extend_from_slice(&values[y * stride..][row.clone()]));
    result
}

fn gather<T: Copy>(
    values: &[T],
    stride: usize,
    channels: usize,
    size: (usize, usize),
    place: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<T> {
    // A pixel of known length is moved by one instruction instead of a call.
    match channels {
        1 => gather_pixels::<T, 1>(values, stride, size, place),
        3 => gather_pixels::<T, 3>(values, stride, size, place),
        _ => (0..size.0 * size.1)
            .flat_map(|at| {
                let (column, row) = place(at % size.0, at / size.0);
                &values[(row * stride + column) * channels..][..channels]
            })
            .copied()
            .collect(),
    }
}

fn gather_pixels<T: Copy, const CHANNELS: usize>(
    values: &[T],
    stride: usize,
    (width, height): (usize, usize),
    place: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<T> {
    let pixels = values.as_chunks::<CHANNELS>().0;
    let mut result = Vec::with_capacity(width * height);
    for y in 0..height {
        result.extend((0..width).map(|x| {
            let (column, row) = place(x, y);
            pixels[row * stride + column]
        }));
    }
    result.into_flattened()
}

/// A map of ids, one per pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    width: usize,
    height: usize,
    ids: Vec<u32>,
}

impl LabelMap {
    /// A map from its ids.
    ///
    /// # Errors
    /// A side of zero, or a number of ids that does not fit.
    pub fn new(width: usize, height: usize, ids: Vec<u32>) -> Result<Self, PixelError> {
        if width.checked_mul(height) == Some(ids.len()) && !ids.is_empty() {
            Ok(Self { width, height, ids })
        } else {
            Err(PixelError::Length { width, height, channels: 1, found: ids.len() })
        }
    }

    /// Pixels in a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The ids, row by row.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The id of one pixel.
    ///
    /// # Panics
    /// Outside the map.
    pub fn id(&self, x: usize, y: usize) -> u32 {
        assert!(x < self.width && y < self.height, "pixel ({x}, {y}) lies inside {}x{}", self.width, self.height);
        self.ids[y * self.width + x]
    }

    /// A part of the map.
    ///
    /// # Panics
    /// When the part does not lie inside.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        assert!(x + width <= self.width && y + height <= self.height, "the part lies inside the map");
        self.gather(width, height, |column, row| (x + column, y + row))
    }

    /// Left and right exchanged.
    pub fn flip_horizontal(&self) -> Self {
        self.gather(self.width, self.height, |x, y| (self.width - 1 - x, y))
    }

    /// Top and bottom exchanged.
    pub fn flip_vertical(&self) -> Self {
        self.gather(self.width, self.height, |x, y| (x, self.height - 1 - y))
    }

    /// Turned clockwise by quarter turns.
    pub fn rotate_quarter(&self, turns: u8) -> Self {
        let (width, height) = (self.width, self.height);
        match turns % 4 {
            0 => self.clone(),
            1 => self.gather(height, width, |x, y| (y, height - 1 - x)),
            2 => self.gather(width, height, |x, y| (width - 1 - x, height - 1 - y)),
            _ => self.gather(height, width, |x, y| (width - 1 - y, x)),
        }
    }

    /// The first pixel, row by row, whose id is not below `count`: column, row and id.
    pub fn first_out_of_range(&self, count: usize) -> Option<(usize, usize, u32)> {
        let at = self.ids.iter().position(|&id| id as usize >= count)?;
        Some((at % self.width, at / self.width, self.ids[at]))
    }

    /// A picture of the map for people: every id its own colour, neighbours far apart.
    pub fn to_colors(&self) -> Picture {
        let values = self.ids.iter().flat_map(|&id| color_of(id)).collect();
        Picture { width: self.width, height: self.height, channels: 3, samples: Samples::U8(values) }
    }

    pub(super) fn gather(&self, width: usize, height: usize, place: impl Fn(usize, usize) -> (usize, usize)) -> Self {
        Self { width, height, ids: gather(&self.ids, self.width, 1, (width, height), place) }
    }
}

/// Hues by the golden ratio, in three steps of lightness; id 0 is black.
fn color_of(id: u32) -> [u8; 3] {
    if id == 0 {
        return [0; 3];
    }
    let hue = f64::from(id) * 0.618_033_988_75 % 1.0 * 6.0;
    let light = [0.95, 0.7, 0.5][(id % 3) as usize];
    let channel = |shift: f64| {
        let distance = ((hue + shift) % 6.0 - 3.0).abs();
        (255.0 * light * (0.2 + 0.8 * (distance - 1.0).clamp(0.0, 1.0))) as u8
    };
    [channel(0.0), channel(4.0), channel(2.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> Picture {
        Picture::from_u8(3, 2, 1, (0..6).collect()).expect("six values")
    }

    #[test]
    fn turns_and_flips_move_every_pixel_where_it_belongs() {
        let values = |picture: Picture| match picture.samples {
            Samples::U8(values) => values,
            Samples::U16(_) => unreachable!("8-bit in, 8-bit out"),
        };
        assert_eq!(values(counting().flip_horizontal()), [2, 1, 0, 5, 4, 3]);
        assert_eq!(values(counting().flip_vertical()), [3, 4, 5, 0, 1, 2]);
        assert_eq!(values(counting().rotate_quarter(1)), [3, 0, 4, 1, 5, 2]);
        assert_eq!(values(counting().rotate_quarter(2)), [5, 4, 3, 2, 1, 0]);
        assert_eq!(counting().rotate_quarter(1).rotate_quarter(3), counting());
        assert_eq!(values(counting().crop(1, 0, 2, 2)), [1, 2, 4, 5]);
        let map = LabelMap::new(3, 2, (0..6).collect()).expect("six ids");
        assert_eq!(map.rotate_quarter(1).ids(), [3, 0, 4, 1, 5, 2]);
        assert_eq!(map.first_out_of_range(4), Some((1, 1, 4)));
        assert_eq!(map.first_out_of_range(6), None);
    }

    #[test]
    fn gray_and_rgb_change_into_each_other_with_the_known_weights() {
        let red = Picture::filled(1, 1, &[255, 0, 0]).to_channels(1);
        assert_eq!(red.pixel(0, 0), [76]);
        assert_eq!(counting().to_channels(3).to_channels(1), counting());
    }

    #[test]
    fn numbers_of_values_that_do_not_fit_are_errors() {
        assert!(Picture::from_u8(3, 2, 3, vec![0; 17]).is_err());
        assert!(Picture::from_u8(0, 2, 3, vec![]).is_err());
        assert!(Picture::from_u8(usize::MAX, 2, 3, vec![0; 6]).is_err());
        assert!(LabelMap::new(2, 2, vec![0; 3]).is_err());
    }

    #[test]
    fn sixteen_bits_round_to_eight() {
        let deep = Picture::new(3, 1, 1, Samples::U16(vec![0, 32_768, 65_535])).expect("three values");
        assert_eq!(deep.to_u8().samples(), &Samples::U8(vec![0, 128, 255]));
    }
}
