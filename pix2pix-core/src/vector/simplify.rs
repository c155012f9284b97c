//! Simplifies the borders between regions, each once and with its ends where they were, so that neighbours keep one
//! common border.
//!
//! Which corners may go is found by Douglas and Peucker (1973), "Algorithms for the reduction of the number of points
//! required to represent a digitized line or its caricature". They go one by one, and each only when the triangle it
//! makes with its two neighbours holds no other corner of any border, as in Visvalingam and Whyatt's variants that keep
//! the topology. Without a corner inside, no border passes between the two old sides and the new one: nothing crosses,
//! nothing changes sides, and every step leaves a valid map. Corners are tried again while others go; those that are
//! still in the way stay.

use rayon::prelude::*;

use super::{
    polygons::{Arc, Arcs, NONE, Point},
    trace::Bits,
};

/// What part of its side a closed border may be simplified by, whatever the tolerance: a small island keeps its form.
const PART_OF_SIDE: f64 = 0.25;

/// Simplifies all arcs by a tolerance in pixels.
pub(super) fn simplify(arcs: &mut Arcs, size: (usize, usize), tolerance: f64) {
    if tolerance <= 0.0 {
        return;
    }
    let mut wanted = vec![false; arcs.points.len()];
    let mut rest = wanted.as_mut_slice();
    let mut parts = Vec::with_capacity(arcs.arcs.len());
    for arc in &arcs.arcs {
        let (part, after) = rest.split_at_mut((arc.end - arc.start) as usize);
        parts.push(part);
        rest = after;
    }
    parts.into_par_iter().enumerate().for_each(|(arc, wanted)| {
        let tolerance = if is_closed(&arcs.arcs[arc], arcs) {
            let area = arcs.sweep(2 * arc as u32).unsigned_abs() as f64 / 2.0;
            tolerance.min(area.sqrt() * PART_OF_SIDE)
        } else {
            tolerance
        };
        mark(arcs.points(arc), tolerance * tolerance, wanted);
    });
    let removal = Removal::new(arcs, size);
    let left = removal.run(&wanted);
    keep(arcs, &left);
}

/// Whether an arc ends where it begins.
fn is_closed(arc: &Arc, arcs: &Arcs) -> bool {
    arcs.points[arc.start as usize] == arcs.points[arc.end as usize - 1]
}

/// Marks the points of a line that Douglas and Peucker keep; the tolerance is squared.
fn mark(points: &[Point], tolerance: f64, keep: &mut [bool]) {
    let last = points.len() - 1;
    (keep[0], keep[last]) = (true, true);
    let mut parts = vec![(0, last)];
    while let Some((from, to)) = parts.pop() {
        let mut farthest = (tolerance, 0, 0);
        for at in from + 1..to {
            let distance = distance(points[at], points[from], points[to]);
            // Of equal ones the middle one: even lines of many equal steps are halved then.
            let depth = (at - from).min(to - at);
            if distance > farthest.0 || distance == farthest.0 && farthest.2 > 0 && depth > farthest.2 {
                farthest = (distance, at, depth);
            }
        }
        let (_, at, depth) = farthest;
        if depth > 0 {
            keep[at] = true;
            parts.extend([(from, at), (at, to)]);
        }
    }
}

/// The square of the distance of a point from a line between two others.
fn distance(point: Point, from: Point, to: Point) -> f64 {
    let away = |end: Point| [i64::from(point[0]) - i64::from(end[0]), i64::from(point[1]) - i64::from(end[1])];
    let square = |[x, y]: [i64; 2]| x * x + y * y;
    let line = [i64::from(to[0]) - i64::from(from[0]), i64::from(to[1]) - i64::from(from[1])];
    let (here, length) = (away(from), square(line));
    let along = here[0] * line[0] + here[1] * line[1];
    if along <= 0 {
        square(here) as f64
    } else if along >= length {
        square(away(to)) as f64
    } else {
        let across = (line[0] * here[1] - line[1] * here[0]) as f64;
        across * across / length as f64
    }
}

/// Corners on their way out.
struct Removal<'a> {
    arcs: &'a Arcs,
    /// Which points are left, and how many of each arc.
    left: Vec<bool>,
    counts: Vec<u32>,
    /// Corners of pixels that a border has a point at, row by row.
    taken: Bits,
    columns: usize,
}

impl<'a> Removal<'a> {
    fn new(arcs: &'a Arcs, (width, height): (usize, usize)) -> Self {
        let columns = width + 1;
        let mut taken = Bits::new(columns * (height + 1));
        arcs.points.iter().for_each(|&[x, y]| taken.set(y as usize * columns + x as usize));
        let counts = arcs.arcs.iter().map(|arc| arc.end - arc.start).collect();
        Self { arcs, left: vec![true; arcs.points.len()], counts, taken, columns }
    }

    /// Takes out what is not wanted, as far as it can go. Gives which points are left.
    fn run(mut self, wanted: &[bool]) -> Vec<bool> {
        let mut stuck = Vec::new();
        for (number, arc) in self.arcs.arcs.iter().enumerate() {
            let mut from = arc.start as usize;
            for to in (from + 1..arc.end as usize).filter(|&at| wanted[at]) {
                self.take_between(number, from, to, &mut stuck);
                from = to;
            }
        }
        loop {
            let before = stuck.len();
            stuck.retain(|&(arc, at)| !self.take(arc, at));
            if stuck.len() == before {
                return self.left;
            }
        }
    }

    /// Takes out the points between two others: those of both halves and then the middle one, so that triangles stay
    /// slim.
    fn take_between(&mut self, arc: usize, from: usize, to: usize, stuck: &mut Vec<(usize, usize)>) {
        if to - from < 2 {
            return;
        }
        let middle = from.midpoint(to);
        self.take_between(arc, from, middle, stuck);
        self.take_between(arc, middle, to, stuck);
        if !self.take(arc, middle) {
            stuck.push((arc, middle));
        }
    }

