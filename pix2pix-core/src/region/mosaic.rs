//! Several layers as one picture in the pixels of the world.

use crate::{
    geo::Layer,
    pixel::{Canvas, Picture, PixelError, Planes, Rect, value_to_byte},
    tiles::{TilePicture, World},
};

/// Rows that are drawn at a time.
const STRIP: usize = 512;

/// Layers over each other, the last on top. Columns and rows are counted from the first that a network's multiple begins at;
/// what lies before the data or beyond it is mirrored.
pub struct Mosaic {
    layers: Vec<Layer>,
    world: World,
    /// Where there is data, in the world's pixels.
    data: Rect,
    origin: (usize, usize),
    channels: usize,
    background: [u8; 3],
}

impl Mosaic {
    /// The layers at one zoom, for a network of so many channels whose sides are multiples of `align`.
    ///
    /// # Panics
    /// Without layers.
    pub fn new(layers: Vec<Layer>, world: World, align: usize, (channels, background): (usize, [u8; 3])) -> Self {
        let extents = layers.iter().map(|layer| layer.extent(world));
        let data = extents.reduce(around).expect("there is a layer");
        let origin = (data.x / align * align, data.y / align * align);
        Self { layers, world, data, origin, channels, background }
    }

    /// Where there is data, in the world's pixels.
    pub const fn data(&self) -> Rect {
        self.data
    }

    /// Its zoom.
    pub const fn world(&self) -> World {
        self.world
    }

    /// Some of the world's pixels in columns and rows of the mosaic, without what lies outside.
    pub fn within(&self, part: Rect) -> Option<Rect> {
        let (width, height) = self.size();
        let range = |start: usize, length: usize, origin: usize, side: usize| {
            let (first, end) = (start.max(origin) - origin, (start + length).saturating_sub(origin).min(side));
            (first < end).then(|| (first, end - first))
        };
        let (x, width) = range(part.x, part.width, self.origin.0, width)?;
        let (y, height) = range(part.y, part.height, self.origin.1, height)?;
        Some(Rect { x, y, width, height })
    }

    /// A part, in columns and rows of the mosaic, in the world's pixels.
    pub const fn to_world(&self, part: Rect) -> Rect {
        Rect { x: part.x + self.origin.0, y: part.y + self.origin.1, ..part }
    }

    /// Whether there may be anything in some of the world's pixels.
    pub fn holds(&self, part: Rect) -> bool {
        self.layers.iter().any(|layer| layer.holds(self.world, part))
    }

    /// Draws a part, in columns and rows of the mosaic.
    ///
    /// # Errors
    /// What the files have.
    pub fn draw(&self, part: Rect) -> Result<TilePicture, PixelError> {
        let columns = mirrored(self.origin.0 + part.x, part.width, self.data.x, self.data.width);
        let rows = mirrored(self.origin.1 + part.y, part.height, self.data.y, self.data.height);
        let ((x, width), (y, height)) = (range(&columns), range(&rows));
        let inside = self.drawn(Rect { x, y, width, height })?;
        if (width, height) == (part.width, part.height) && columns.is_sorted() && rows.is_sorted() {
            return Ok(inside);
        }
        let mut picture = TilePicture::empty(part.width, part.height);
        for (to, row) in rows.iter().enumerate() {
            let from = &inside.pixels()[(row - y) * width..][..width];
            picture.row_mut(to).iter_mut().zip(&columns).for_each(|(to, column)| *to = from[column - x]);
        }
        Ok(picture)
    }

    /// Draws a part of the data, in the world's pixels.
    fn drawn(&self, part: Rect) -> Result<TilePicture, PixelError> {
        let mut picture = TilePicture::empty(part.width, part.height);
        // In strips: values on their way take more memory than pixels.
        for top in (0..part.height).step_by(STRIP) {
            let strip = Rect { y: part.y + top, height: STRIP.min(part.height - top), ..part };
            for layer in self.layers.iter().filter(|layer| layer.holds(self.world, strip)) {
                let patch = layer.read(self.world, strip)?;
                for (y, row) in patch.pixels.chunks_exact(part.width).enumerate() {
                    let below = picture.row_mut(top + y).iter_mut();
                    below.zip(row).for_each(|(below, pixel)| *below = over(*below, *pixel));
                }
            }
        }
        Ok(picture)
    }

