//! Finds the borders between regions, each once: arcs from node to node along the sides of pixels. Knows nothing of
//! classes.
//!
//! Nodes are the corners where three or four sides of pixels are borders, and the corners of the picture, which so stay
//! where they are. Everything else has two borders at every corner and is walked along.

use rayon::prelude::*;

use super::{
    labels::NO_REGION,
    polygons::{Arc, Arcs, NONE, Point},
};

/// Steps to the right, down, to the left and up.
const STEPS: [Point; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

/// Traces all borders of regions, given for every pixel row by row.
pub(super) fn trace(ids: &[u32], width: usize) -> Arcs {
    let grid = Grid { ids, width, height: ids.len() / width };
    let nodes = grid.nodes();
    let mut arcs = Arcs { leaving: vec![[NONE; 4]; nodes.columns.len()], ..Arcs::default() };
    // Sides of pixels that lie across and were walked along.
    let mut seen = Bits::new(width * (grid.height + 1));
    for (node, at) in nodes.iter() {
        for direction in 0..4 {
            let around = grid.around(at);
            if arcs.leaving[node][direction] != NONE || around[direction] == around[(direction + 1) % 4] {
                continue;
            }
            let half = 2 * arcs.arcs.len() as u32;
            let (last, arrived) = grid.walk(at, direction, &mut arcs, &mut seen);
            let last = nodes.find(last);
            arcs.leaving[node][direction] = half;
            arcs.leaving[last][(arrived + 2) % 4] = half + 1;
            if let Some(arc) = arcs.arcs.last_mut() {
                arc.nodes = [node as u32, last as u32];
            }
        }
    }
    // What is left goes in circles. The first side across of a circle is the topmost, its left end a corner.
    let outside = vec![NO_REGION; width];
    let rows = || ids.chunks_exact(width);
    let pairs = [outside.as_slice()].into_iter().chain(rows()).zip(rows().chain([outside.as_slice()]));
    for (y, (above, below)) in pairs.enumerate() {
        for x in 0..width {
            if above[x] != below[x] && !seen.has(y * width + x) {
                grid.walk([x as i32, y as i32], 0, &mut arcs, &mut seen);
            }
        }
    }
    arcs
}

/// Regions of pixels; all around lies none.
struct Grid<'a> {
    ids: &'a [u32],
    width: usize,
    height: usize,
}

impl Grid<'_> {
    /// The regions around a corner: top right, bottom right, bottom left, top left. The side of a pixel that leaves the
    /// corner in direction `d` has region `d` to its left and region `d + 1` to its right.
    fn around(&self, [x, y]: Point) -> [u32; 4] {
        let (x, y) = (x as usize, y as usize);
        let region = |x: usize, y: usize| {
            // What lies left of or above the picture has wrapped around to the largest numbers.
            if x < self.width && y < self.height { self.ids[y * self.width + x] } else { NO_REGION }
        };
        let (left, above) = (x.wrapping_sub(1), y.wrapping_sub(1));
        [region(x, above), region(x, y), region(left, y), region(left, above)]
    }

    fn is_node(&self, at: Point, around: [u32; 4]) -> bool {
        let borders = (0..4).filter(|&side| around[side] != around[(side + 1) % 4]).count();
        let [x, y] = at.map(|value| value as usize);
        let is_corner = (x == 0 || x == self.width) && (y == 0 || y == self.height);
        borders > 2 || borders > 0 && is_corner
    }

    fn nodes(&self) -> Nodes {
        let rows: Vec<Vec<i32>> = (0..=self.height as i32)
            .into_par_iter()
            .map(|y| (0..=self.width as i32).filter(|&x| self.is_node([x, y], self.around([x, y]))).collect())
            .collect();
        let mut starts = vec![0];
        starts.extend(rows.iter().scan(0, |sum, row| {
            *sum += row.len();
            Some(*sum)
        }));
        Nodes { starts, columns: rows.concat() }
    }

    /// Walks along a border to the next node, or around to its beginning. Gives where it ends and the direction it came
    /// from.
    fn walk(&self, from: Point, mut direction: usize, arcs: &mut Arcs, seen: &mut Bits) -> (Point, usize) {
        let around = self.around(from);
        let (left, right) = (around[direction], around[(direction + 1) % 4]);
        let start = arcs.points.len() as u32;
        arcs.points.push(from);
        let mut at = from;
        loop {
            let next = [at[0] + STEPS[direction][0], at[1] + STEPS[direction][1]];
            if direction.is_multiple_of(2) {
                seen.set(at[1] as usize * self.width + at[0].min(next[0]) as usize);
            }
            at = next;
            let around = self.around(at);
            if at == from || self.is_node(at, around) {
                arcs.points.push(at);
                arcs.arcs.push(Arc { start, end: arcs.points.len() as u32, left, right, nodes: [NONE; 2] });
                return (at, direction);
            }
            // Two of the sides are borders, so that both pixels ahead belong to one region or the border goes straight
            // on.
            let turn = if around[direction] == right {
                3
            } else if around[(direction + 1) % 4] == left {
                1
            } else {
                continue;
            };
            arcs.points.push(at);
            direction = (direction + turn) % 4;
        }
    }
}

