//! What an export says of itself: TileJSON, and the same for MBTiles and PMTiles.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::TileFormat;

/// How rows are numbered in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// From north.
    #[default]
    Xyz,
    /// From south.
    Tms,
}

impl Scheme {
    /// The name in TileJSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xyz => "xyz",
            Self::Tms => "tms",
        }
    }
}

/// What is known of all tiles of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whose pictures these are.
    pub attribution: String,
    /// The format of all tiles.
    pub format: TileFormat,
    /// How rows are numbered in a folder.
    pub scheme: Scheme,
    /// Side of a tile in pixels.
    pub tile_size: usize,
    /// The smallest zoom.
    pub min_zoom: u8,
    /// The largest zoom.
    pub max_zoom: u8,
    /// West, south, east and north in degrees.
    pub bounds: [f64; 4],
    /// Of model, options and inputs; empty where these are not known.
    pub fingerprint: String,
}

impl Metadata {
    /// Longitude, latitude and zoom to begin with.
    pub fn center(&self) -> ([f64; 2], u8) {
        let [west, south, east, north] = self.bounds;
        ([(west + east) / 2.0, (south + north) / 2.0], self.min_zoom.midpoint(self.max_zoom))
    }

    /// TileJSON 3.0.0, with the address of tiles where it is known. `tile_size` is this toolkit's: the standard has no word for it.
    pub fn tile_json(&self, tiles: Option<&str>) -> Value {
        let ([longitude, latitude], zoom) = self.center();
        let mut json = json!({
            "tilejson": "3.0.0",
            "name": self.name,
            "description": self.description,
            "attribution": self.attribution,
            "scheme": self.scheme.name(),
            "minzoom": self.min_zoom,
            "maxzoom": self.max_zoom,
            "bounds": self.bounds,
            "center": [longitude, latitude, f64::from(zoom)],
            "format": self.format.ending(),
            "tile_size": self.tile_size,
            "fingerprint": self.fingerprint,
            "vector_layers": [],
        });
        if let Some(tiles) = tiles {
            json["tiles"] = json!([tiles]);
        }
        json
    }

    /// From TileJSON that [`Self::tile_json`] made, or that somebody else did; what it does not say has the format's defaults.
    ///
    /// # Errors
    /// What is missing or out of range.
    pub fn from_tile_json(json: &Value) -> Result<Self, String> {
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let zoom = |key: &str, usual: u8| match &json[key] {
            Value::Null => Ok(usual),
            // Some write numbers as text.
            Value::String(text) => text.parse().map_err(|_| format!("{key} is no zoom: {text:?}")),
            other => other
                .as_u64()
                .and_then(|zoom| u8::try_from(zoom).ok())
                .filter(|zoom| *zoom <= 31)
                .ok_or_else(|| format!("{key} is no zoom: {other}")),
        };
        let bounds = match &json["bounds"] {
            Value::Array(numbers) => {
                let numbers = numbers.iter().filter_map(Value::as_f64).collect::<Vec<_>>();
                <[f64; 4]>::try_from(numbers).map_err(|_| "bounds are four numbers".to_owned())?
            }
            Value::String(text) => {
                let numbers = text.split(',').filter_map(|number| number.trim().parse().ok()).collect::<Vec<_>>();
                <[f64; 4]>::try_from(numbers).map_err(|_| "bounds are four numbers".to_owned())?
            }
            _ => [-180.0, -85.051_128_779_806_59, 180.0, 85.051_128_779_806_59],
        };
        let format = match json["format"].as_str() {
            Some("jpg" | "jpeg" | "image/jpeg") => TileFormat::Jpeg,
            Some("webp" | "image/webp") => TileFormat::Webp,
            Some("png" | "image/png") | None => TileFormat::Png,
            Some(other) => return Err(format!("tiles of format {other} are not read; png, jpg and webp are")),
        };
        Ok(Self {
            name: text("name"),
            description: text("description"),
            attribution: text("attribution"),
            format,
            scheme: if json["scheme"] == "tms" { Scheme::Tms } else { Scheme::Xyz },
            tile_size: json["tile_size"].as_u64().map_or(256, |side| side as usize),
            min_zoom: zoom("minzoom", 0)?,
            max_zoom: zoom("maxzoom", 22)?,
            bounds,
            fingerprint: text("fingerprint"),
        })
    }
}
