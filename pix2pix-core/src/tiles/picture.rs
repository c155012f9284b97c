//! Pictures of tiles: colour and opacity, cut into tiles and halved for the next zoom.

/// Interleaved rows of red, green, blue and opacity, 0 to 255; colours under nothing are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TilePicture {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

impl TilePicture {
    /// Nothing.
    pub fn empty(width: usize, height: usize) -> Self {
        Self { width, height, values: vec![0; 4 * width * height] }
    }

    /// From its values; `None` when their number does not fit.
    pub fn from_values(width: usize, height: usize, values: Vec<u8>) -> Option<Self> {
        (values.len() == 4 * width * height).then_some(Self { width, height, values })
    }

    /// Pixels in a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The values.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// The pixels of a row.
    pub fn row_mut(&mut self, y: usize) -> &mut [[u8; 4]] {
        let (pixels, _) = self.values[4 * y * self.width..][..4 * self.width].as_chunks_mut();
        pixels
    }

    /// All pixels.
    pub fn pixels(&self) -> &[[u8; 4]] {
        self.values.as_chunks().0
    }

    /// Whether there is nothing on it.
    pub fn is_empty(&self) -> bool {
        self.pixels().iter().all(|pixel| pixel[3] == 0)
    }

    /// Whether nothing shines through.
    pub fn is_opaque(&self) -> bool {
        self.pixels().iter().all(|pixel| pixel[3] == 255)
    }

    /// A part; what lies outside is nothing.
    pub fn part(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        let mut part = Self::empty(width, height);
        part.paste(self, (0, 0), (x, y));
        part
    }

    /// Puts another picture, from its pixel `from` on, at `to`.
    pub fn paste(&mut self, other: &Self, to: (usize, usize), from: (usize, usize)) {
        let width = other.width.saturating_sub(from.0).min(self.width.saturating_sub(to.0));
        let height = other.height.saturating_sub(from.1).min(self.height.saturating_sub(to.1));
        for row in 0..height {
            let source = 4 * ((from.1 + row) * other.width + from.0);
            let target = 4 * ((to.1 + row) * self.width + to.0);
            self.values[target..][..4 * width].copy_from_slice(&other.values[source..][..4 * width]);
        }
    }

    /// Half of both sides, which are even: the mean of four pixels, weighted by opacity.
    pub fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut half = Self::empty(width, height);
        for y in 0..height {
            let rows = [0, 1].map(|row| &self.pixels()[(2 * y + row) * self.width..][..self.width]);
            for (x, to) in half.row_mut(y).iter_mut().enumerate() {
                let four = [rows[0][2 * x], rows[0][2 * x + 1], rows[1][2 * x], rows[1][2 * x + 1]];
                *to = mean(four);
            }
        }
        half
    }
}

fn mean(four: [[u8; 4]; 4]) -> [u8; 4] {
    let opacity = four.iter().map(|pixel| u32::from(pixel[3])).sum::<u32>();
    if opacity == 0 {
        return [0; 4];
    }
    let channel = |channel: usize| {
        let sum = four.iter().map(|pixel| u32::from(pixel[channel]) * u32::from(pixel[3])).sum::<u32>();
        ((sum + opacity / 2) / opacity) as u8
    };
    [channel(0), channel(1), channel(2), ((opacity + 2) / 4) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_means_and_nothing_does_not_darken_them() {
        let pixels = [[100, 0, 0, 255], [200, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 0]];
        let picture = TilePicture::from_values(2, 2, pixels.concat()).expect("four pixels");
        assert_eq!(picture.halved().pixels(), [[150, 0, 0, 128]]);
        let pixels = [[1, 10, 255, 255], [2, 10, 255, 255], [2, 10, 255, 255], [2, 20, 255, 255]];
        let picture = TilePicture::from_values(2, 2, pixels.concat()).expect("four pixels");
        assert_eq!(picture.halved().pixels(), [[2, 13, 255, 255]]);
        assert!(TilePicture::empty(2, 2).halved().is_empty());
    }

    #[test]
    fn parts_beyond_the_edge_are_empty() {
        let mut picture = TilePicture::empty(2, 1);
        picture.row_mut(0)[1] = [1, 2, 3, 255];
        let part = picture.part(1, 0, 2, 2);
        assert_eq!(part.pixels(), [[1, 2, 3, 255], [0; 4], [0; 4], [0; 4]]);
        assert!(!part.is_opaque() && !part.is_empty());
    }
}
