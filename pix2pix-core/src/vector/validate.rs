//! Looks polygons over: what this module promises of them, checked without trusting how they were made.

use std::{cmp::Ordering, ops::Range};

use rayon::prelude::*;

use super::{
    VectorError,
    polygons::{NONE, Point, Polygons, sweep},
    trace::Bits,
};

/// Sides of borders that a cell of the grid holds on average.
const SIDES_IN_CELL: usize = 2;

impl Polygons {
    /// Checks that every border is the side of its two regions and of no other, that borders meet at their ends only,
    /// and that every region is one outer ring around its holes, all closed, without a repeated point, and as large as
    /// its pixels where nothing was simplified. Together, polygons leave no gap and do not overlap.
    ///
    /// # Errors
    /// The first promise that does not hold.
    pub fn validate(&self) -> Result<(), VectorError> {
        let refused = |reason: String| Err(VectorError::Invalid { reason });
        let mut used = vec![false; 2 * self.arcs.arcs.len()];
        for region in 0..self.classes.len() {
            let mut area = 0;
            for (at, ring) in self.rings.of_region(region).enumerate() {
                for &half in self.rings.halves(ring) {
                    if self.arcs.left(half) != region as u32 || std::mem::replace(&mut used[half as usize], true) {
                        return refused(format!("border {half} is no side of region {region}, or is so twice"));
                    }
                }
                area += self.check_ring(region, ring, at == 0)?;
            }
            let exact = 2 * i64::from(self.areas[region]);
            if area <= 0 || self.tolerance == 0.0 && area != exact {
                return refused(format!("region {region} of {exact} half pixels has an area of {area}"));
            }
        }
        if let Some(half) = (0..).zip(&used).find(|&(half, used)| !used && self.arcs.left(half) != NONE) {
            return refused(format!("border {} is not used", half.0));
        }
        self.check_points()?;
        if let Some([one, other]) = self.find_crossing() {
            return refused(format!("the sides {one:?} and {other:?} cross or touch"));
        }
        self.check_rows()
    }

    /// Checks one ring and gives twice its area, negative for holes.
    fn check_ring(&self, region: usize, ring: usize, is_outer: bool) -> Result<i64, VectorError> {
        let mut points = self.ring(ring);
        let area = sweep(&points);
        let closed = points.len() > 3 && points.first() == points.last();
        points.pop();
        let count = points.len();
        points.sort_unstable();
        points.dedup();
        if closed && points.len() == count && (area > 0) == is_outer && area != 0 {
            Ok(area)
        } else {
            let reason =
                format!("ring {ring} of region {region} is open, flat, turned around, or comes to a point twice");
            Err(VectorError::Invalid { reason })
        }
    }

    /// Checks that points lie on the picture, and that no two borders have one in common but at their ends.
    fn check_points(&self) -> Result<(), VectorError> {
        let (columns, rows) = (self.width + 1, self.height + 1);
        let mut taken = Bits::new(columns * rows);
        let mut nodes = Bits::new(columns * rows);
        for arc in 0..self.arcs.arcs.len() {
            let points = self.arcs.points(arc);
            let inner = points.len().saturating_sub(1).max(1);
            for (at, &[x, y]) in points.iter().enumerate() {
                let inside = (0..columns as i64).contains(&x.into()) && (0..rows as i64).contains(&y.into());
                if !inside {
                    return Err(VectorError::Invalid { reason: format!("point ({x}, {y}) lies outside the picture") });
                }
                let place = y as usize * columns + x as usize;
                let is_end = at == 0 || at == inner;
                if !is_end && taken.has(place) || is_end && taken.has(place) && !nodes.has(place) {
                    return Err(VectorError::Invalid { reason: format!("borders have point ({x}, {y}) in common") });
                }
                taken.set(place);
                if is_end {
                    nodes.set(place);
                }
            }
        }
        Ok(())
    }

