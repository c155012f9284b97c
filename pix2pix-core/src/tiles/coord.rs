//! Where tiles lie: the numbering of map tiles, and the world's pixels at one zoom. Pure arithmetic.
//!
//! Tiles are numbered as web maps do (XYZ: y from north); the world is the square of Web Mercator, EPSG:3857.

use serde::{Deserialize, Serialize};

use crate::pixel::Rect;

/// Half of the world's side in metres of Web Mercator.
pub const HALF: f64 = 20_037_508.342_789_244;
/// The largest zoom: pixels of its world can be counted in 32 bits.
pub const MOST_ZOOM: u8 = 22;

/// A tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TileCoord {
    /// Zoom: the world has `2^z` tiles a side.
    pub z: u8,
    /// Column, from west.
    pub x: u32,
    /// Row, from north.
    pub y: u32,
}

impl TileCoord {
    /// A tile within the world.
    pub fn new(z: u8, x: u32, y: u32) -> Option<Self> {
        let side = 1_u64.checked_shl(z.into()).filter(|_| z <= 31)?;
        (u64::from(x) < side && u64::from(y) < side).then_some(Self { z, x, y })
    }

    /// The row counted from south, as TMS and MBTiles do.
    pub const fn tms_row(self) -> u32 {
        ((1_u64 << self.z) - 1 - self.y as u64) as u32
    }

    /// The tile of the next smaller zoom that holds this one.
    pub const fn parent(self) -> Self {
        Self { z: self.z.saturating_sub(1), x: self.x / 2, y: self.y / 2 }
    }

    /// The four tiles of the next larger zoom: north-west, north-east, south-west, south-east.
    pub fn children(self) -> [Self; 4] {
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| Self { z: self.z + 1, x: 2 * self.x + x, y: 2 * self.y + y })
    }

    /// Its number along the Hilbert curves of all zooms, one after the other (PMTiles, version 3).
    pub fn hilbert(self) -> u64 {
        pmtiles::TileCoord::new(self.z, self.x, self.y).map_or(u64::MAX, |coord| pmtiles::TileId::from(coord).value())
    }
}

/// The world in pixels, at one zoom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// The zoom.
    pub zoom: u8,
    /// Side of a tile in pixels, 256 or 512.
    pub tile: usize,
}

impl World {
    /// Pixels of a side.
    pub const fn side(self) -> usize {
        self.tile << self.zoom
    }

    /// Metres of Web Mercator that a pixel is wide.
    pub fn resolution(self) -> f64 {
        2.0 * HALF / self.side() as f64
    }

    /// The zoom at which pixels come nearest to so many metres of Web Mercator.
    pub fn nearest(metres: f64, tile: usize) -> Self {
        let zoom = (2.0 * HALF / (tile as f64 * metres)).log2().round();
        Self { zoom: zoom.clamp(0.0, f64::from(MOST_ZOOM)) as u8, tile }
    }

    /// Web Mercator of a place in pixels, from the north-west corner.
    pub fn to_mercator(self, [x, y]: [f64; 2]) -> [f64; 2] {
        [x * self.resolution() - HALF, HALF - y * self.resolution()]
    }

    /// The place in pixels of Web Mercator.
    pub fn from_mercator(self, [x, y]: [f64; 2]) -> [f64; 2] {
        [(x + HALF) / self.resolution(), (HALF - y) / self.resolution()]
    }

    /// The pixels of a tile of this zoom.
    pub const fn of_tile(self, tile: TileCoord) -> Rect {
        Rect { x: tile.x as usize * self.tile, y: tile.y as usize * self.tile, width: self.tile, height: self.tile }
    }

    /// West, south, east and north of some pixels in degrees.
    pub fn bounds(self, part: Rect) -> [f64; 4] {
        let corner = |x: usize, y: usize| mercator_to_degrees(self.to_mercator([x as f64, y as f64]));
        let ([west, north], [east, south]) =
            (corner(part.x, part.y), corner(part.x + part.width, part.y + part.height));
        [west, south, east, north]
    }
}

/// Longitude and latitude in degrees of Web Mercator (spherical, EPSG method 1024).
pub fn mercator_to_degrees([x, y]: [f64; 2]) -> [f64; 2] {
    let radians = std::f64::consts::PI / HALF;
    [x / HALF * 180.0, (y * radians).sinh().atan().to_degrees()]
}

/// Web Mercator of longitude and latitude in degrees; beyond 89.9 degrees the latitude is taken as that.
pub fn degrees_to_mercator([longitude, latitude]: [f64; 2]) -> [f64; 2] {
    let latitude = latitude.clamp(-89.9, 89.9).to_radians();
    [longitude / 180.0 * HALF, latitude.tan().asinh() / std::f64::consts::PI * HALF]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_turn_over_for_tms_and_parents_hold_their_children() {
        let tile = TileCoord::new(3, 2, 1).expect("within the world");
        assert_eq!(tile.tms_row(), 6);
        assert!(tile.children().iter().all(|child| child.parent() == tile && child.z == 4));
        assert!(TileCoord::new(3, 8, 0).is_none() && TileCoord::new(3, 0, 8).is_none());
        assert!(TileCoord::new(32, 0, 0).is_none() && TileCoord::new(0, 0, 0).is_some());
    }

    #[test]
    fn hilbert_numbers_are_those_of_the_pmtiles_specification() {
        let number = |z, x, y| TileCoord { z, x, y }.hilbert();
        assert_eq!(
            [number(0, 0, 0), number(1, 0, 0), number(1, 0, 1), number(1, 1, 1), number(1, 1, 0)],
            [0, 1, 2, 3, 4]
        );
        assert_eq!([number(2, 0, 0), number(12, 3423, 1763)], [5, 19_078_479]);
    }

    #[test]
    fn places_go_to_degrees_and_back() {
        for place in [[0.0, 0.0], [13.4, 52.5], [-179.0, -84.0]] {
            let back = mercator_to_degrees(degrees_to_mercator(place));
            assert!((back[0] - place[0]).abs() < 1e-10 && (back[1] - place[1]).abs() < 1e-10, "{place:?} {back:?}");
        }
        // The corner of the world, by the definition of the square.
        let [longitude, latitude] = mercator_to_degrees([HALF, HALF]);
        assert!((longitude - 180.0).abs() < 1e-9 && (latitude - 85.051_128_779_806_59).abs() < 1e-9);
    }

    #[test]
    fn a_world_knows_its_resolution_and_the_bounds_of_its_tiles() {
        let world = World { zoom: 1, tile: 256 };
        assert_eq!(world.side(), 512);
        let [west, south, east, north] = world.bounds(world.of_tile(TileCoord { z: 1, x: 1, y: 0 }));
        assert!(west.abs() < 1e-9 && south.abs() < 1e-9 && (east - 180.0).abs() < 1e-9 && north > 85.0);
        assert_eq!(World::nearest(156_543.033_928_041, 256).zoom, 0);
        assert_eq!(World::nearest(0.3, 256).zoom, 19);
        assert_eq!(World::nearest(0.3, 512).zoom, 18);
    }
}
