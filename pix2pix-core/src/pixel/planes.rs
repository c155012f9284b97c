//! Values as networks take them, and the only conversions from and to pictures.

use super::{LabelMap, Picture, Samples};

/// Values in `[channels, height, width]` order. Pictures in [-1, 1]; one-hot and edge planes 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Number of planes.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Values of a row.
    pub width: usize,
    /// The values, plane after plane.
    pub values: Vec<f32>,
}

/// Keeps the truncation of exact eight-bit values from falling one below for rounding of 32-bit floats.
const ROUNDING_ROOM: f32 = 1e-3;

impl Picture {
    /// The values in the network's range: `x / max` becomes `(x / max - 0.5) / 0.5`.
    pub fn to_planes(&self) -> Planes {
        let (width, height, channels) = (self.width(), self.height(), self.channels());
        let mut values = vec![0.0; width * height * channels];
        match self.samples() {
            Samples::U8(samples) => {
                // 256 possible values: a table costs less than the arithmetic.
                let table = std::array::from_fn::<f32, 256, _>(|value| value as f32 / 127.5 - 1.0);
                separate(samples, channels, &mut values, |sample| table[usize::from(sample)]);
            }
            Samples::U16(samples) => {
                separate(samples, channels, &mut values, |sample| f32::from(sample) / 32_767.5 - 1.0);
            }
        }
        Planes { channels, height, width, values }
    }

    /// An 8-bit picture from planes, by the field's convention: clamped to [-1, 1], `(x + 1) / 2 * 255`, truncated.
    ///
    /// # Panics
    /// When the planes are empty.
    pub fn from_planes(planes: &Planes) -> Self {
        let area = planes.width * planes.height;
        let mut samples = vec![0; area * planes.channels];
        for (channel, plane) in planes.values.chunks_exact(area).enumerate() {
            for (sample, &value) in samples.iter_mut().skip(channel).step_by(planes.channels).zip(plane) {
                *sample = ((value.clamp(-1.0, 1.0) + 1.0) * 127.5 + ROUNDING_ROOM) as u8;
            }
        }
        Self::from_u8(planes.width, planes.height, planes.channels, samples)
            .expect("planes hold channels x height x width values")
    }
}

/// An 8-bit sample in the network's range, for pixels that are not in a [`Picture`].
pub fn byte_to_value(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// The 8-bit sample that is nearest to a value in `[-1, 1]`.
pub fn value_to_byte(value: f32) -> u8 {
    ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
}

/// Takes interleaved samples apart into planes.
fn separate<T: Copy>(samples: &[T], channels: usize, values: &mut [f32], convert: impl Fn(T) -> f32) {
    let area = samples.len() / channels;
    for (channel, plane) in values.chunks_exact_mut(area).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(samples.chunks_exact(channels)) {
            *value = convert(pixel[channel]);
        }
    }
}

impl LabelMap {
    /// One plane per label, 1 where the pixel has it; with instances a last plane that is 1 where one of the four neighbours
    /// belongs to another instance (pix2pixHD).
    ///
    /// # Panics
    /// When an id is not below `num_labels` ([`Self::first_out_of_range`] tells), or the instance map differs in size.
    pub fn one_hot(&self, num_labels: usize, instances: Option<&Self>) -> Planes {
        let (width, height) = (self.width(), self.height());
        let area = width * height;
        let mut values = vec![0.0; area * (num_labels + usize::from(instances.is_some()))];
        for (at, &id) in self.ids().iter().enumerate() {
            let id = id as usize;
            assert!(id < num_labels, "id {id} is below {num_labels}");
            values[id * area + at] = 1.0;
        }
        if let Some(instances) = instances {
            assert_eq!((instances.width(), instances.height()), (width, height), "both maps have one size");
            mark_edges(instances, &mut values[num_labels * area..]);
        }
        Planes { channels: values.len() / area, height, width, values }
    }
}

fn mark_edges(instances: &LabelMap, plane: &mut [f32]) {
    let (width, height, ids) = (instances.width(), instances.height(), instances.ids());
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            for next in
                [(x + 1 < width).then_some(at + 1), (y + 1 < height).then_some(at + width)].into_iter().flatten()
            {
                if ids[at] != ids[next] {
                    plane[at] = 1.0;
                    plane[next] = 1.0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eight_bit_value_survives_the_way_to_planes_and_back() {
        let picture = Picture::from_u8(256, 1, 1, (0..=255).collect()).expect("256 values");
        let planes = picture.to_planes();
        assert_eq!((planes.values[0], planes.values[255]), (-1.0, 1.0));
        assert_eq!(Picture::from_planes(&planes), picture);
    }

    #[test]
    fn channels_become_planes_and_values_outside_are_clamped() {
        let picture = Picture::from_u8(2, 1, 3, vec![0, 51, 255, 255, 51, 0]).expect("six values");
        let planes = picture.to_planes();
        let expected = [-1.0, 1.0, -0.6, -0.6, 1.0, -1.0];
        assert!(planes.values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", planes.values);
        assert_eq!(Picture::from_planes(&planes), picture);
        let wild = Planes { channels: 1, height: 1, width: 3, values: vec![-7.0, 0.0, 7.0] };
        assert_eq!(Picture::from_planes(&wild).samples(), &Samples::U8(vec![0, 127, 255]));
    }

    #[test]
    fn sixteen_bits_keep_their_precision() {
        let picture = Picture::new(2, 1, 1, Samples::U16(vec![30_000, 30_001])).expect("two values");
        let values = picture.to_planes().values;
        assert!(values[1] > values[0]);
        assert!((values[0] - (30_000.0 / 32_767.5 - 1.0)).abs() < 1e-7);
    }

    #[test]
    fn one_hot_planes_and_edges_are_zero_or_one_where_they_should_be() {
        let labels = LabelMap::new(3, 2, vec![0, 1, 1, 0, 0, 1]).expect("six ids");
        let instances = LabelMap::new(3, 2, vec![5, 5, 9, 5, 5, 5]).expect("six ids");
        let planes = labels.one_hot(2, Some(&instances));
        assert_eq!(planes.channels, 3);
        assert_eq!(planes.values[..6], [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(planes.values[6..12], [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(planes.values[12..], [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
