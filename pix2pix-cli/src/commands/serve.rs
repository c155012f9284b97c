//! `p2p serve`.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result};
use pix2pix_core::{
    pixel::encode::png_bytes,
    tiles::{self, Metadata, Scheme, TileReader},
    translate::{TranslateOptions, Translator},
};
use serde_json::json;

use crate::{
    args::ServeArgs,
    hint::for_error,
    model,
    page::Page,
    printer::{Printer, line, result},
    serve::{self, Site, TranslateFailure},
    windows::{self, Run},
};

pub fn run(args: &ServeArgs, printer: &Printer) -> Result<ExitCode> {
    let map = open(&args.tiles)?;
    let source = args.compare.as_deref().map(open).transpose()?;
    let max_bytes = args.max_mib << 20;
    let translator = if args.translate { Some(model::load(&args.model)?) } else { None };
    let page = Page {
        map: Some(layer(map.metadata(), "map")),
        source: source.as_ref().map(|tiles| layer(tiles.metadata(), "source")),
        vector: args.vector.as_ref().map(|_| json!({ "url": "map.geojson" })),
        translate: translator.as_ref().map(|_| max_bytes),
    };
    if let Some(path) = &args.vector {
        std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let options = model::options(&args.model, None);
    let large = windows::options(&args.windows, 1);
    let translate = translator.map(|translator| {
        let translate = move |bytes: Vec<u8>, name: String| {
            answer(&translator, &options, large, (&bytes, &name))
                .map_err(|error| TranslateFailure { error: format!("{error:#}"), hint: for_error(&error) })
        };
        Arc::new(translate) as Arc<serve::Translate>
    });
    let site = Site { map, source, page: page.html(), vector: args.vector.clone(), translate, max_bytes };
    let address = SocketAddr::new(args.bind, args.port);
    if !address.ip().is_loopback() {
        printer.warn("everyone who reaches this machine can see the map; --bind 127.0.0.1 keeps it here");
    }
    serve::run(site, address, |address| {
        let shown = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => format!("127.0.0.1:{}", address.port()),
            _ => address.to_string(),
        };
        if result(&format!("http://{shown}/")).is_err() {
            // Nobody reads it; the server runs all the same.
            line(&format!("listening on {shown}"));
        }
        printer.say("Ctrl-C ends it");
    })?;
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> Result<Arc<dyn TileReader>> {
    Ok(tiles::open(path).with_context(|| format!("cannot serve {}", path.display()))?.into())
}

/// A layer of the page, under the address that the server has for it.
fn layer(metadata: &Metadata, name: &str) -> (Metadata, String) {
    let address = format!("{name}/{{z}}/{{x}}/{{y}}.{}", metadata.format.ending());
    (Metadata { scheme: Scheme::Xyz, ..metadata.clone() }, address)
}

/// The PNG of a picture's translation.
fn answer(
    translator: &Translator,
    options: &TranslateOptions,
    large: pix2pix_core::translate::LargeOptions,
    (bytes, name): (&[u8], &str),
) -> Result<Vec<u8>> {
    let source = translator.decode(bytes, Path::new(name), None, options)?;
    let run = Run { translator, options, large, report_seams: false, progress: &|_, _| () };
    let (picture, _) = run.picture(&source)?;
    Ok(png_bytes(&picture, &[])?)
}
