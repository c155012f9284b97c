//! A translation on its way into a GeoTIFF.

use super::{Imagery, Rows};
use crate::pixel::{Picture, PixelError, Planes, Rect, Samples, Sink};

/// What becomes of pixels where the source has none.
#[derive(Clone, Copy)]
pub enum Gaps<'a> {
    /// There are none.
    None,
    /// They are transparent: a fourth channel, and gray becomes colour.
    Alpha(&'a Imagery),
    /// They have this value, and no other pixel has it in any band.
    Value(&'a Imagery, u8),
}

impl Gaps<'_> {
    /// Channels of the file for so many of the network.
    pub const fn channels(&self, channels: usize) -> usize {
        match self {
            Self::Alpha(_) => 4,
            _ => channels,
        }
    }
}

/// Puts the parts of a translation together to rows.
pub struct RowSink<'a> {
    rows: &'a mut dyn Rows,
    width: usize,
    gaps: Gaps<'a>,
    band: Vec<u8>,
}

impl<'a> RowSink<'a> {
    /// For a picture of this width.
    pub const fn new(rows: &'a mut dyn Rows, width: usize, gaps: Gaps<'a>) -> Self {
        Self { rows, width, gaps, band: Vec::new() }
    }
}

impl Sink for RowSink<'_> {
    fn take(&mut self, part: Rect, values: &Planes) -> Result<(), PixelError> {
        let picture = Picture::from_planes(values);
        let Samples::U8(samples) = picture.samples() else { unreachable!("planes become 8 bits") };
        let (from, to) = (values.channels, self.gaps.channels(values.channels));
        self.band.resize(self.width * part.height * to, 0);
        let opacity = match self.gaps {
            Gaps::None => None,
            Gaps::Alpha(imagery) | Gaps::Value(imagery, _) => imagery.opacity(part)?,
        };
        for y in 0..part.height {
            let start = (y * self.width + part.x) * to;
            let row = self.band[start..start + part.width * to].chunks_exact_mut(to);
            for (x, pixel) in row.enumerate() {
                let at = y * part.width + x;
                let sample = &samples[at * from..][..from];
                let opacity = opacity.as_ref().map_or(255, |opacity| opacity[at]);
                match self.gaps {
                    Gaps::None => pixel.copy_from_slice(sample),
                    Gaps::Alpha(_) => {
                        pixel[..3].iter_mut().enumerate().for_each(|(at, to)| *to = sample[at.min(from - 1)]);
                        pixel[3] = opacity;
                    }
                    Gaps::Value(_, value) if opacity == 0 => pixel.fill(value),
                    Gaps::Value(_, value) => {
                        let other = if value == 255 { 254 } else { value + 1 };
                        pixel
                            .iter_mut()
                            .zip(sample)
                            .for_each(|(to, &from)| *to = if from == value { other } else { from });
                    }
                }
            }
        }
        if part.x + part.width == self.width {
            self.rows.rows(&self.band)?;
            self.band.clear();
        }
        Ok(())
    }
}
