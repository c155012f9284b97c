//! How a large picture is cut into windows, and read beyond its edges. Knows nothing of networks.

use super::reflect;
use crate::pixel::{Canvas, PixelError, Planes, Rect};

/// The windows of one picture: cores lie side by side, a window has a halo around its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Width and height of the picture, extended to the network's multiple.
    pub padded: (usize, usize),
    /// Side of a core.
    pub core: usize,
    /// Pixels around it, up to the edge of the picture.
    pub halo: usize,
}

impl Grid {
    /// The windows of at most `most` pixels a side that begin at multiples of `align`, which divides the sides.
    pub fn new(padded: (usize, usize), most: usize, halo: usize, align: usize) -> Self {
        let room = most.saturating_sub(2 * halo);
        Self { padded, core: (room / align * align).max(align), halo }
    }

    /// All of the picture.
    pub const fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.padded.0, height: self.padded.1 }
    }

    /// The cores of a part, row by row.
    pub fn cores(&self, part: Rect) -> impl Iterator<Item = Rect> + use<> {
        let core = self.core;
        let (right, bottom) = (part.x + part.width, part.y + part.height);
        let columns = move |y: usize| (part.x..right).step_by(core).map(move |x| (x, y));
        (part.y..bottom).step_by(core).flat_map(columns).map(move |(x, y)| Rect {
            x,
            y,
            width: core.min(right - x),
            height: core.min(bottom - y),
        })
    }

    /// Cores spread evenly, for statistics: an eighth, a quarter or half of `all`, so that there are at least `enough` where there
    /// are twice as many; half of few, and all where half are fewer than `least`.
    pub fn some(&self, all: &[Rect], least: usize, enough: usize) -> Vec<Rect> {
        let every = |step: usize| {
            let chosen = |core: &&Rect| (core.x / self.core + step / 2 * (core.y / self.core)).is_multiple_of(step);
            all.iter().filter(chosen).copied().collect::<Vec<_>>()
        };
        let many = [8, 4].into_iter().map(every).find(|some| some.len() >= enough);
        let some = many.unwrap_or_else(|| every(2));
        if some.len() >= least { some } else { all.to_vec() }
    }

    /// A core with its halo.
    pub fn window(&self, core: Rect) -> Rect {
        let (x, y) = (core.x.saturating_sub(self.halo), core.y.saturating_sub(self.halo));
        let right = (core.x + core.width + self.halo).min(self.padded.0);
        let bottom = (core.y + core.height + self.halo).min(self.padded.1);
        Rect { x, y, width: right - x, height: bottom - y }
    }
}

/// Places for samples of a picture: parts of `side` pixels, spread evenly over it, that begin at multiples of `align`. Where the
/// picture is narrower than a part, the part has all of it.
pub(super) fn samples(size: (usize, usize), side: usize, align: usize, count: usize) -> Vec<Rect> {
    // Fractions of the plastic number fill a square evenly, however many there are (Roberts 2018).
    let place = |number: usize, ratio: f64, length: usize| {
        let free = length.saturating_sub(side) / align;
        let at = ((number as f64 + 0.5) * ratio).fract() * (free + 1) as f64;
        ((at as usize).min(free) * align, side.min(length))
    };
    let part = |number| {
        let (x, width) = place(number, 0.754_877_666_246_692_8, size.0);
        let (y, height) = place(number, 0.569_840_290_998_053_3, size.1);
        Rect { x, y, width, height }
    };
    (0..count).map(part).collect()
}

