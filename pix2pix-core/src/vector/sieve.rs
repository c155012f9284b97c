//! A sieve: regions that are too small go to the neighbour with the longest common border. Knows nothing of colours or
//! outlines.

use std::{cmp::Reverse, collections::BTreeMap};

use rayon::prelude::*;

use super::labels::{Groups, Labels, NO_CLASS, NO_REGION, Regions};

/// Gives every 4-connected region of less than `min_area(class)` pixels to a neighbour, until none is left that has
/// one.
///
/// The smallest region goes first, of equal ones the one whose first pixel comes first. It goes to the region with
/// which it shares the longest border, then the larger, then the first one, and joins all neighbours of that class.
/// Where there is no data, there is no neighbour: a small region alone among it stays.
pub(super) fn sieve(labels: &Labels, min_area: impl Fn(u8) -> u32) -> Labels {
    let regions = Regions::find(labels);
    let smallest: Vec<u32> = (0..=u8::MAX).map(min_area).collect();
    let small = |class: u8, area: u32| area < smallest[usize::from(class)];
    let mut queue = Queue::new();
    for (id, (&class, &area)) in (0..).zip(regions.classes.iter().zip(&regions.areas)) {
        if small(class, area) {
            queue.entry(area).or_default().push(id);
        }
    }
    if queue.is_empty() {
        return labels.clone();
    }
    let (classes, ids) = Merge::new(&regions, labels.width(), small).run(queue, small);
    let mut result = vec![NO_CLASS; regions.ids.len()];
    result.par_iter_mut().zip(&regions.ids).for_each(|(class, &id)| {
        if id != NO_REGION {
            *class = classes[ids[id as usize] as usize];
        }
    });
    labels.with_classes(result)
}

/// Small regions by their area.
type Queue = BTreeMap<u32, Vec<u32>>;

/// Regions that are being merged. What stands under a number counts while it is the first of its group.
struct Merge {
    groups: Groups,
    classes: Vec<u8>,
    areas: Vec<u32>,
    /// Where the neighbours of each region begin in `neighbors`: one entry for each side of a pixel, and only for small
    /// regions.
    starts: Vec<usize>,
    neighbors: Vec<u32>,
    /// The regions of a group, as chains: those whose neighbours must be looked at.
    next: Vec<u32>,
    last: Vec<u32>,
}

impl Merge {
    fn new(regions: &Regions, width: usize, small: impl Fn(u8, u32) -> bool) -> Self {
        let count = regions.areas.len();
        let is_small: Vec<bool> =
            regions.classes.iter().zip(&regions.areas).map(|(&class, &area)| small(class, area)).collect();
        let mut starts = vec![0; count + 1];
        each_border(&regions.ids, width, |one, _| starts[one as usize + 1] += usize::from(is_small[one as usize]));
        (0..count).for_each(|at| starts[at + 1] += starts[at]);
        let mut neighbors = vec![0; starts[count]];
        // Each start runs to the next one while its neighbours are filled in, and all are moved back afterwards.
        each_border(&regions.ids, width, |one, other| {
            if is_small[one as usize] {
                neighbors[starts[one as usize]] = other;
                starts[one as usize] += 1;
            }
        });
        starts.rotate_right(1);
        starts[0] = 0;
        Self {
            groups: Groups::new(count),
            classes: regions.classes.clone(),
            areas: regions.areas.clone(),
            starts,
            neighbors,
            next: vec![NO_REGION; count],
            last: (0..count as u32).collect(),
        }
    }

    /// Merges all, and gives the class of every group and the group of every region.
    fn run(mut self, mut queue: Queue, small: impl Fn(u8, u32) -> bool) -> (Vec<u8>, Vec<u32>) {
        let mut sides = Vec::new();
        while let Some((area, mut regions)) = queue.pop_first() {
            // Whatever is merged from now on is larger: these are all of this area.
            regions.sort_unstable();
            for region in regions {
                // A region that was merged after it came into the queue is there again under its new area.
                if self.groups.first(region) != region || self.areas[region as usize] != area {
                    continue;
                }
                self.collect_sides(region, &mut sides);
                let Some(merged) = self.give_away(region, &sides) else {
                    continue;
                };
                let area = self.areas[merged as usize];
                if small(self.classes[merged as usize], area) {
                    queue.entry(area).or_default().push(merged);
                }
            }
        }
        let ids = (0..self.classes.len() as u32).map(|id| self.groups.first(id)).collect();
        (self.classes, ids)
    }

    /// The region behind every side of the pixels of a small region, in order.
    fn collect_sides(&mut self, region: u32, sides: &mut Vec<u32>) {
        sides.clear();
        let mut part = region;
        while part != NO_REGION {
            for at in self.starts[part as usize]..self.starts[part as usize + 1] {
                let other = self.groups.first(self.neighbors[at]);
                if other != region {
                    sides.push(other);
                }
            }
            part = self.next[part as usize];
        }
        sides.sort_unstable();
    }

