//! Coordinate systems: places in the units of an EPSG code to longitude and latitude and back.
//!
//! Web Mercator (EPSG:3857) by hand, everything else with the definitions of PROJ.4, without grids of datum shifts.

use proj4rs::{Proj, transform::transform};

use super::GeoError;
use crate::tiles::coord::{degrees_to_mercator, mercator_to_degrees};

/// Web Mercator, with the codes that it had before.
const MERCATOR: [u16; 3] = [3857, 3785, 900];
/// Longitude and latitude of WGS 84.
const DEGREES: u16 = 4326;

/// A coordinate system.
pub struct Crs {
    epsg: u16,
    kind: Kind,
}

enum Kind {
    Mercator,
    Degrees,
    Other { system: Box<Proj>, degrees: Box<Proj> },
}

impl Crs {
    /// The system of a code.
    ///
    /// # Errors
    /// A code that is not known, or a system that cannot be computed here.
    pub fn from_epsg(epsg: u16) -> Result<Self, GeoError> {
        let refused = |reason: String| GeoError::Crs { epsg, reason };
        let kind = match epsg {
            code if MERCATOR.contains(&code) => Kind::Mercator,
            DEGREES => Kind::Degrees,
            code => {
                let proj = |code| Proj::from_epsg_code(code).map(Box::new);
                let system = proj(code).map_err(|error| refused(error.to_string()))?;
                if !system.has_inverse() || !system.has_forward() {
                    return Err(refused(format!("its projection {} goes one way only", system.projname())));
                }
                Kind::Other { system, degrees: proj(DEGREES).map_err(|error| refused(error.to_string()))? }
            }
        };
        Ok(Self { epsg, kind })
    }

    /// The code.
    pub const fn epsg(&self) -> u16 {
        self.epsg
    }

    /// Longitude and latitude in degrees of a place; `None` where the system does not reach.
    pub fn to_degrees(&self, place: [f64; 2]) -> Option<[f64; 2]> {
        let found = match &self.kind {
            Kind::Mercator => mercator_to_degrees(place),
            Kind::Degrees => place,
            Kind::Other { system, degrees } => {
                let [longitude, latitude] = across(system, degrees, place)?;
                [longitude, latitude]
            }
        };
        found.iter().all(|number| number.is_finite()).then_some(found)
    }

    /// The place of longitude and latitude in degrees; `None` where the system does not reach.
    pub fn from_degrees(&self, place: [f64; 2]) -> Option<[f64; 2]> {
        let found = match &self.kind {
            Kind::Mercator => degrees_to_mercator(place),
            Kind::Degrees => place,
            Kind::Other { system, degrees } => across(degrees, system, place)?,
        };
        found.iter().all(|number| number.is_finite()).then_some(found)
    }

    /// The place of Web Mercator.
    pub fn from_mercator(&self, place: [f64; 2]) -> Option<[f64; 2]> {
        match self.kind {
            Kind::Mercator => Some(place),
            _ => self.from_degrees(mercator_to_degrees(place)),
        }
    }

    /// Web Mercator of a place.
    pub fn to_mercator(&self, place: [f64; 2]) -> Option<[f64; 2]> {
        match self.kind {
            Kind::Mercator => Some(place),
            _ => self.to_degrees(place).map(degrees_to_mercator),
        }
    }
}

/// From one system to another; angles are in degrees outside and in radians inside.
fn across(from: &Proj, to: &Proj, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
    let mut point = if from.is_latlong() { (x.to_radians(), y.to_radians(), 0.0) } else { (x, y, 0.0) };
    transform(from, to, &mut point).ok()?;
    Some(if to.is_latlong() { [point.0.to_degrees(), point.1.to_degrees()] } else { [point.0, point.1] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_places_come_out_of_utm_and_go_back() {
        // The Greenwich meridian lies 3 degrees west of the middle of zone 31; on the equator, scale 0.9996 (GDAL: 166021.443).
        let utm = Crs::from_epsg(32_631).expect("zone 31 north");
        let [x, y] = utm.from_degrees([0.0, 0.0]).expect("reached");
        assert!((x - 166_021.443_1).abs() < 1e-3 && y.abs() < 1e-6, "{x} {y}");
        for code in [32_631, 32_733, 25_832, 26_918, 4269, 3857] {
            let system = Crs::from_epsg(code).expect("known");
            let place = match code {
                32_733 => [15.2, -22.5],
                26_918 | 4269 => [-75.1, 40.2],
                _ => [8.7, 50.3],
            };
            let back = system.from_degrees(place).and_then(|place| system.to_degrees(place)).expect("reached");
            assert!((back[0] - place[0]).abs() < 1e-9 && (back[1] - place[1]).abs() < 1e-9, "{code} {back:?}");
        }
    }

    #[test]
    fn codes_that_are_not_known_are_errors() {
        let error = Crs::from_epsg(12).err().expect("no such system").to_string();
        assert!(error.starts_with("EPSG:12 cannot be used"), "{error}");
    }
}
