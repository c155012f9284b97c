//! The run's report: one self-contained page.

use super::log::Record;

/// A picture file for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedImage {
    /// Its type, for example `image/jpeg`.
    pub mime: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// A fixed pair over the course of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The pair's name.
    pub name: String,
    /// Its source.
    pub source: EncodedImage,
    /// Its target.
    pub target: EncodedImage,
    /// Fakes, each after so many steps.
    pub fakes: Vec<(u64, EncodedImage)>,
}

/// A picture that training has not seen, translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The picture's name.
    pub name: String,
    /// The picture.
    pub source: EncodedImage,
    /// Its translation.
    pub fake: EncodedImage,
    /// What it should look like, where that is known.
    pub target: Option<EncodedImage>,
}

/// Loss of a discriminator that cannot tell real from fake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiscriminatorScale {
    /// The value of `d_real` and `d_fake` then.
    pub balanced: f32,
}

/// What the page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportInput {
    /// Name of the run.
    pub run_name: String,
    /// The resolved configuration.
    pub config_toml: String,
    /// The whole log.
    pub records: Vec<Record>,
    /// Fixed pairs over the course of the run.
    pub samples: Vec<Sample>,
    /// Unseen pictures, translated.
    pub translations: Vec<Translation>,
    /// Parameters of generator and discriminator.
    pub num_parameters: Option<(usize, usize)>,
    /// Version of this toolkit.
    pub version: String,
    /// The discriminator's scale.
    pub scale: DiscriminatorScale,
}

/// The page as one HTML file.
pub fn render(input: &ReportInput) -> String {
    format!("<!doctype html><title>{}</title>", input.run_name)
}
