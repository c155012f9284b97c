//! Pictures with a place on the earth, on their way through `p2p translate`.

use std::path::Path;

use anyhow::{Result, bail};
use pix2pix_core::{
    checkpoint::SourceKind,
    geo::{Gaps, GeoError, Georeference, Imagery, ImageryOptions, Raster, RasterSpec, RowSink, place_of, write_raster},
    pixel::Canvas,
    translate::{Source, Translator},
};

use crate::{
    args::GeoArgs,
    printer::line,
    windows::{Run, Seen},
};

/// What is translated.
pub enum Input {
    /// In memory.
    Source(Source),
    /// Read part by part.
    Imagery(Box<Imagery>),
}

impl Input {
    pub fn canvas(&self) -> &dyn Canvas {
        match self {
            Self::Source(source) => source,
            Self::Imagery(imagery) => &**imagery,
        }
    }
}

/// Whether the name ends like a GeoTIFF's.
pub fn is_tiff(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tif") || ending.eq_ignore_ascii_case("tiff"))
}

/// Opens a TIFF that can be read part by part. `None`: it is for the ordinary decoder.
pub fn open(path: &Path, translator: &Translator, args: &GeoArgs) -> Result<Option<Imagery>> {
    let preprocessing = &translator.description().preprocessing;
    let SourceKind::Picture { channels } = preprocessing.source else {
        if args.bands.is_some() {
            bail!("--bands is for models that take pictures, this one takes label ids");
        }
        return Ok(None);
    };
    let raster = match Raster::open(path) {
        Ok(raster) => raster,
        // A palette, for example: the ordinary decoder knows more kinds, as a whole.
        Err(GeoError::Unsupported { .. }) if args.bands.is_none() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if channels == 1 && raster.bands() == 3 && args.bands.is_none() {
        return Ok(None);
    }
    let background = preprocessing.alpha_background;
    let imagery =
        Imagery::new(raster, channels, &ImageryOptions { bands: args.bands.clone(), background, range: None })?;
    if imagery.raster().bits() == 16 {
        line(&format!("{}: 16 bits, {}", path.display(), range_text(&imagery)));
    }
    Ok(Some(imagery))
}

/// What 16-bit values became -1 and 1.
fn range_text(imagery: &Imagery) -> String {
    let ranges = imagery.range().iter().map(|(least, largest)| format!("{least}..{largest}"));
    format!("stretched from {}", ranges.collect::<Vec<_>>().join(", "))
}

/// Where a picture lies, by its tags, else by its world file.
pub fn place(path: &Path, input: &Input, args: &GeoArgs) -> Result<Georeference> {
    let own = match input {
        Input::Imagery(imagery) => Some(imagery.raster().georeference()),
        Input::Source(_) => None,
    };
    Ok(place_of(path, own, args.src_crs)?)
}

/// Translates into a GeoTIFF, part by part.
pub fn translate_to_tiff(
    input: &Input,
    place: &Georeference,
    output: &Path,
    run: &Run<'_>,
    mut text: Vec<(String, String)>,
) -> Result<Option<Seen>> {
    let canvas = input.canvas();
    let (width, height) = canvas.size();
    let mut nodata = None;
    let gaps = match input {
        Input::Imagery(imagery) => {
            let raster = imagery.raster();
            nodata = raster.nodata();
            if raster.bits() == 16 {
                text.push(("p2p:range".into(), range_text(imagery)));
            }
            let value = nodata.filter(|value| value.fract() == 0.0 && (0.0..=255.0).contains(value));
            match value {
                _ if !raster.has_gaps() => Gaps::None,
                Some(value) if !raster.has_alpha() => Gaps::Value(imagery, value as u8),
                _ => Gaps::Alpha(imagery),
            }
        }
        Input::Source(_) => Gaps::None,
    };
    let channels = gaps.channels(run.translator.description().preprocessing.target_channels);
    let spec = RasterSpec { width, height, channels, georeference: place, nodata, text: &text };
    write_raster(output, &spec, |rows| run.translate(canvas, &mut RowSink::new(rows, width, gaps)))
}
