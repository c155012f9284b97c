//! Hashes and smooth noise: the same on every platform, from integer arithmetic and plain products alone.

/// A hash of a lattice point, for one purpose.
pub(super) fn hash(seed: u64, x: i64, y: i64, salt: u64) -> u64 {
    let mut value = seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for part in [x as u64, y as u64] {
        value = (value ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
        value ^= value >> 32;
        value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        value ^= value >> 29;
    }
    value
}

/// A number in `0..1` at a lattice point, for one purpose.
pub(super) fn unit(seed: u64, x: i64, y: i64, salt: u64) -> f64 {
    (hash(seed, x, y, salt) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Smooth noise in `0..1` that changes over about one unit.
pub(super) fn smooth(seed: u64, x: f64, y: f64, salt: u64) -> f64 {
    let (column, row) = (x.floor(), y.floor());
    let ease = |t: f64| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(x - column), ease(y - row));
    let corner = |dx: i64, dy: i64| unit(seed, column as i64 + dx, row as i64 + dy, salt);
    let top = corner(0, 0) * (1.0 - tx) + corner(1, 0) * tx;
    let bottom = corner(0, 1) * (1.0 - tx) + corner(1, 1) * tx;
    top * (1.0 - ty) + bottom * ty
}

/// Smooth noise of several scales, each half as wide and half as strong as the one before; in `0..1`.
pub(super) fn rough(seed: u64, x: f64, y: f64, salt: u64, octaves: u32) -> f64 {
    let (mut sum, mut weight, mut scale, mut total) = (0.0, 1.0, 1.0, 0.0);
    for octave in 0..octaves {
        sum += weight * smooth(seed, x * scale, y * scale, salt + u64::from(octave) * 101);
        total += weight;
        weight *= 0.5;
        scale *= 2.0;
    }
    sum / total
}

/// 0 below `from`, 1 above `to`, smooth between.
pub(super) fn step(from: f64, to: f64, value: f64) -> f64 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A colour, red, green and blue from 0 to 255.
pub(super) type Color = [f64; 3];

/// Between two colours.
pub(super) fn mix(a: Color, b: Color, t: f64) -> Color {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

/// A colour made lighter or darker.
pub(super) fn lit(color: Color, factor: f64) -> Color {
    color.map(|channel| channel * factor)
}
