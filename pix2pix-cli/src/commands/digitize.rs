//! `p2p digitize`.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use pix2pix_core::{
    geo::{Crs, Georeference, Imagery, ImageryOptions, Raster, place_of},
    pixel::{
        Canvas, Picture, Rect,
        decode::{DecodeOptions, read_picture},
    },
    vector::{DigitizeOptions, GeoJsonOptions, Palette, affine, digitize, write_geojson},
};

use crate::{args::DigitizeArgs, imagery::is_tiff, printer::Printer};

/// Palettes that come with the program.
const KNOWN: [(&str, &str); 2] = [
    ("town", include_str!("../../../pix2pix-core/palettes/town.toml")),
    ("maps", include_str!("../../../pix2pix-core/palettes/maps.toml")),
];

pub fn run(args: &DigitizeArgs, printer: &Printer) -> Result<ExitCode> {
    let palette = palette(&args.classes)?;
    let Map { picture, opacity, own } = read(&args.map)?;
    let place = place_of(&args.map, own.as_ref(), args.src_crs)?;
    let Some(transform) = place.transform() else {
        bail!("{} has no place: it has neither georeference nor world file", args.map.display());
    };
    let Some(epsg) = place.epsg() else {
        bail!("{} does not say its coordinate system; give it with --src-crs", args.map.display());
    };
    let crs = Crs::from_epsg(epsg)?;
    let options = DigitizeOptions { mode_radius: args.mode_radius, min_area: args.min_area, tolerance: args.tolerance };
    let polygons = digitize(&picture, opacity.as_deref(), &palette, &options)?;
    polygons.validate().context("these polygons are not valid; this is a defect of p2p")?;
    let to_place = affine(transform);
    let degrees = |corner| crs.to_degrees(to_place(corner)).unwrap_or([f64::NAN; 2]);
    let format = GeoJsonOptions { merge_classes: args.merge_classes, ..Default::default() };
    let name = args.output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = args.output.with_file_name(format!(".{name}.unfinished"));
    let written = || -> Result<()> {
        let mut to = BufWriter::new(File::create(&temporary)?);
        write_geojson(&polygons, format, degrees, &mut to)?;
        to.flush()?;
        Ok(fs::rename(&temporary, &args.output)?)
    };
    if let Err(error) = written() {
        // The first error counts; what is left of the temporary file is removed if it can be.
        drop(fs::remove_file(&temporary));
        return Err(error.context(format!("cannot write {}", args.output.display())));
    }
    let count = polygons.regions().filter(|region| palette.classes()[region.class()].keep).count();
    printer.say(&format!("{count} polygons, {} corners: {}", polygons.num_points(), args.output.display()));
    Ok(ExitCode::SUCCESS)
}

fn palette(name: &str) -> Result<Palette> {
    if let Some((_, text)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return Ok(Palette::from_toml(text)?);
    }
    let text = fs::read_to_string(name).with_context(|| {
        let known = KNOWN.map(|(name, _)| name).join(" and ");
        format!("cannot read the palette {name}; {known} come with p2p")
    })?;
    Palette::from_toml(&text).with_context(|| format!("cannot use the palette {name}"))
}

/// A map in memory.
struct Map {
    picture: Picture,
    opacity: Option<Vec<u8>>,
    own: Option<Georeference>,
}

fn read(path: &Path) -> Result<Map> {
    if !is_tiff(path) {
        let options = DecodeOptions { channels: Some(3), ..Default::default() };
        return Ok(Map { picture: read_picture(path, &options)?.to_u8(), opacity: None, own: None });
    }
    let raster = Raster::open(path)?;
    let own = raster.georeference().clone();
    let imagery = Imagery::new(raster, 3, &ImageryOptions::default())?;
    let (width, height) = Canvas::size(&imagery);
    let all = Rect { x: 0, y: 0, width, height };
    let picture = Picture::from_planes(&imagery.read(all)?);
    Ok(Map { picture, opacity: imagery.opacity(all)?, own: Some(own) })
}
