//! Batch and instance norm on channels-last memory, forward and backward.
//!
//! Sums are taken over chunks of rows of fixed size and put together in their order, so results do not depend on threads.

use super::{
    EPSILON,
    lanes::{Lanes, Work, run},
    parallel::{Shared, parallel},
};

/// Values that one thread sums up at a time.
const CHUNK: usize = 1 << 14;

/// Rows of channels, in groups with statistics of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// Groups: 1, or one for each picture.
    pub num_groups: usize,
    /// Rows in a group.
    pub num_rows: usize,
    /// Channels.
    pub num_channels: usize,
}

impl Rows {
    fn rows_in_chunk(&self) -> usize {
        (CHUNK / self.num_channels).max(1)
    }

    fn chunks(&self) -> usize {
        self.num_rows.div_ceil(self.rows_in_chunk())
    }

    /// Group, first row and number of rows of a chunk.
    fn chunk(&self, number: usize) -> (usize, usize, usize) {
        let (group, chunk) = (number / self.chunks(), number % self.chunks());
        let first = chunk * self.rows_in_chunk();
        (group, group * self.num_rows + first, self.rows_in_chunk().min(self.num_rows - first))
    }

    /// Two sums for each channel of each chunk, as `work` leaves them.
    fn sums(&self, work: impl Fn(usize, *mut f32) + Sync + Send) -> Vec<f32> {
        let count = self.num_groups * self.chunks();
        let mut sums = vec![0.0; count * 2 * self.num_channels];
        let shared = Shared::new(&mut sums);
        // SAFETY: every chunk has sums of its own.
        parallel(count, |number| work(number, unsafe { shared.get().add(number * 2 * self.num_channels) }));
        sums
    }
}

