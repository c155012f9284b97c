//! The two sides of a convolution and what lies between them.

/// Channels of either side that are worked on together.
pub(super) const CHUNK: usize = 32;
/// Side of all kernels here.
pub(super) const KERNEL: usize = 4;
/// Zero padding on each border of the big side.
const PADDING: usize = 1;

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
        self.small_channels * self.big_channels * KERNEL * KERNEL
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

    /// Outputs per tile and axis of the algorithm that suits: 1 is the direct one.
    pub fn suitable_tile(&self) -> usize {
        let [height, width] = self.small();
        let side = height.min(width);
        match (self.stride, side) {
            (2, 12..) => 4,
            (2, 6..) => 2,
            (1, 6..) => 4,
            _ => 1,
        }
    }
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
