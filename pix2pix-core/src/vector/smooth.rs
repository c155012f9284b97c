//! A mode filter: every pixel gets the class that most pixels around it have. Takes away specks and thin seams of mixed
//! colours.

use rayon::prelude::*;

use super::labels::{Labels, NO_CLASS};

/// The class that has most pixels in the square of `2 * radius + 1` pixels around each pixel, as far as it lies in the
/// picture.
///
/// Where several classes have the most, the pixel keeps its own if that is one of them, else it gets the first of them.
/// Pixels without a class stay so and do not count.
pub(super) fn smooth(labels: &Labels, radius: usize, num_classes: usize) -> Labels {
    if radius == 0 {
        return labels.clone();
    }
    let (width, height) = (labels.width(), labels.height());
    let mut result = vec![NO_CLASS; labels.classes().len()];
    result.par_chunks_exact_mut(width).enumerate().for_each(|(y, row)| {
        let lines = y.saturating_sub(radius)..(y.saturating_add(radius).saturating_add(1)).min(height);
        let lines = &labels.classes()[lines.start * width..lines.end * width];
        let mut votes = Votes::default();
        (0..radius.min(width)).for_each(|x| votes.add(lines, width, x));
        for (x, class) in row.iter_mut().enumerate() {
            if let Some(enters) = x.checked_add(radius).filter(|&enters| enters < width) {
                votes.add(lines, width, enters);
            }
            if let Some(leaves) = x.checked_sub(radius + 1) {
                votes.remove(lines, width, leaves);
            }
            let own = labels.classes()[y * width + x];
            *class = if own == NO_CLASS { NO_CLASS } else { votes.most(own, num_classes) };
        }
    });
    labels.with_classes(result)
}

/// How many pixels of a window have each class.
struct Votes {
    counts: [u32; 256],
    total: u32,
}

impl Default for Votes {
    fn default() -> Self {
        Self { counts: [0; 256], total: 0 }
    }
}

impl Votes {
    fn add(&mut self, lines: &[u8], width: usize, x: usize) {
        for line in lines.chunks_exact(width) {
            self.counts[usize::from(line[x])] += 1;
            self.total += 1;
        }
    }

    fn remove(&mut self, lines: &[u8], width: usize, x: usize) {
        for line in lines.chunks_exact(width) {
            self.counts[usize::from(line[x])] -= 1;
            self.total -= 1;
        }
    }

    fn most(&self, own: u8, num_classes: usize) -> u8 {
        let mut best = (self.counts[usize::from(own)], own);
        // More than half need no search.
        if best.0 > self.total / 2 {
            return own;
        }
        for (class, &count) in (0..).zip(&self.counts[..num_classes]) {
            if count > best.0 {
                best = (count, class);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn smoothed(width: usize, radius: usize, classes: &[u8]) -> Vec<u8> {
        let labels = Labels::new(width, classes.len() / width, classes.to_vec()).expect("labels fit");
        smooth(&labels, radius, 9).classes().to_vec()
    }

    #[test]
    fn a_speck_goes_and_a_straight_border_stays() {
        #[rustfmt::skip]
        let before = [
            0, 0, 0, 1, 1, 1,
            0, 2, 0, 1, 1, 1,
            0, 0, 0, 1, 1, 1,
            0, 0, 0, 1, 1, 1,
        ];
        let mut after = before;
        after[7] = 0;
        assert_eq!(smoothed(6, 1, &before), after);
        assert_eq!(smoothed(6, 0, &before), before);
    }

    #[test]
    fn a_seam_between_two_classes_goes_to_the_first_of_them() {
        let row = [1, 1, 1, 3, 2, 2, 2];
        let found = smoothed(7, 2, &row.repeat(5));
        assert_eq!(found[2 * 7..3 * 7], [1, 1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn ties_keep_the_own_class() {
        assert_eq!(smoothed(2, 1, &[5, 4]), [5, 4]);
        assert_eq!(smoothed(2, 7, &[5, 4, 4, 5]), [5, 4, 4, 5]);
    }

    #[test]
    fn pixels_without_class_stay_and_do_not_count() {
        let none = NO_CLASS;
        #[rustfmt::skip]
        let before = [
            none, none, none,
            none, 1,    none,
            none, 0,    0,
        ];
        assert_eq!(smoothed(3, 1, &before), [none, none, none, none, 0, none, none, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_filter_equals_counting_every_window(
            width in 1_usize..9,
            radius in 1_usize..5,
            pixels in prop::collection::vec(prop_oneof![0_u8..4, Just(NO_CLASS)], 40),
        ) {
            let height = pixels.len() / width;
            let pixels = &pixels[..width * height];
            let found = smoothed(width, radius, pixels);
            for at in 0..pixels.len() {
                let (x, y) = (at % width, at / width);
                let mut counts = [0; 4];
                for other in 0..pixels.len() {
                    let near = x.abs_diff(other % width) <= radius && y.abs_diff(other / width) <= radius;
                    if near && pixels[other] != NO_CLASS {
                        counts[usize::from(pixels[other])] += 1;
                    }
                }
                let most = counts.iter().max().copied().unwrap_or(0);
                let expected = match pixels[at] {
                    NO_CLASS => NO_CLASS,
                    own if counts[usize::from(own)] == most => own,
                    _ => (0..4).find(|&class| counts[usize::from(class)] == most).expect("one has the most"),
                };
                prop_assert_eq!(found[at], expected);
            }
        }
    }
}
