//! How visible windows are in what they were put together to.

use crate::pixel::{PixelError, Planes, Rect, Sink};

/// Pixels on either side of a border whose differences stand for those inside windows: what the picture shows there is much the
/// same.
const NEAR: usize = 16;

/// Measures a translation on its way into another sink: the mean absolute difference of neighbouring pixels across the borders
/// of windows, over that inside windows beside the borders. 1 means that nothing shows; where a picture has edges of its own, by
/// chance more or less.
pub struct SeamMeter<'a> {
    to: &'a mut dyn Sink,
    width: usize,
    /// Columns and rows at which a window begins.
    borders: [Vec<usize>; 2],
    /// Sum and number of differences: inside, across borders.
    sums: [(f64, f64); 2],
    /// The last column of the part to the left.
    left: Option<(Rect, Planes)>,
    /// The last row above, `[channel, x]`.
    above: Vec<f32>,
}

impl<'a> SeamMeter<'a> {
    /// Measures what goes into `to`, `width` pixels wide. `borders` are the columns and the rows at which windows begin.
    pub fn new(to: &'a mut dyn Sink, width: usize, borders: [Vec<usize>; 2]) -> Self {
        Self { to, width, borders, sums: [(0.0, 0.0); 2], left: None, above: Vec::new() }
    }

    /// The ratio; `None` where there is no border or nothing differs inside.
    pub fn ratio(&self) -> Option<f64> {
        let [(inside, num_inside), (across, num_across)] = self.sums;
        (num_across > 0.0 && inside > 0.0).then(|| (across / num_across) / (inside / num_inside))
    }

    fn count(&mut self, kind: Option<Kind>, difference: f64) {
        if let Some(kind) = kind {
            let (sum, count) = &mut self.sums[kind as usize];
            *sum += difference;
            *count += 1.0;
        }
    }

    fn measure(&mut self, part: Rect, values: &Planes) {
        let Rect { x, y, width, height } = part;
        let [columns, rows] = &self.borders;
        let columns = (x..x + width).map(|x| kind(columns, x)).collect::<Vec<_>>();
        let rows = (y..y + height).map(|y| kind(rows, y)).collect::<Vec<_>>();
        let left = self.left.take().filter(|(left, _)| (left.y, left.x + left.width) == (y, x));
        let beside = |channel: usize, row: usize| left.as_ref().map(|(_, last)| last.values[channel * height + row]);
        self.above.resize(values.channels * self.width, 0.0);
        let mut last = Vec::with_capacity(values.channels * height);
        for (channel, plane) in values.values.chunks_exact(width * height).enumerate() {
            for (row, line) in plane.chunks_exact(width).enumerate() {
                if let Some(before) = beside(channel, row) {
                    self.count(columns[0], f64::from((line[0] - before).abs()));
                }
                for (at, pair) in line.windows(2).enumerate() {
                    self.count(columns[at + 1], f64::from((pair[1] - pair[0]).abs()));
                }
                let start = channel * self.width + x;
                if y + row > 0 {
                    for (at, value) in line.iter().enumerate() {
                        let difference = f64::from((value - self.above[start + at]).abs());
                        self.count(rows[row], difference);
                    }
                }
                self.above[start..start + width].copy_from_slice(line);
                last.push(line[width - 1]);
            }
        }
        self.left = Some((part, Planes { channels: values.channels, height, width: 1, values: last }));
    }
}

/// What lies between two pixels.
#[derive(Clone, Copy)]
enum Kind {
    Inside,
    Border,
}

/// What lies before a place, with borders in their order; `None` far from all.
fn kind(borders: &[usize], place: usize) -> Option<Kind> {
    let next = borders.partition_point(|&border| border < place);
    let near = |at: usize| borders.get(at).is_some_and(|border| border.abs_diff(place) <= NEAR);
    match borders.get(next) {
        Some(&border) if border == place => Some(Kind::Border),
        _ => (near(next) || next > 0 && near(next - 1)).then_some(Kind::Inside),
    }
}

impl Sink for SeamMeter<'_> {
    fn take(&mut self, part: Rect, values: &Planes) -> Result<(), PixelError> {
        self.measure(part, values);
        self.to.take(part, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Picture;

    fn ratio(value: impl Fn(usize, usize) -> f32) -> Option<f64> {
        let mut picture = Picture::filled(12, 8, &[0]);
        let mut meter = SeamMeter::new(&mut picture, 12, [vec![6], vec![4]]);
        for (y, x) in [(0, 0), (0, 6), (4, 0), (4, 6)] {
            let values = (y..y + 4).flat_map(|y| (x..x + 6).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect();
            let part = Rect { x, y, width: 6, height: 4 };
            meter.take(part, &Planes { channels: 1, height: 4, width: 6, values }).expect("a picture takes all");
        }
        meter.ratio()
    }

    #[test]
    fn a_ramp_has_no_seams_and_a_step_between_windows_shows() {
        let even = ratio(|x, y| 0.01 * (x + y) as f32).expect("borders");
        assert!((even - 1.0).abs() < 1e-4, "{even}");
        let stepped = ratio(|x, y| 0.01 * (x + y) as f32 + if x >= 6 { 0.02 } else { 0.0 }).expect("borders");
        // Eight of the twenty pairs across borders differ three times as much.
        assert!((stepped - (8.0 * 3.0 + 12.0) / 20.0).abs() < 1e-4, "{stepped}");
        assert_eq!(ratio(|_, _| 0.5), None);
    }
}