    /// Checks along the middle of every row of pixels that each region ends where the next one begins. Every ring lies
    /// across such a line, so that none can be in the wrong place.
    fn check_rows(&self) -> Result<(), VectorError> {
        let sides = || {
            let arcs = (0..self.arcs.arcs.len())
                .flat_map(|arc| self.arcs.points(arc).array_windows::<2>().map(move |&side| (arc, side)));
            arcs.map(|(arc, side)| Crossing::new(side, self.arcs.arcs[arc].left, self.arcs.arcs[arc].right))
        };
        let (starts, held) = collect(self.height, sides, |crossing, call| crossing.rows().for_each(call));
        let fault = (0..self.height).into_par_iter().find_map_first(|y| {
            let mut row = held[starts[y]..starts[y + 1]].to_vec();
            row.sort_unstable_by(|one, other| one.compare(other, y));
            let ends = row.iter().map(|crossing| crossing.left).chain([NONE]);
            let begins = [NONE].into_iter().chain(row.iter().map(|crossing| crossing.right));
            begins.zip(ends).find(|(begins, ends)| begins != ends).map(|(begins, ends)| (y, begins, ends))
        });
        let name = |region: u32| if region == NONE { "no data".into() } else { format!("region {region}") };
        fault.map_or(Ok(()), |(y, one, other)| {
            let reason = format!("in row {y}, {} ends where {} begins", name(one), name(other));
            Err(VectorError::Invalid { reason })
        })
    }

    /// Two sides of borders that have more in common than an end.
    fn find_crossing(&self) -> Option<[[Point; 2]; 2]> {
        let sides = || (0..self.arcs.arcs.len()).flat_map(|arc| self.arcs.points(arc).array_windows::<2>().copied());
        let grid = Cells::new(self.width, self.height, self.arcs.points.len());
        let (starts, held) = collect(grid.across * grid.down, sides, |&side, call| grid.each_cell(side, call));
        starts.par_windows(2).find_map_first(|cell| {
            let sides = &held[cell[0]..cell[1]];
            let mut pairs =
                sides.iter().enumerate().flat_map(|(at, &one)| sides[..at].iter().map(move |&other| [one, other]));
            pairs.find(|&[one, other]| meet_badly(one, other))
        })
    }
}

/// Items by the places that each belongs to, and where those of each place begin.
fn collect<T: Copy + Default, I: Iterator<Item = T>>(
    num_places: usize,
    items: impl Fn() -> I,
    places: impl Fn(&T, &mut dyn FnMut(usize)),
) -> (Vec<usize>, Vec<T>) {
    let mut starts = vec![0; num_places + 1];
    items().for_each(|item| places(&item, &mut |place| starts[place + 1] += 1));
    (0..num_places).for_each(|place| starts[place + 1] += starts[place]);
    let mut held = vec![T::default(); starts[num_places]];
    // Each start runs to the next one while its place is filled, and all are moved back afterwards.
    items().for_each(|item| {
        places(&item, &mut |place| {
            held[starts[place]] = item;
            starts[place] += 1;
        });
    });
    starts.rotate_right(1);
    starts[0] = 0;
    (starts, held)
}

/// A side of a border from top to bottom, and the regions to both sides as seen.
#[derive(Clone, Copy, Default)]
struct Crossing {
    top: Point,
    bottom: Point,
    left: u32,
    right: u32,
}

impl Crossing {
    fn new([from, to]: [Point; 2], left: u32, right: u32) -> Self {
        if from[1] < to[1] {
            // What is to the left of who walks down is seen to the right.
            Self { top: from, bottom: to, left: right, right: left }
        } else {
            Self { top: to, bottom: from, left, right }
        }
    }

    fn rows(&self) -> Range<usize> {
        self.top[1] as usize..self.bottom[1] as usize
    }

    /// Which of two crosses the middle of a row first; exact, for fractions are not divided.
    fn compare(&self, other: &Self, y: usize) -> Ordering {
        let place = |crossing: &Self| {
            let [[x0, y0], [x1, y1]] = [crossing.top, crossing.bottom].map(|point| point.map(i128::from));
            let down = 2 * (y1 - y0);
            (x0 * down + (x1 - x0) * (2 * (y as i128 - y0) + 1), down)
        };
        let ((one, under_one), (two, under_two)) = (place(self), place(other));
        (one * under_two).cmp(&(two * under_one))
    }
}

/// A grid of square cells over the picture.
struct Cells {
    side: i64,
    across: usize,
    down: usize,
}

impl Cells {
    fn new(width: usize, height: usize, num_sides: usize) -> Self {
        let area = (width + 1) * (height + 1) * SIDES_IN_CELL / num_sides.max(1);
        let side = area.isqrt().max(2);
        Self { side: side as i64, across: width / side + 1, down: height / side + 1 }
    }

