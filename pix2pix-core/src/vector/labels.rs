//! A class for every pixel, and the 4-connected regions of one class. Knows nothing of colours or outlines.

use super::VectorError;

/// The label of pixels that have no class: there is no data.
pub const NO_CLASS: u8 = u8::MAX;

/// Most pixels of a picture: counts of corners and edges fit 32 bits.
pub(super) const MOST_PIXELS: usize = 1 << 30;

/// The region of pixels that have no class, and of all that lies outside.
pub(super) const NO_REGION: u32 = u32::MAX;

/// A class for every pixel, row by row: places in a palette, or [`NO_CLASS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    width: usize,
    height: usize,
    classes: Vec<u8>,
}

impl Labels {
    /// Labels from their values.
    ///
    /// # Errors
    /// No pixels, too many of them, or a number of values that does not fit.
    pub fn new(width: usize, height: usize, classes: Vec<u8>) -> Result<Self, VectorError> {
        let expected = num_pixels(width, height)?;
        if classes.len() != expected {
            return Err(VectorError::Length { what: "labels", found: classes.len(), expected });
        }
        Ok(Self { width, height, classes })
    }

    /// Pixels in a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The classes, row by row.
    pub fn classes(&self) -> &[u8] {
        &self.classes
    }

    /// The same pixels with other classes.
    pub(super) fn with_classes(&self, classes: Vec<u8>) -> Self {
        debug_assert_eq!(classes.len(), self.classes.len(), "every pixel has a class");
        Self { classes, ..*self }
    }
}

/// Pixels of a picture.
///
/// # Errors
/// None, or too many.
pub(super) fn num_pixels(width: usize, height: usize) -> Result<usize, VectorError> {
    let area = width.checked_mul(height).filter(|area| (1..=MOST_PIXELS).contains(area));
    area.ok_or(VectorError::Size { width, height, limit: MOST_PIXELS })
}

/// The 4-connected regions of labels, numbered in the order of their first pixels.
pub(super) struct Regions {
    /// The region of every pixel, or [`NO_REGION`].
    pub ids: Vec<u32>,
    /// The class of every region.
    pub classes: Vec<u8>,
    /// Pixels of every region.
    pub areas: Vec<u32>,
}

impl Regions {
    /// Finds them.
    pub fn find(labels: &Labels) -> Self {
        let (width, classes) = (labels.width, labels.classes());
        let mut groups = Groups::default();
        let mut ids = vec![NO_REGION; classes.len()];
        for row in 0..labels.height {
            let start = row * width;
            for at in start..start + width {
                let class = classes[at];
                if class == NO_CLASS {
                    continue;
                }
                let left = (at > start && classes[at - 1] == class).then(|| ids[at - 1]);
                let above = (row > 0 && classes[at - width] == class).then(|| ids[at - width]);
                ids[at] = match (left, above) {
                    (Some(left), Some(above)) if left != above => groups.join(left, above),
                    (Some(id), _) | (None, Some(id)) => id,
                    (None, None) => groups.add(),
                };
            }
        }
        Self::number(ids, classes, &mut groups)
    }

    /// Numbers groups of ids without gaps. The first of a group is its smallest, so order is kept.
    fn number(mut ids: Vec<u32>, classes: &[u8], groups: &mut Groups) -> Self {
        let mut numbers = vec![NO_REGION; groups.len()];
        let (mut of_region, mut areas) = (Vec::new(), Vec::<u32>::new());
        for (id, &class) in ids.iter_mut().zip(classes) {
            if *id == NO_REGION {
                continue;
            }
            let number = &mut numbers[groups.first(*id) as usize];
            if *number == NO_REGION {
                *number = areas.len() as u32;
                of_region.push(class);
                areas.push(0);
            }
            areas[*number as usize] += 1;
            *id = *number;
        }
        Self { ids, classes: of_region, areas }
    }
}

/// Numbers that are joined to groups (union-find); a group is known by its smallest number.
#[derive(Default)]
pub(super) struct Groups {
    parents: Vec<u32>,
}

impl Groups {
    /// So many groups of one.
    pub fn new(count: usize) -> Self {
        Self { parents: (0..count as u32).collect() }
    }

    fn add(&mut self) -> u32 {
        self.parents.push(self.parents.len() as u32);
        self.parents.len() as u32 - 1
    }

    fn len(&self) -> usize {
        self.parents.len()
    }

    /// The smallest number of the group that this one belongs to.
    pub fn first(&mut self, mut of: u32) -> u32 {
        loop {
            let parent = self.parents[of as usize];
            if parent == of {
                return of;
            }
            // Every second link is shortened on the way, which keeps all ways short.
            self.parents[of as usize] = self.parents[parent as usize];
            of = parent;
        }
    }

    /// Makes two groups one and gives its smallest number.
    pub fn join(&mut self, one: u32, other: u32) -> u32 {
        let (one, other) = (self.first(one), self.first(other));
        let (small, large) = (one.min(other), one.max(other));
        self.parents[large as usize] = small;
        small
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(width: usize, classes: &[u8]) -> Regions {
        let labels = Labels::new(width, classes.len() / width, classes.to_vec()).expect("labels fit");
        Regions::find(&labels)
    }

    #[test]
    fn regions_are_numbered_by_their_first_pixels_and_meet_along_edges_only() {
        #[rustfmt::skip]
        let found = regions(4, &[
            0, 1, 0, 0,
            1, 0, 0, 1,
            1, 1, 0, 0,
        ]);
        assert_eq!(found.ids, [0, 1, 2, 2, 3, 2, 2, 4, 3, 3, 2, 2]);
        assert_eq!(found.classes, [0, 1, 0, 1, 1]);
        assert_eq!(found.areas, [1, 1, 6, 3, 1]);
    }

    #[test]
    fn arms_that_meet_at_the_bottom_are_one_region_and_no_data_is_none() {
        let none = NO_CLASS;
        let found = regions(5, &[2, none, 2, none, 2, 2, 2, 2, none, 2, none, none, 2, 2, 2]);
        let x = NO_REGION;
        assert_eq!(found.ids, [0, x, 0, x, 0, 0, 0, 0, x, 0, x, x, 0, 0, 0]);
        assert_eq!((found.classes, found.areas), (vec![2], vec![10]));
    }

    #[test]
    fn labels_without_pixels_or_with_too_many_are_errors() {
        assert!(matches!(Labels::new(0, 3, vec![]), Err(VectorError::Size { .. })));
        assert!(matches!(Labels::new(usize::MAX, 3, vec![]), Err(VectorError::Size { .. })));
        let error = Labels::new(2, 2, vec![0; 3]).expect_err("one is missing");
        assert_eq!(error.to_string(), "3 values of labels were found, 4 pixels are expected");
    }
}
