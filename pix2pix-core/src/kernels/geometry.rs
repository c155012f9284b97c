//! The two sides of a convolution and what lies between them.

use serde::{Deserialize, Serialize};

/// Channels of either side that are worked on together.
pub(super) const CHUNK: usize = 32;
/// Side of all kernels here.
pub(super) const KERNEL: usize = 4;
/// Taps of a kernel.
pub(super) const TAPS: usize = KERNEL * KERNEL;
/// Zero padding on each border of the big side.
const PADDING: usize = 1;
/// Outputs of a picture, and of a batch, below which weights are more work than pictures.
const FEW: [usize; 2] = [36, 1024];

/// A 4x4 convolution with padding 1, seen from both sides: it reads the big side and gives the small one; a transposed
/// convolution, and the gradient towards the input of a convolution, go the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Pictures.
    pub batch: usize,
    /// Height and width of the big side.
    pub big: [usize; 2],
    /// Channels of the big side.
    pub big_channels: usize,
    /// Channels of the small side.
    pub small_channels: usize,
    /// 1 or 2.
    pub stride: usize,
}

impl Geometry {
    /// Height and width of the small side.
    pub fn small(&self) -> [usize; 2] {
        self.big.map(|side| (side + 2 * PADDING - KERNEL) / self.stride + 1)
    }

    /// Number of weights, `[small_channels, big_channels, 4, 4]`.
    pub fn num_weights(&self) -> usize {
        self.small_channels * self.big_channels * TAPS
    }

    /// Values of the big side.
    pub fn big_len(&self) -> usize {
        self.batch * self.big[0] * self.big[1] * self.big_channels
    }

    /// Values of the small side.
    pub fn small_len(&self) -> usize {
        let [height, width] = self.small();
        self.batch * height * width * self.small_channels
    }

    /// The algorithm that suits.
    pub fn suitable(&self, precision: Precision) -> Scheme {
        let [height, width] = self.small();
        let side = height.min(width);
        let few = height * width < FEW[0] && self.batch * height * width < FEW[1];
        let half = precision == Precision::Bf16 && self.stride == 2 && !few;
        let tile = match (self.stride, side) {
            (2, 12..) if half => 3,
            (2, 12..) => 4,
            (1, _) if !few => 4,
            (_, _) if !few => 2,
            _ => 1,
        };
        Scheme { tile, half }
    }
}

/// In what products are computed. Tensors, sums, transforms and Adam have 32 bits either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, where that is faster: large layers with stride 2 on the CPU, all convolutions elsewhere.
    Bf16,
}

/// One of the algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scheme {
    /// Outputs per tile and axis: 1 is the direct algorithm.
    pub tile: usize,
    /// Products take bfloat16.
    pub half: bool,
}

/// The small side cut into tiles of `m` by `m`, numbered through rows and pictures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub rows: usize,
    pub columns: usize,
    pub count: usize,
}

/// A tile: its picture, and the row and column of its first output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub picture: usize,
    pub row: usize,
    pub column: usize,
}

impl Tiling {
    pub fn new(geometry: &Geometry, m: usize) -> Self {
        let [rows, columns] = geometry.small().map(|side| side.div_ceil(m));
        Self { rows, columns, count: geometry.batch * rows * columns }
    }

    #[inline(always)]
    pub fn tile(&self, number: usize, m: usize) -> Tile {
        let row = number / self.columns;
        Tile { picture: row / self.rows, row: row % self.rows * m, column: number % self.columns * m }
    }
}