    /// Gives a region to the neighbour with most of its sides, and to all others of that class. Gives what they have
    /// become.
    fn give_away(&mut self, region: u32, sides: &[u32]) -> Option<u32> {
        let neighbors = || sides.chunk_by(|one, other| one == other);
        let longest = |sides: &&[u32]| (sides.len(), self.areas[sides[0] as usize], Reverse(sides[0]));
        let target = neighbors().max_by_key(longest)?[0];
        let class = self.classes[target as usize];
        let mut merged = self.join(region, target);
        for other in neighbors().map(|sides| sides[0]).filter(|&other| other != target) {
            if self.classes[other as usize] == class {
                merged = self.join(merged, other);
            }
        }
        self.classes[merged as usize] = class;
        Some(merged)
    }

    fn join(&mut self, one: u32, other: u32) -> u32 {
        let merged = self.groups.join(one, other);
        let (first, second) = (merged as usize, if merged == one { other } else { one });
        self.areas[first] += self.areas[second as usize];
        self.next[self.last[first] as usize] = second;
        self.last[first] = self.last[second as usize];
        merged
    }
}

/// Calls for every side of a pixel between two regions, once from each.
fn each_border(ids: &[u32], width: usize, mut call: impl FnMut(u32, u32)) {
    let mut pair = |one: u32, other: u32| {
        if one != other && one != NO_REGION && other != NO_REGION {
            call(one, other);
            call(other, one);
        }
    };
    let mut above: Option<&[u32]> = None;
    for row in ids.chunks_exact(width) {
        row.windows(2).for_each(|two| pair(two[0], two[1]));
        if let Some(above) = above {
            above.iter().zip(row).for_each(|(&one, &other)| pair(one, other));
        }
        above = Some(row);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sieved(width: usize, min_area: impl Fn(u8) -> u32, classes: &[u8]) -> Vec<u8> {
        let labels = Labels::new(width, classes.len() / width, classes.to_vec()).expect("labels fit");
        sieve(&labels, min_area).classes().to_vec()
    }

    #[test]
    fn a_small_region_goes_to_the_neighbour_with_the_longest_common_border() {
        #[rustfmt::skip]
        let before = [
            1, 1, 1, 1,
            1, 0, 0, 1,
            2, 2, 2, 2,
        ];
        #[rustfmt::skip]
        let after = [
            1, 1, 1, 1,
            1, 1, 1, 1,
            2, 2, 2, 2,
        ];
        assert_eq!(sieved(4, |_| 3, &before), after);
        assert_eq!(sieved(4, |_| 2, &before), before);
    }

    #[test]
    fn neighbours_of_one_class_become_one_region_when_what_parts_them_goes() {
        // Two regions of three pixels each would be too small, together they are not.
        assert_eq!(sieved(7, |_| 5, &[1, 1, 1, 0, 1, 1, 1]), [1; 7]);
    }

    #[test]
    fn small_regions_grow_together_before_they_go() {
        #[rustfmt::skip]
        let before = [
            9, 9, 9, 9, 9,
            9, 1, 2, 3, 9,
            9, 9, 9, 9, 9,
        ];
        assert_eq!(sieved(5, |_| 4, &before), [9; 15]);
    }

    #[test]
    fn every_class_has_its_own_smallest_area() {
        let before = [1, 1, 1, 2, 2, 3, 3];
        assert_eq!(sieved(7, |class| if class == 3 { 3 } else { 2 }, &before), [1, 1, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn a_region_alone_among_no_data_stays_and_no_data_stays() {
        let none = NO_CLASS;
        assert_eq!(sieved(5, |_| 9, &[1, none, 2, 2, none]), [1, none, 2, 2, none]);
        assert_eq!(sieved(2, |_| 9, &[4; 4]), [4; 4]);
    }

    proptest! {
        #[test]
        fn no_small_region_is_left_that_has_a_neighbour(
            width in 1_usize..24,
            least in prop::array::uniform3(0_u32..30),
            pixels in prop::collection::vec(prop_oneof![9 => 0_u8..3, 1 => Just(NO_CLASS)], 400),
        ) {
            let min_area = |class: u8| least.get(usize::from(class)).copied().unwrap_or(0);
            let pixels = &pixels[..pixels.len() / width * width];
            let labels = Labels::new(width, pixels.len() / width, sieved(width, min_area, pixels)).expect("labels fit");
            let mut pairs = labels.classes().iter().zip(pixels);
            let same_data = pairs.all(|(&one, &other)| (one == NO_CLASS) == (other == NO_CLASS));
            prop_assert!(same_data);
            let regions = Regions::find(&labels);
            let mut alone = vec![true; regions.areas.len()];
            each_border(&regions.ids, width, |one, _| alone[one as usize] = false);
            for (at, alone) in alone.into_iter().enumerate() {
                prop_assert!(alone || regions.areas[at] >= min_area(regions.classes[at]));
            }
        }
    }
}
