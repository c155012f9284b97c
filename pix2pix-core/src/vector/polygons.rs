//! Polygons of classes over one picture, in pixel corners: x to the right, y downwards, (0, 0) the top left corner.
//!
//! The borders between regions lie here once, as arcs; rings are put together from them when they are asked for. Knows
//! nothing of how arcs are found or of places on the earth.

use std::ops::Range;

use super::Palette;

/// A corner of a pixel: column and row.
pub type Point = [i32; 2];

/// In place of a number: there is none.
pub(super) const NONE: u32 = u32::MAX;

/// Polygons of classes over one picture.
#[derive(Clone, Debug)]
pub struct Polygons {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) palette: Palette,
    pub(super) tolerance: f64,
    pub(super) arcs: Arcs,
    pub(super) rings: Rings,
    /// Class and pixels of every region.
    pub(super) classes: Vec<u8>,
    pub(super) areas: Vec<u32>,
}

/// Borders between two regions from node to node, or closed ones without node.
#[derive(Clone, Debug, Default)]
pub(super) struct Arcs {
    /// The corners of all arcs, one arc after the other.
    pub points: Vec<Point>,
    pub arcs: Vec<Arc>,
    /// For every node the arcs that leave it to the right, down, to the left and up, as halves, or [`NONE`].
    pub leaving: Vec<[u32; 4]>,
}

/// A border between two regions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arc {
    /// Its part of the points; closed ones end where they begin.
    pub start: u32,
    pub end: u32,
    /// The regions to both sides.
    pub left: u32,
    pub right: u32,
    /// Where it begins and ends, [`NONE`] for closed ones without node.
    pub nodes: [u32; 2],
}

/// Rings as runs of halves of arcs, those of a region one after the other and its outer one first.
#[derive(Clone, Debug, Default)]
pub(super) struct Rings {
    /// Twice the number of an arc, and 1 more when it is walked backwards.
    pub halves: Vec<u32>,
    /// Where each ring begins, and the end of the last.
    pub starts: Vec<u32>,
    /// Which ring is the first of each region, and the number of all.
    pub firsts: Vec<u32>,
}

impl Arcs {
    /// The points of an arc.
    pub fn points(&self, arc: usize) -> &[Point] {
        &self.points[self.arcs[arc].start as usize..self.arcs[arc].end as usize]
    }

    /// The region to the left of half an arc, in the direction in which it is walked.
    pub fn left(&self, half: u32) -> u32 {
        let arc = &self.arcs[half as usize / 2];
        if half.is_multiple_of(2) { arc.left } else { arc.right }
    }

    /// The node at which half an arc ends.
    pub fn last_node(&self, half: u32) -> u32 {
        self.arcs[half as usize / 2].nodes[usize::from(half.is_multiple_of(2))]
    }

    /// Twice the area between an arc and the origin, positive where it goes counter-clockwise as seen.
    pub fn sweep(&self, half: u32) -> i64 {
        let sweep = sweep(self.points(half as usize / 2));
        if half.is_multiple_of(2) { sweep } else { -sweep }
    }
}

impl Rings {
    /// The halves of arcs of a ring.
    pub fn halves(&self, ring: usize) -> &[u32] {
        &self.halves[self.starts[ring] as usize..self.starts[ring + 1] as usize]
    }

    /// The rings of a region.
    pub fn of_region(&self, region: usize) -> Range<usize> {
        self.firsts[region] as usize..self.firsts[region + 1] as usize
    }
}

impl Polygons {
    /// Pixels in a row of the picture.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows of the picture.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// What the classes stand for.
    pub const fn palette(&self) -> &Palette {
        &self.palette
    }

    /// The regions in the order of their first pixels, those of classes that are not kept too.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = Region<'_>> {
        (0..self.classes.len()).map(|index| Region { polygons: self, index })
    }

    /// Corners of all borders; one that several regions share counts once, or once for each border that ends there.
    pub fn num_points(&self) -> usize {
        self.arcs.points.len()
    }

    /// The points of a ring; the last is the first again.
    pub(super) fn ring(&self, ring: usize) -> Vec<Point> {
        let mut points = Vec::new();
        for &half in self.rings.halves(ring) {
            // Every arc begins where the last one ended.
            points.pop();
            let arc = self.arcs.points(half as usize / 2);
            if half.is_multiple_of(2) {
                points.extend_from_slice(arc);
            } else {
                points.extend(arc.iter().rev());
            }
        }
        points
    }
}

/// A polygon: 4-connected pixels of one class.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    polygons: &'a Polygons,
    index: usize,
}

impl Region<'_> {
    /// The place of its class in the palette.
    pub fn class(&self) -> usize {
        usize::from(self.polygons.classes[self.index])
    }

    /// Its pixels before its outline was simplified.
    pub fn num_pixels(&self) -> u32 {
        self.polygons.areas[self.index]
    }

    /// Its rings, the outer one first. Each is closed, the last point being the first again; as seen on the picture,
    /// the outer one goes counter-clockwise and holes go clockwise.
    pub fn rings(&self) -> impl ExactSizeIterator<Item = Vec<Point>> {
        let polygons = self.polygons;
        polygons.rings.of_region(self.index).map(|ring| polygons.ring(ring))
    }
}

/// Twice the area between a line and the origin, positive where it goes counter-clockwise as seen: for closed lines,
/// twice the area inside.
pub(super) fn sweep(points: &[Point]) -> i64 {
    let cross = |[x0, y0]: Point, [x1, y1]: Point| i64::from(x1) * i64::from(y0) - i64::from(x0) * i64::from(y1);
    points.windows(2).map(|two| cross(two[0], two[1])).sum()
}