    /// What the network sees of a drawn part: nothing is the background.
    pub fn planes(&self, picture: &TilePicture) -> Planes {
        let solid = |pixel: &[u8; 4], channel: usize| {
            let (color, opacity) = (u32::from(pixel[channel]), u32::from(pixel[3]));
            ((color * opacity + u32::from(self.background[channel]) * (255 - opacity) + 127) / 255) as u8
        };
        let values = picture.pixels().iter();
        let values = match self.channels {
            1 => values.map(|pixel| solid(pixel, 0)).collect(),
            _ => values.flat_map(|pixel| [0, 1, 2].map(|channel| solid(pixel, channel))).collect(),
        };
        let picture = Picture::from_u8(picture.width(), picture.height(), self.channels, values);
        picture.expect("values for all pixels").to_planes()
    }
}

impl Canvas for Mosaic {
    fn size(&self) -> (usize, usize) {
        let Rect { x, y, width, height } = self.data;
        (x + width - self.origin.0, y + height - self.origin.1)
    }

    fn read(&self, part: Rect) -> Result<Planes, PixelError> {
        Ok(self.planes(&self.draw(part)?))
    }
}

/// A part of a mosaic that was drawn once, for as many looks as there are windows.
pub(super) struct Drawn<'a> {
    pub mosaic: &'a Mosaic,
    /// Where it lies in the mosaic.
    pub part: Rect,
    pub picture: TilePicture,
}

impl Canvas for Drawn<'_> {
    fn size(&self) -> (usize, usize) {
        self.mosaic.size()
    }

    fn read(&self, part: Rect) -> Result<Planes, PixelError> {
        assert!(
            part.x >= self.part.x
                && part.y >= self.part.y
                && part.x + part.width <= self.part.x + self.part.width
                && part.y + part.height <= self.part.y + self.part.height,
            "{part:?} lies within {:?}",
            self.part
        );
        let (x, y) = (part.x - self.part.x, part.y - self.part.y);
        Ok(self.mosaic.planes(&self.picture.part(x, y, part.width, part.height)))
    }
}

/// The smallest part that holds both.
fn around(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
    Rect { x, y, width: right - x, height: bottom - y }
}

/// Places from `start` on, folded back into `first..first + side` without repeating its ends.
fn mirrored(start: usize, count: usize, first: usize, side: usize) -> Vec<usize> {
    let period = 2 * side.saturating_sub(1).max(1);
    let fold = |at: usize| {
        let folded = (at + period * (first / period + 1) - first) % period;
        first + folded.min(period - folded).min(side - 1)
    };
    (start..start + count).map(fold).collect()
}

fn range(places: &[usize]) -> (usize, usize) {
    let first = places.iter().copied().min().unwrap_or(0);
    (first, places.iter().copied().max().unwrap_or(0) + 1 - first)
}

/// A pixel over another (Porter and Duff 1984).
fn over(below: [u8; 4], [red, green, blue, opacity]: [f32; 4]) -> [u8; 4] {
    let color = [red, green, blue].map(value_to_byte);
    let opacity = (opacity * 255.0).round() as u32;
    if opacity == 0 {
        return below;
    }
    if opacity == 255 || below[3] == 0 {
        return [color[0], color[1], color[2], opacity as u8];
    }
    // In 255ths of 255ths.
    let beneath = u32::from(below[3]) * (255 - opacity);
    let all = opacity * 255 + beneath;
    let mixed =
        |at: usize| ((u32::from(color[at]) * opacity * 255 + u32::from(below[at]) * beneath + all / 2) / all) as u8;
    [mixed(0), mixed(1), mixed(2), ((all + 127) / 255) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_mirrored_on_both_sides() {
        assert_eq!(mirrored(8, 10, 10, 4), [12, 11, 10, 11, 12, 13, 12, 11, 10, 11]);
        assert_eq!(mirrored(0, 3, 1, 1), [1, 1, 1]);
        assert_eq!(mirrored(5, 3, 0, 100), [5, 6, 7]);
    }

    #[test]
    fn pixels_over_each_other_mix_by_opacity() {
        assert_eq!(over([10, 20, 30, 255], [1.0, -1.0, 1.0, 1.0]), [255, 0, 255, 255]);
        assert_eq!(over([10, 20, 30, 255], [1.0, 1.0, 1.0, 0.0]), [10, 20, 30, 255]);
        let [red, green, _, opacity] = over([0, 200, 0, 255], [1.0, -1.0, -1.0, 0.5]);
        assert!((126..=129).contains(&red) && (99..=101).contains(&green) && opacity == 255);
        assert_eq!(over([0; 4], [1.0, 1.0, 1.0, 0.5])[3], 128);
    }
}
