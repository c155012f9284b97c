//! A town without end: one world with coordinates, rendered as satellite picture and as map.
//!
//! Everything is a pure function of seed and place, so that neighbouring windows join without a break. A lattice of crossings, bent
//! by smooth noise, carries roads of several classes; between them lie blocks of several kinds with buildings, gardens, parks,
//! woods, fields and car parks; a river runs through all of it.

mod paint;
mod plan;

use super::noise::{Color, hash};
use crate::pixel::{Picture, Samples};

use paint::Painter;
use plan::Plan;

/// Colours of the map, by what they stand for.
pub const TOWN_PALETTE: &[(&str, [u8; 3])] = &[
    ("land", [244, 241, 234]),
    ("water", [158, 202, 225]),
    ("park", [196, 228, 179]),
    ("wood", [162, 205, 150]),
    ("field", [236, 234, 203]),
    ("pitch", [140, 211, 170]),
    ("yard", [231, 226, 236]),
    ("parking", [226, 226, 226]),
    ("street", [255, 255, 255]),
    ("main road", [252, 221, 131]),
    ("motorway", [240, 160, 104]),
    ("path", [205, 180, 150]),
    ("building", [203, 190, 178]),
    ("large building", [190, 172, 186]),
];

/// Places in a window pixel at which it is looked at, along each axis.
const LOOKS: usize = 2;

/// A town.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Town {
    seed: u64,
}

impl Town {
    /// The town of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Renders the window whose top left pixel is (x, y), each pixel `metres_per_pixel` wide: satellite picture and map.
    ///
    /// Windows of one scale join: a window equals the same part of any larger one.
    ///
    /// # Panics
    /// When a side is zero or the scale is not positive.
    pub fn render(&self, x: i64, y: i64, size: (usize, usize), metres_per_pixel: f64) -> (Picture, Picture) {
        let (width, height) = size;
        assert!(width > 0 && height > 0 && metres_per_pixel > 0.0, "a window has pixels, and they have a size");
        let metres = |pixel: i64, part: f64| (pixel as f64 + part) * metres_per_pixel;
        let (left, top) = (metres(x, 0.0), metres(y, 0.0));
        let (right, bottom) = (metres(x + width as i64, 0.0), metres(y + height as i64, 0.0));
        let plan = Plan::new(self.seed, [left, top, right, bottom]);
        let painter = Painter::new(self.seed, &plan);
        let mut satellite = Vec::with_capacity(width * height * 3);
        let mut map = Vec::with_capacity(width * height * 3);
        for row in 0..height as i64 {
            for column in 0..width as i64 {
                let mut sums: [Color; 2] = [[0.0; 3]; 2];
                for look in 0..LOOKS * LOOKS {
                    let part = |index: usize| (index as f64 + 0.5) / LOOKS as f64;
                    let place = [metres(x + column, part(look % LOOKS)), metres(y + row, part(look / LOOKS))];
                    let (seen, drawn) = painter.look(place);
                    for c in 0..3 {
                        sums[0][c] += seen[c];
                        sums[1][c] += drawn[c];
                    }
                }
                let grain = self.grain(x + column, y + row);
                for c in 0..3 {
                    let mean = |sum: f64| sum / (LOOKS * LOOKS) as f64;
                    satellite.push((mean(sums[0][c]) + grain[c]).round().clamp(0.0, 255.0) as u8);
                    map.push(mean(sums[1][c]).round().clamp(0.0, 255.0) as u8);
                }
            }
        }
        let picture =
            |values| Picture::new(width, height, 3, Samples::U8(values)).expect("three values for each pixel");
        (picture(satellite), picture(map))
    }

    /// The sensor's noise at a pixel: mostly brightness, a little colour.
    fn grain(&self, x: i64, y: i64) -> Color {
        let bits = hash(self.seed, x, y, 900);
        let byte = |at: u32| ((bits >> at) & 255) as f64 / 255.0 - 0.5;
        let brightness = (byte(0) + byte(8)) * 9.0;
        std::array::from_fn(|c| brightness + byte(16 + 8 * c as u32) * 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_windows_join_without_a_break_also_left_of_and_above_zero() {
        let town = Town::new(3);
        for (x, y) in [(0, 0), (-37, -1011), (5000, -20)] {
            let whole = town.render(x, y, (96, 80), 1.0);
            for (dx, dy) in [(0, 0), (48, 0), (0, 40), (48, 40)] {
                let part = town.render(x + dx, y + dy, (48, 40), 1.0);
                assert_eq!(part.0, whole.0.crop(dx as usize, dy as usize, 48, 40), "satellite at {x}, {y}");
                assert_eq!(part.1, whole.1.crop(dx as usize, dy as usize, 48, 40), "map at {x}, {y}");
            }
        }
    }

    #[test]
    fn the_map_keeps_to_its_palette_but_for_edges_and_shows_many_classes() {
        let mut seen = std::collections::BTreeMap::<&str, usize>::new();
        let mut others = 0;
        for window in 0..12 {
            let (_, map) = Town::new(1).render(window * 911, window * 577, (96, 96), 1.5);
            for at in 0..96 * 96 {
                let pixel = map.pixel(at % 96, at / 96);
                match TOWN_PALETTE.iter().find(|(_, color)| color == pixel) {
                    Some((name, _)) => *seen.entry(name).or_default() += 1,
                    None => others += 1,
                }
            }
        }
        assert!(others < 12 * 96 * 96 * 45 / 100, "{others} pixels of no class");
        let frequent = seen.values().filter(|&&count| count > 200).count();
        assert!(frequent >= 8, "{seen:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_town_and_another_one_another() {
        let render = |seed| Town::new(seed).render(100, 200, (32, 32), 1.0);
        assert_eq!(render(7), render(7));
        assert_ne!(render(7).1, render(8).1);
    }
}