/// A part of the picture without end that mirroring makes of a picture.
pub(super) fn read_mirrored(canvas: &dyn Canvas, part: Rect) -> Result<Planes, PixelError> {
    let (width, height) = canvas.size();
    if part.x + part.width <= width && part.y + part.height <= height {
        return canvas.read(part);
    }
    let columns = (part.x..part.x + part.width).map(|x| reflect(x, width)).collect::<Vec<_>>();
    let rows = (part.y..part.y + part.height).map(|y| reflect(y, height)).collect::<Vec<_>>();
    let range = |places: &[usize]| {
        let first = places.iter().copied().min().unwrap_or(0);
        (first, places.iter().copied().max().unwrap_or(0) + 1 - first)
    };
    let ((x, width), (y, height)) = (range(&columns), range(&rows));
    let inside = canvas.read(Rect { x, y, width, height })?;
    let mut values = Vec::with_capacity(inside.channels * part.width * part.height);
    for plane in inside.values.chunks_exact(width * height) {
        for row in &rows {
            let row = &plane[(row - y) * width..][..width];
            values.extend(columns.iter().map(|column| row[column - x]));
        }
    }
    Ok(Planes { channels: inside.channels, height: part.height, width: part.width, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ramp(usize, usize);

    impl Canvas for Ramp {
        fn size(&self) -> (usize, usize) {
            (self.0, self.1)
        }

        fn read(&self, part: Rect) -> Result<Planes, PixelError> {
            assert!(part.x + part.width <= self.0 && part.y + part.height <= self.1, "{part:?} lies inside");
            let rows = part.y..part.y + part.height;
            let values = rows.flat_map(|y| (part.x..part.x + part.width).map(move |x| (100 * y + x) as f32));
            Ok(Planes { channels: 1, height: part.height, width: part.width, values: values.collect() })
        }
    }

    #[test]
    fn what_lies_beyond_the_edge_is_mirrored_and_the_rest_is_as_it_is() {
        let read = |x, y, width, height| read_mirrored(&Ramp(5, 3), Rect { x, y, width, height }).expect("read").values;
        assert_eq!(read(1, 1, 2, 1), [101.0, 102.0]);
        assert_eq!(read(3, 2, 4, 2), [203.0, 204.0, 203.0, 202.0, 103.0, 104.0, 103.0, 102.0]);
        assert_eq!(read(5, 0, 3, 1), [3.0, 2.0, 1.0]);
    }

    #[test]
    fn cores_cover_every_pixel_once_and_windows_keep_their_halo_inside() {
        for (padded, most, halo, align) in
            [((1024, 768), 352, 16, 16), ((256, 2048), 640, 64, 64), ((64, 64), 10, 32, 32)]
        {
            let grid = Grid::new(padded, most, halo, align);
            let mut seen = vec![0; padded.0 * padded.1];
            for core in grid.cores(grid.whole()) {
                let window = grid.window(core);
                assert!([window.x, window.y, window.width, window.height].iter().all(|at| at.is_multiple_of(align)));
                assert!(window.x + window.width <= padded.0 && window.y + window.height <= padded.1);
                assert!(window.width <= most.max(align + 2 * halo) && window.height <= most.max(align + 2 * halo));
                assert!(core.x == 0 || core.x - window.x == halo);
                for y in core.y..core.y + core.height {
                    seen[y * padded.0 + core.x..][..core.width].iter_mut().for_each(|count| *count += 1);
                }
            }
            assert!(seen.iter().all(|count| *count == 1));
        }
    }

    #[test]
    fn samples_lie_inside_and_spread_over_the_picture() {
        let all = samples((4096, 2048), 128, 16, 64);
        let inside = |part: &Rect| part.x + part.width <= 4096 && part.y + part.height <= 2048;
        assert!(all.iter().all(|part| inside(part) && part.x.is_multiple_of(16) && part.y.is_multiple_of(16)));
        for (x, y) in [(0, 0), (2048, 0), (0, 1024), (2048, 1024)] {
            let within = |part: &&Rect| (x..x + 2048).contains(&part.x) && (y..y + 1024).contains(&part.y);
            assert!(all.iter().filter(within).count() > 10, "{x}, {y}");
        }
        assert!(samples((4096, 64), 128, 16, 8).iter().all(|part| (part.y, part.height) == (0, 64)));
    }

    #[test]
    fn some_windows_are_half_or_fewer_where_there_are_many_and_all_where_there_are_few() {
        let some = |cores: usize| {
            let grid = Grid::new((256 * cores, 256 * cores), 288, 16, 16);
            grid.some(&grid.cores(grid.whole()).collect::<Vec<_>>(), 9, 64).len()
        };
        assert_eq!([24, 16, 8, 5, 3].map(some), [72, 64, 32, 13, 9]);
    }
}