    /// Calls for all cells that a side may pass through.
    fn each_cell(&self, [from, to]: [Point; 2], mut call: impl FnMut(usize)) {
        let ([x0, y0], [x1, y1]) = (from.map(i64::from), to.map(i64::from));
        for row in y0.min(y1) / self.side..=y0.max(y1) / self.side {
            // Between two rows of cells the side runs from where it enters to where it leaves, rounded outwards.
            let (top, bottom) = ((row * self.side).max(y0.min(y1)), ((row + 1) * self.side).min(y0.max(y1)));
            let x_at = |y: i64| if y0 == y1 { (x0, x1) } else { rounded((x1 - x0) * (y - y0), y1 - y0, x0) };
            let ((a, b), (c, d)) = (x_at(top), x_at(bottom));
            let (first, last) = (a.min(b).min(c).min(d), a.max(b).max(c).max(d));
            (first / self.side..=last / self.side)
                .for_each(|column| call(row as usize * self.across + column as usize));
        }
    }
}

/// A fraction and a whole number, rounded down and up.
fn rounded(over: i64, under: i64, whole: i64) -> (i64, i64) {
    let (over, under) = (over * under.signum(), under.abs());
    (whole + over.div_euclid(under), whole - (-over).div_euclid(under))
}

/// Which side of a line a point lies on: 1, 0 or -1.
fn side_of(point: Point, [from, to]: [Point; 2]) -> i64 {
    let away = |end: Point| [i64::from(end[0]) - i64::from(from[0]), i64::from(end[1]) - i64::from(from[1])];
    let ([x0, y0], [x1, y1]) = (away(to), away(point));
    (x0 * y1 - y0 * x1).signum()
}

/// Whether two sides have more in common than an end.
fn meet_badly(one: [Point; 2], other: [Point; 2]) -> bool {
    let [a, b] = one;
    let [c, d] = other;
    let common = [(a, b, c, d), (a, b, d, c), (b, a, c, d), (b, a, d, c)].into_iter().find(|&(a, _, c, _)| a == c);
    if let Some((end, first, _, second)) = common {
        // From a common end they must go different ways.
        let away = |point: Point| [i64::from(point[0]) - i64::from(end[0]), i64::from(point[1]) - i64::from(end[1])];
        let ([x0, y0], [x1, y1]) = (away(first), away(second));
        return side_of(second, [end, first]) == 0 && x0 * x1 + y0 * y1 >= 0;
    }
    let sides = [side_of(c, one), side_of(d, one), side_of(a, other), side_of(b, other)];
    let in_box = |point: Point, [from, to]: [Point; 2]| {
        (0..2).all(|axis| (from[axis].min(to[axis])..=from[axis].max(to[axis])).contains(&point[axis]))
    };
    let touches = [(c, one), (d, one), (a, other), (b, other)];
    let touch = sides.iter().zip(touches).any(|(&side, (point, line))| side == 0 && in_box(point, line));
    touch || sides[0] * sides[1] < 0 && sides[2] * sides[3] < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_may_meet_at_an_end_and_nowhere_else() {
        let side = [[0, 0], [6, 4]];
        for (other, badly) in [
            ([[0, 4], [6, 0]], true),
            ([[3, 2], [9, 9]], true),
            ([[3, 3], [9, 9]], false),
            ([[6, 4], [0, 0]], true),
            ([[6, 4], [9, 6]], false),
            ([[6, 4], [3, 2]], true),
            ([[0, 0], [3, 2]], true),
            ([[0, 0], [-3, -2]], false),
            ([[9, 6], [12, 8]], false),
            ([[-3, -2], [12, 8]], true),
            ([[0, 0], [4, 6]], false),
        ] {
            assert_eq!(meet_badly(side, other), badly, "{other:?}");
            assert_eq!(meet_badly(other, side), badly, "{other:?} the other way around");
        }
    }

    #[test]
    fn a_side_passes_through_all_its_cells() {
        let grid = Cells { side: 4, across: 6, down: 6 };
        for side in [[[1, 1], [19, 7]], [[19, 7], [1, 1]], [[3, 20], [5, 0]], [[0, 8], [20, 8]], [[8, 20], [8, 0]]] {
            let mut cells = Vec::new();
            grid.each_cell(side, |cell| cells.push(cell));
            for step in 0..=1000 {
                let part = f64::from(step) / 1000.0;
                let at = [0, 1].map(|axis| {
                    let (from, to) = (f64::from(side[0][axis]), f64::from(side[1][axis]));
                    ((from + (to - from) * part) / 4.0) as usize
                });
                assert!(cells.contains(&(at[1] * 6 + at[0])), "{side:?} passes through cell {at:?}");
            }
        }
    }
}
