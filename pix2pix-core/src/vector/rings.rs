//! Puts rings together from arcs: for every region an outer one and its holes. Knows nothing of classes.

use super::polygons::{Arcs, NONE, Rings};

/// The rings of all regions.
///
/// Where a region touches itself at a corner, its ring goes on along the other pixel of the region. The region is
/// connected elsewhere, so that what this closes is a hole that touches at that corner; no ring comes to a corner
/// twice.
pub(super) fn assemble(arcs: &Arcs, num_regions: usize) -> Rings {
    let mut used = vec![false; 2 * arcs.arcs.len()];
    let (mut halves, mut found) = (Vec::new(), Vec::new());
    for first in 0..used.len() as u32 {
        let region = arcs.left(first);
        if region == NONE || used[first as usize] {
            continue;
        }
        let start = halves.len();
        let (mut half, mut area) = (first, 0);
        loop {
            used[half as usize] = true;
            halves.push(half);
            area += arcs.sweep(half);
            half = following(arcs, half);
            if half == first {
                break;
            }
        }
        // Holes go the other way around: their area is negative.
        found.push((region, area < 0, start, halves.len()));
    }
    // Rings come in the order of their first arcs, which is kept.
    found.sort_by_key(|&(region, is_hole, ..)| (region, is_hole));
    let mut rings =
        Rings { halves: Vec::with_capacity(halves.len()), starts: vec![0], firsts: vec![0; num_regions + 1] };
    for (region, _, start, end) in found {
        rings.halves.extend_from_slice(&halves[start..end]);
        rings.starts.push(rings.halves.len() as u32);
        rings.firsts[region as usize + 1] += 1;
    }
    (0..num_regions).for_each(|region| rings.firsts[region + 1] += rings.firsts[region]);
    rings
}

/// The half of an arc that comes next around the region to the left.
///
/// # Panics
/// When borders end in nothing, which those of a raster cannot.
fn following(arcs: &Arcs, half: u32) -> u32 {
    let node = arcs.last_node(half);
    if node == NONE {
        return half;
    }
    let (points, forward) = (arcs.points(half as usize / 2), half.is_multiple_of(2));
    let (before, last) = match points {
        [.., before, last] if forward => (before, last),
        [last, before, ..] => (before, last),
        _ => panic!("a border has two points at least"),
    };
    let direction = match (last[0] - before[0], last[1] - before[1]) {
        (1.., 0) => 0,
        (0, 1..) => 1,
        (_, 0) => 2,
        _ => 3,
    };
    let leaving = &arcs.leaving[node as usize];
    let turns = [1, 0, 3].map(|turn| leaving[(direction + turn) % 4]);
    let next = turns.into_iter().find(|&next| next != NONE && arcs.left(next) == arcs.left(half));
    next.expect("a border goes on at its end")
}