/// Nodes, row by row.
struct Nodes {
    /// Where the nodes of each row begin, and the number of all.
    starts: Vec<usize>,
    columns: Vec<i32>,
}

impl Nodes {
    fn iter(&self) -> impl Iterator<Item = (usize, Point)> {
        let rows = self.starts.windows(2).zip(0_i32..);
        rows.flat_map(move |(row, y)| (row[0]..row[1]).map(move |node| (node, [self.columns[node], y])))
    }

    fn find(&self, [x, y]: Point) -> usize {
        let (start, end) = (self.starts[y as usize], self.starts[y as usize + 1]);
        start + self.columns[start..end].partition_point(|&column| column < x)
    }
}

/// Bits that are set one by one.
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    pub fn set(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    pub fn clear(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }

    /// Whether one of the bits from `first` to `last` is set.
    pub fn any(&self, first: usize, last: usize) -> bool {
        let (from, to) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
        let words = &self.0[first / 64..=last / 64];
        match words {
            [word] => word & from & to != 0,
            [one, between @ .., other] => one & from != 0 || other & to != 0 || between.iter().any(|&word| word != 0),
            [] => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_in_the_middle_is_a_circle_without_node() {
        let arcs = trace(&[0, 0, 0, 0, 1, 0, 0, 0, 0], 3);
        let circle = arcs.arcs.iter().position(|arc| arc.nodes[0] == NONE).expect("a circle");
        assert_eq!(arcs.points(circle), [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]);
        assert_eq!((arcs.arcs[circle].left, arcs.arcs[circle].right), (0, 1));
        // The frame of the picture goes from corner to corner.
        assert_eq!((arcs.arcs.len(), arcs.leaving.len()), (5, 4));
    }

    #[test]
    fn a_border_across_the_picture_has_nodes_at_the_frame() {
        let arcs = trace(&[0, 1, 0, 1], 2);
        let inner: Vec<_> =
            (0..arcs.arcs.len()).filter(|&at| arcs.arcs[at].left.max(arcs.arcs[at].right) == 1).collect();
        let [inner] = inner[..] else { panic!("one border between the regions, found {inner:?}") };
        assert_eq!(arcs.points(inner), [[1, 0], [1, 2]]);
        assert_eq!((arcs.arcs[inner].left, arcs.arcs[inner].right), (1, 0));
        assert_eq!((arcs.arcs.len(), arcs.leaving.len()), (7, 6));
    }

    #[test]
    fn corners_where_regions_touch_are_nodes() {
        let arcs = trace(&[0, 1, 2, 0], 2);
        let middle = arcs.leaving.iter().filter(|leaving| leaving.iter().all(|&half| half != NONE)).count();
        assert_eq!((middle, arcs.arcs.len()), (1, 12));
    }

    #[test]
    fn runs_of_bits_are_looked_through_across_words() {
        let mut bits = Bits::new(300);
        bits.set(130);
        for (first, last, found) in
            [(0, 129, false), (130, 130, true), (131, 299, false), (0, 299, true), (129, 131, true)]
        {
            assert_eq!(bits.any(first, last), found, "{first}..={last}");
        }
        bits.clear(130);
        assert!(!bits.any(0, 299) && !bits.has(130));
    }
}
