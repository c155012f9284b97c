//! What can go wrong between a map picture and its polygons.

use std::io;

/// A picture that cannot be made into polygons, or polygons that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// The text of a palette is not understood.
    #[error("cannot read the palette")]
    PaletteText {
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// A palette of no classes.
    #[error("the palette holds no class, at least one `[[class]]` is expected")]
    NoClass,
    /// More classes than a label can tell apart.
    #[error("the palette holds {found} classes, at most {limit} are taken")]
    TooManyClasses {
        /// Number of classes found.
        found: usize,
        /// Most classes that are taken.
        limit: usize,
    },
    /// A class without a name.
    #[error("class {position} of the palette has an empty name")]
    NoName {
        /// Which class, from 1.
        position: usize,
    },
    /// Two classes of one name.
    #[error("the palette names class {name:?} twice")]
    SameName {
        /// The name.
        name: String,
    },
    /// A class without a colour.
    #[error("class {name:?} has no colour, expected `color` or `colors`")]
    NoColor {
        /// The class.
        name: String,
    },
    /// One colour for two classes, or twice for one.
    #[error("colour {color} stands for class {first:?} and again for class {second:?}")]
    SameColor {
        /// The colour, as `#rrggbb`.
        color: String,
        /// The class that has it first.
        first: String,
        /// The class that has it again.
        second: String,
    },
    /// Text that is no colour.
    #[error("{found:?} is no colour, expected \"#rrggbb\"")]
    Color {
        /// The text.
        found: String,
    },
    /// A picture of a kind that is not taken.
    #[error("the picture has {channels} channels of {bits} bits, expected 1 or 3 channels of 8 bits")]
    Kind {
        /// Channels of the picture.
        channels: usize,
        /// Bits of a value.
        bits: u8,
    },
    /// A picture without pixels, or with more than are taken.
    #[error("the picture has {width}x{height} pixels, from 1 to {limit} are taken")]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Most pixels that are taken.
        limit: usize,
    },
    /// Opacity or labels that do not fit the picture.
    #[error("{found} values of {what} were found, {expected} pixels are expected")]
    Length {
        /// What they are.
        what: &'static str,
        /// Number of values found.
        found: usize,
        /// Number of pixels.
        expected: usize,
    },
    /// A label that stands for no class.
    #[error("label {found} at column {x}, row {y} stands for no class, the palette holds {classes}")]
    Label {
        /// The label.
        found: u8,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A tolerance that is no distance.
    #[error("a tolerance of {found} pixels is no distance, expected 0 or more")]
    Tolerance {
        /// The tolerance.
        found: f64,
    },
    /// A corner of a pixel has no place on the earth.
    #[error("the pixel corner at column {x}, row {y} has no place, its coordinates are {place:?}")]
    Place {
        /// Column of the corner.
        x: i32,
        /// Row of the corner.
        y: i32,
        /// What the transform gave.
        place: [f64; 2],
    },
    /// The polygons cannot be written.
    #[error("cannot write the polygons")]
    Write {
        /// Why.
        #[from]
        source: io::Error,
    },
    /// Polygons that break a promise of this module.
    #[error("the polygons are not valid: {reason}")]
    Invalid {
        /// Which promise, and where.
        reason: String,
    },
}