    /// Takes one point out if nothing is in the way.
    fn take(&mut self, number: usize, at: usize) -> bool {
        let (arc, points) = (&self.arcs.arcs[number], &self.arcs.points);
        let ends = points[arc.start as usize] == points[arc.end as usize - 1];
        // A closed line keeps three different points.
        if ends && self.counts[number] <= 4 || !ends && self.counts[number] == 3 && self.has_twin(arc) {
            return false;
        }
        let mut neighbors = (at - 1, at + 1);
        while !self.left[neighbors.0] {
            neighbors.0 -= 1;
        }
        while !self.left[neighbors.1] {
            neighbors.1 += 1;
        }
        let triangle = [points[neighbors.0], points[at], points[neighbors.1]];
        let places = triangle.map(|[x, y]| y as usize * self.columns + x as usize);
        places.iter().for_each(|&place| self.taken.clear(place));
        let free = !self.holds_point(triangle);
        self.taken.set(places[0]);
        self.taken.set(places[2]);
        if free {
            self.left[at] = false;
            self.counts[number] -= 1;
        } else {
            self.taken.set(places[1]);
        }
        free
    }

    /// Whether another arc is the straight line between the ends of this one.
    fn has_twin(&self, arc: &Arc) -> bool {
        let [first, last] = arc.nodes;
        let arcs = self.arcs.leaving[first as usize].iter().filter(|&&half| half != NONE);
        arcs.into_iter().any(|&half| self.counts[half as usize / 2] == 2 && self.arcs.last_node(half) == last)
    }

    /// Whether there is a point in a triangle or on its sides.
    fn holds_point(&self, [a, b, c]: [Point; 3]) -> bool {
        let (top, bottom) = (a[1].min(b[1]).min(c[1]), a[1].max(b[1]).max(c[1]));
        (top..=bottom).any(|y| {
            let (mut first, mut last) = (i64::MAX, i64::MIN);
            for (one, other) in [(a, b), (b, c), (c, a)] {
                let [x0, y0] = one.map(i64::from);
                let [x1, y1] = other.map(i64::from);
                let y = i64::from(y);
                if y0 == y1 && y == y0 {
                    first = first.min(x0).min(x1);
                    last = last.max(x0).max(x1);
                } else if y0.min(y1) <= y && y <= y0.max(y1) {
                    let (across, down) = ((x1 - x0) * (y - y0) * (y1 - y0).signum(), (y1 - y0).abs());
                    first = first.min(x0 - (-across).div_euclid(down));
                    last = last.max(x0 + across.div_euclid(down));
                }
            }
            let row = y as usize * self.columns;
            // Between two whole numbers there may be none.
            first <= last && self.taken.any(row + first as usize, row + last as usize)
        })
    }
}

/// Closes the gaps that points have left.
fn keep(arcs: &mut Arcs, left: &[bool]) {
    let mut points = Vec::with_capacity(left.iter().filter(|&&left| left).count());
    for arc in &mut arcs.arcs {
        let (start, range) = (points.len(), arc.start as usize..arc.end as usize);
        let kept = range.filter(|&at| left[at]).map(|at| arcs.points[at]);
        points.extend(kept);
        (arc.start, arc.end) = (start as u32, points.len() as u32);
    }
    arcs.points = points;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(points: &[Point], tolerance: f64) -> Vec<Point> {
        let mut keep = vec![false; points.len()];
        mark(points, tolerance * tolerance, &mut keep);
        points.iter().zip(keep).filter(|(_, keep)| *keep).map(|(&point, _)| point).collect()
    }

    /// Steps to the right and down, `count` of each.
    fn stairs(count: i32) -> Vec<Point> {
        (0..=2 * count).map(|at| [(at + 1) / 2, at / 2]).collect()
    }

    #[test]
    fn a_corner_stays_when_it_is_farther_away_than_the_tolerance() {
        let line = [[0, 0], [5, 2], [10, 0]];
        assert_eq!(marked(&line, 1.9), line);
        assert_eq!(marked(&line, 2.0), [[0, 0], [10, 0]]);
    }

    #[test]
    fn even_stairs_become_a_line_and_are_halved_where_they_stay() {
        let stairs = stairs(20_000);
        assert_eq!(marked(&stairs, 0.8), [[0, 0], [20_000, 20_000]]);
        assert_eq!(marked(&stairs, 0.1), stairs);
    }

    #[test]
    fn distances_are_taken_from_the_line_and_not_beyond_its_ends() {
        for (point, expected) in [([3, 4], 16.0), ([-3, 4], 25.0), ([13, 4], 25.0), ([5, 0], 0.0)] {
            assert_eq!(distance(point, [0, 0], [10, 0]), expected, "{point:?}");
        }
        assert_eq!(distance([3, 4], [0, 0], [0, 0]), 25.0);
    }

    #[test]
    fn a_triangle_holds_the_points_inside_and_on_its_sides() {
        let triangle = [[1, 1], [7, 1], [1, 5]];
        // The long side goes through (4, 3).
        let inside = [[1, 1], [2, 2], [5, 1], [1, 4], [4, 3], [2, 4]];
        for y in 0..7 {
            for x in 0..9 {
                let arcs = Arcs { points: vec![[x, y]], ..Arcs::default() };
                let removal = Removal::new(&arcs, (8, 6));
                let expected = x >= 1 && y >= 1 && 2 * (x - 1) + 3 * (y - 1) <= 12;
                assert_eq!(removal.holds_point(triangle), expected, "({x}, {y})");
                assert!(expected || !inside.contains(&[x, y]));
            }
        }
    }
}