/// Mean and biased variance of each channel of each group, `[group, channel]`.
pub(super) fn statistics(x: &[f32], rows: Rows) -> [Vec<f32>; 2] {
    let channels = rows.num_channels;
    assert_eq!(x.len(), rows.num_groups * rows.num_rows * channels, "rows of channels");
    let sums = rows.sums(|number, to| {
        let (_, first, count) = rows.chunk(number);
        // SAFETY: chunks lie within `x`.
        unsafe { run(Moments { x: x.as_ptr().add(first * channels), count, channels, to }) };
    });
    let (mut means, mut variances) = (Vec::new(), Vec::new());
    for group in 0..rows.num_groups {
        for channel in 0..channels {
            // Chan et al. 1979: means and squared deviations of parts give those of the whole.
            let (mut n, mut mean, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
            for chunk in 0..rows.chunks() {
                let number = group * rows.chunks() + chunk;
                let (_, _, count) = rows.chunk(number);
                let count = count as f64;
                let part = &sums[number * 2 * channels..][..2 * channels];
                let delta = f64::from(part[channel]) - mean;
                squares += f64::from(part[channels + channel]) + delta * delta * n * count / (n + count);
                mean += delta * count / (n + count);
                n += count;
            }
            means.push(mean as f32);
            variances.push((squares / n) as f32);
        }
    }
    [means, variances]
}

/// `x * scale + shift` for each channel of each group.
pub(super) fn scale(x: &[f32], rows: Rows, scale: &[f32], shift: &[f32], to: &mut [f32]) {
    let channels = rows.num_channels;
    assert!(to.len() == x.len() && scale.len() == rows.num_groups * channels && shift.len() == scale.len());
    let shared = Shared::new(to);
    parallel(rows.num_groups * rows.chunks(), |number| {
        let (group, first, count) = rows.chunk(number);
        // SAFETY: chunks are disjoint parts of slices of one length.
        unsafe {
            run(Scale {
                x: x.as_ptr().add(first * channels),
                scale: scale.as_ptr().add(group * channels),
                shift: shift.as_ptr().add(group * channels),
                count,
                channels,
                to: shared.get().add(first * channels),
            });
        }
    });
}

/// Scale and shift that normalise with these statistics.
pub(super) fn affine(
    statistics: &[Vec<f32>; 2],
    channels: usize,
    gain: Option<&[f32]>,
    offset: Option<&[f32]>,
) -> [Vec<f32>; 2] {
    let [means, variances] = statistics;
    let scales = variances.iter().enumerate().map(|(at, &variance)| {
        let gain = gain.map_or(1.0, |gain| gain[at % channels]);
        gain * inverse_deviation(variance)
    });
    let scales = scales.collect::<Vec<_>>();
    let shifts = means.iter().zip(&scales).enumerate().map(|(at, (mean, scale))| {
        let offset = offset.map_or(0.0, |offset| offset[at % channels]);
        (-mean).mul_add(*scale, offset)
    });
    let shifts = shifts.collect();
    [scales, shifts]
}

fn inverse_deviation(variance: f32) -> f32 {
    (f64::from(variance) + EPSILON).sqrt().recip() as f32
}

/// Gradients of a norm.
pub(super) struct Gradients {
    /// Of the input.
    pub x: Vec<f32>,
    /// Of the gain, `[channel]`.
    pub gain: Vec<f32>,
    /// Of the offset, `[channel]`.
    pub offset: Vec<f32>,
}

/// From the gradient of the output back to input, gain and offset.
pub(super) fn backward(
    gradient: &[f32],
    x: &[f32],
    rows: Rows,
    statistics: &[Vec<f32>; 2],
    gain: Option<&[f32]>,
) -> Gradients {
    let channels = rows.num_channels;
    let [means, variances] = statistics;
    assert!(gradient.len() == x.len() && means.len() == rows.num_groups * channels, "rows of channels");
    let deviations = variances.iter().map(|&variance| inverse_deviation(variance)).collect::<Vec<_>>();
    let sums = rows.sums(|number, to| {
        let (group, first, count) = rows.chunk(number);
        // SAFETY: chunks lie within both slices.
        unsafe {
            run(Projections {
                gradient: gradient.as_ptr().add(first * channels),
                x: x.as_ptr().add(first * channels),
                mean: means.as_ptr().add(group * channels),
                count,
                channels,
                to,
            });
        }
    });
    let mut result = Gradients { x: unwritten(x.len()), gain: vec![0.0; channels], offset: vec![0.0; channels] };
    // dx = scale * (gradient - mean(gradient) - x_hat * mean(gradient * x_hat)), as factors of gradient, x and 1.
    let (mut scales, mut slopes, mut shifts) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..rows.num_groups {
        for channel in 0..channels {
            let (mut plain, mut weighted) = (0.0_f64, 0.0_f64);
            for chunk in 0..rows.chunks() {
                let part = &sums[(group * rows.chunks() + chunk) * 2 * channels..][..2 * channels];
                plain += f64::from(part[channel]);
                weighted += f64::from(part[channels + channel]);
            }
            let at = group * channels + channel;
            let deviation = f64::from(deviations[at]);
            let weighted = weighted * deviation;
            result.offset[channel] += plain as f32;
            result.gain[channel] += weighted as f32;
            let n = rows.num_rows as f64;
            let scale = gain.map_or(1.0, |gain| f64::from(gain[channel])) * deviation;
            let slope = -scale * deviation * weighted / n;
            scales.push(scale as f32);
            slopes.push(slope as f32);
            shifts.push((-scale * plain / n - slope * f64::from(means[at])) as f32);
        }
    }
    let shared = Shared::new(&mut result.x);
    parallel(rows.num_groups * rows.chunks(), |number| {
        let (group, first, count) = rows.chunk(number);
        // SAFETY: chunks are disjoint parts of slices of one length.
        unsafe {
            run(Combine {
                gradient: gradient.as_ptr().add(first * channels),
                x: x.as_ptr().add(first * channels),
                scale: scales.as_ptr().add(group * channels),
                slope: slopes.as_ptr().add(group * channels),
                shift: shifts.as_ptr().add(group * channels),
                count,
                channels,
                to: shared.get().add(first * channels),
            });
        }
    });
    result
}

/// The sum of all rows for each channel.
pub(super) fn total(x: &[f32], channels: usize) -> Vec<f32> {
    let rows = Rows { num_groups: 1, num_rows: x.len() / channels, num_channels: channels };
    let sums = rows.sums(|number, to| {
        let (_, first, count) = rows.chunk(number);
        // SAFETY: chunks lie within `x`.
        unsafe { run(Moments { x: x.as_ptr().add(first * channels), count, channels, to }) };
    });
    let sum = |channel: usize| {
        let parts = (0..rows.chunks()).map(|chunk| {
            let (_, _, count) = rows.chunk(chunk);
            f64::from(sums[chunk * 2 * channels + channel]) * count as f64
        });
        parts.sum::<f64>() as f32
    };
    (0..channels).map(sum).collect()
}

/// Memory for values that are written before they are read.
#[expect(clippy::uninit_vec, reason = "clearing megabytes that are overwritten at once costs as much as a pass")]
pub(super) fn unwritten(count: usize) -> Vec<f32> {
    let mut values = Vec::<f32>::with_capacity(count);
    // SAFETY: every pass that takes such memory writes all of it before anything reads it, and floats have no destructor. This
    // stretches the contract of `set_len`, which asks for the writing to come first.
    unsafe { values.set_len(count) };
    values
}

/// Mean and summed squared deviations of some rows, for each channel.
struct Moments {
    x: *const f32,
    count: usize,
    channels: usize,
    to: *mut f32,
}

impl Work for Moments {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for at in (0..self.channels).step_by(L::COUNT) {
            let left = (self.channels - at).min(L::COUNT);
            // SAFETY: rows and channels stay within what was given.
            unsafe {
                let mut sum = L::splat(0.0);
                for row in 0..self.count {
                    sum = sum.add(L::load_up_to(self.x.add(row * self.channels + at), left));
                }
                let mean = sum.mul(L::splat(1.0 / self.count as f32));
                let mut squares = L::splat(0.0);
                for row in 0..self.count {
                    let off = L::load_up_to(self.x.add(row * self.channels + at), left).sub(mean);
                    squares = off.mul_add(off, squares);
                }
                mean.store_up_to(self.to.add(at), left);
                squares.store_up_to(self.to.add(self.channels + at), left);
            }
        }
    }
}

