//! Pictures that need not be in memory as a whole.

use super::{PixelError, Planes, Rect};

/// What a picture is read from, part by part.
pub trait Canvas {
    /// Width and height.
    fn size(&self) -> (usize, usize);

    /// The values of a part that lies inside, as the network takes them.
    ///
    /// # Errors
    /// What the file behind it has.
    fn read(&self, part: Rect) -> Result<Planes, PixelError>;
}

/// Where the translation goes, part by part: from left to right, then downwards, every pixel once.
pub trait Sink {
    /// Takes a part.
    ///
    /// # Shapes
    /// - `values`: `[target_channels, part.height, part.width]`, values in `[-1, 1]`
    ///
    /// # Errors
    /// What the file behind it has.
    fn take(&mut self, part: Rect, values: &Planes) -> Result<(), PixelError>;
}