/// Sums of the gradient, and of the gradient times what `x` is above the mean.
struct Projections {
    gradient: *const f32,
    x: *const f32,
    mean: *const f32,
    count: usize,
    channels: usize,
    to: *mut f32,
}

impl Work for Projections {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for at in (0..self.channels).step_by(L::COUNT) {
            let left = (self.channels - at).min(L::COUNT);
            // SAFETY: rows and channels stay within what was given.
            unsafe {
                let mean = L::load_up_to(self.mean.add(at), left);
                let (mut plain, mut weighted) = (L::splat(0.0), L::splat(0.0));
                for row in 0..self.count {
                    let offset = row * self.channels + at;
                    let gradient = L::load_up_to(self.gradient.add(offset), left);
                    plain = plain.add(gradient);
                    weighted = L::load_up_to(self.x.add(offset), left).sub(mean).mul_add(gradient, weighted);
                }
                plain.store_up_to(self.to.add(at), left);
                weighted.store_up_to(self.to.add(self.channels + at), left);
            }
        }
    }
}

struct Scale {
    x: *const f32,
    scale: *const f32,
    shift: *const f32,
    count: usize,
    channels: usize,
    to: *mut f32,
}

impl Work for Scale {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for row in 0..self.count {
            for at in (0..self.channels).step_by(L::COUNT) {
                let left = (self.channels - at).min(L::COUNT);
                // SAFETY: rows and channels stay within what was given.
                unsafe {
                    let offset = row * self.channels + at;
                    let scale = L::load_up_to(self.scale.add(at), left);
                    let shift = L::load_up_to(self.shift.add(at), left);
                    let x = L::load_up_to(self.x.add(offset), left);
                    x.mul_add(scale, shift).store_up_to(self.to.add(offset), left);
                }
            }
        }
    }
}

/// `gradient * scale + x * slope + shift`.
struct Combine {
    gradient: *const f32,
    x: *const f32,
    scale: *const f32,
    slope: *const f32,
    shift: *const f32,
    count: usize,
    channels: usize,
    to: *mut f32,
}

impl Work for Combine {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for row in 0..self.count {
            for at in (0..self.channels).step_by(L::COUNT) {
                let left = (self.channels - at).min(L::COUNT);
                // SAFETY: rows and channels stay within what was given.
                unsafe {
                    let offset = row * self.channels + at;
                    let slope = L::load_up_to(self.slope.add(at), left);
                    let shift = L::load_up_to(self.shift.add(at), left);
                    let x = L::load_up_to(self.x.add(offset), left).mul_add(slope, shift);
                    let scale = L::load_up_to(self.scale.add(at), left);
                    let gradient = L::load_up_to(self.gradient.add(offset), left);
                    gradient.mul_add(scale, x).store_up_to(self.to.add(offset), left);
                }
            }
        }
    }
}
