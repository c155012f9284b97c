//! What stands where: crossings, roads, blocks and buildings around a window, gathered once and found by place.
//!
//! Places are bent: straight lines of the plan are curves on the ground.

use super::super::noise::{hash, rough, smooth, unit};

/// Mean distance of crossings, in metres.
const CELL: f64 = 78.0;
/// How far crossings stray from the lattice, in cells.
const STRAY: f64 = 0.17;
/// How far the ground is bent, in metres, and over what distance.
const BEND: f64 = 26.0;
const BEND_LENGTH: f64 = 310.0;
/// Mean distance of places for trees, in metres.
const TREE_CELL: f64 = 6.0;
/// Side of the buckets by which things are found, in metres.
const BUCKET: f64 = 16.0;
/// What lies this far outside the window still matters, in metres: shadows, wide roads.
const MARGIN: f64 = 34.0;

pub(super) type Point = [f64; 2];

/// What a road is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Street,
    Main,
    Motorway,
}

impl Class {
    /// Half of the carriageway's width, in metres.
    pub const fn half_width(self) -> f64 {
        match self {
            Self::Street => 3.6,
            Self::Main => 5.4,
            Self::Motorway => 9.0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Road {
    pub from: Point,
    pub to: Point,
    pub class: Class,
    pub id: u64,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Houses,
    Dense,
    Works,
    Park,
    Wood,
    Field,
    Parking,
    Pitch,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub kind: Kind,
    pub id: u64,
    pub center: Point,
    /// Unit vector along the block.
    pub axis: Point,
    /// Half of the largest upright rectangle inside, along and across, in metres.
    pub half: Point,
    corners: [Point; 4],
}

impl Block {
    /// Coordinates along and across the block, from its middle.
    pub fn local(&self, place: Point) -> Point {
        let [x, y] = [place[0] - self.center[0], place[1] - self.center[1]];
        let [ax, ay] = self.axis;
        [x * ax + y * ay, y * ax - x * ay]
    }

    fn holds(&self, place: Point) -> bool {
        (0..4).all(|at| {
            let (a, b) = (self.corners[at], self.corners[(at + 1) % 4]);
            (b[0] - a[0]) * (place[1] - a[1]) - (b[1] - a[1]) * (place[0] - a[0]) >= 0.0
        })
    }
}

/// How a roof is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roof {
    Gable,
    Hip,
    Flat,
}

/// A building to be, in the coordinates of its block.
struct Footprint {
    local: Point,
    half: Point,
    height: f64,
    roof: Roof,
    /// Its number in the block.
    at: i64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub trunk: Point,
    pub radius: f64,
    pub id: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Building {
    pub center: Point,
    pub axis: Point,
    pub half: Point,
    pub height: f64,
    pub roof: Roof,
    pub id: u64,
    pub large: bool,
}

impl Building {
    /// Coordinates along and across, from its middle, when the place lies inside.
    pub fn inside(&self, place: Point) -> Option<Point> {
        let [x, y] = [place[0] - self.center[0], place[1] - self.center[1]];
        let [ax, ay] = self.axis;
        let local = [x * ax + y * ay, y * ax - x * ay];
        (local[0].abs() <= self.half[0] && local[1].abs() <= self.half[1]).then_some(local)
    }
}

/// Everything around a window.
pub(super) struct Plan {
    seed: u64,
    left: f64,
    top: f64,
    columns: usize,
    rows: usize,
    buckets: Vec<Bucket>,
    roads: Vec<Road>,
    blocks: Vec<Block>,
    buildings: Vec<Building>,
    trees: Vec<Tree>,
}

#[derive(Clone, Default)]
struct Bucket {
    roads: Vec<u32>,
    blocks: Vec<u32>,
    buildings: Vec<u32>,
    trees: Vec<u32>,
}

/// Where a place on the ground lies in the plan.
pub(super) fn bend(seed: u64, place: Point) -> Point {
    let at = |salt| smooth(seed, place[0] / BEND_LENGTH, place[1] / BEND_LENGTH, salt) - 0.5;
    let fine = |salt| smooth(seed, place[0] / 95.0, place[1] / 95.0, salt) - 0.5;
    [place[0] + 2.0 * BEND * at(11) + 7.0 * fine(13), place[1] + 2.0 * BEND * at(12) + 7.0 * fine(14)]
}

/// Signed measure of the distance to the river's middle line: water below [`RIVER`], bank below [`BANK`].
pub(super) fn river(seed: u64, place: Point) -> f64 {
    (rough(seed, place[0] / 520.0, place[1] / 520.0, 21, 2) - 0.5).abs()
}

pub(super) const RIVER: f64 = 0.024;
pub(super) const BANK: f64 = 0.036;
/// Nothing is built nearer to the river.
const DRY: f64 = 0.05;

impl Plan {
    /// Gathers what a window (left, top, right, bottom in metres) shows.
    pub fn new(seed: u64, [left, top, right, bottom]: [f64; 4]) -> Self {
        let reach = MARGIN + BEND + 8.0;
        let (left, top, right, bottom) = (left - reach, top - reach, right + reach, bottom + reach);
        let columns = ((right - left) / BUCKET).ceil() as usize + 1;
        let rows = ((bottom - top) / BUCKET).ceil() as usize + 1;
        let mut plan = Self {
            seed,
            left,
            top,
            columns,
            rows,
            buckets: vec![Bucket::default(); columns * rows],
            roads: Vec::new(),
            blocks: Vec::new(),
            buildings: Vec::new(),
            trees: Vec::new(),
        };
        let cell = |metres: f64| (metres / CELL).floor() as i64;
        for j in cell(top) - 2..=cell(bottom) + 2 {
            for i in cell(left) - 2..=cell(right) + 2 {
                plan.add_cell(i, j);
            }
        }
        let tree = |metres: f64| (metres / TREE_CELL).floor() as i64;
        for j in tree(top)..=tree(bottom) {
            for i in tree(left)..=tree(right) {
                plan.add_tree(i, j);
            }
        }
        plan
    }

    /// Distance to the edge of the nearest carriageway, in metres; negative on it.
    pub fn to_road(&self, place: Point) -> f64 {
        let distance = |road: &Road| to_segment(place, road.from, road.to).0 - road.class.half_width();
        self.roads(place).map(distance).fold(f64::INFINITY, f64::min)
    }

    /// The highest crown over a place, with the height of its dome there over its radius.
    pub fn tree(&self, place: Point) -> Option<(&Tree, f64)> {
        let trees = self.bucket(place).trees.iter().map(|&at| &self.trees[at as usize]);
        let over = trees.filter_map(|tree| {
            let [x, y] = [place[0] - tree.trunk[0], place[1] - tree.trunk[1]];
            let inside = 1.0 - (x * x + y * y) / (tree.radius * tree.radius);
            (inside > 0.0).then(|| (tree, inside.sqrt()))
        });
        over.max_by(|a, b| (a.1 * a.0.radius).total_cmp(&(b.1 * b.0.radius)))
    }

    fn add_tree(&mut self, i: i64, j: i64) {
        let random = |salt| unit(self.seed, i, j, salt);
        let trunk = [(i as f64 + 0.1 + 0.8 * random(71)) * TREE_CELL, (j as f64 + 0.1 + 0.8 * random(72)) * TREE_CELL];
        let road = self.to_road(trunk);
        let kind = self.block(trunk).map_or(Kind::Field, |block| block.kind);
        let clumps = smooth(self.seed, trunk[0] / 23.0, trunk[1] / 23.0, 73);
        let ground = unbend(self.seed, trunk);
        let water = river(self.seed, ground);
        let (likely, radius) = match kind {
            Kind::Wood => (0.97, 3.0 + 1.8 * random(74)),
            Kind::Park => (if clumps > 0.5 { 0.62 } else { 0.10 }, 2.6 + 2.2 * random(74)),
            Kind::Houses => (0.30 * clumps + 0.06, 1.8 + 1.8 * random(74)),
            Kind::Dense => (0.16, 2.0 + 1.6 * random(74)),
            Kind::Field => (0.02, 2.4 + 1.8 * random(74)),
            Kind::Works | Kind::Parking => (0.05, 1.8 + random(74)),
            Kind::Pitch => (0.10, 2.2 + 1.4 * random(74)),
        };
        let beside_road = road < 4.0 && !matches!(kind, Kind::Field | Kind::Works) && random(75) < 0.30;
        let on_bank = water < DRY && random(75) < 0.55;
        if water < BANK || road < 0.9 || !(random(76) < likely || beside_road || on_bank) {
            return;
        }
        let near = self.block(trunk).copied();
        let open = match near {
            // The playing field stays free.
            Some(block) if block.kind == Kind::Pitch => {
                let [x, y] = block.local(trunk);
                x.abs() > block.half[0] - 4.0 || y.abs() > block.half[1] - 4.0
            }
            _ => true,
        };
        let clear = [[0.0, 0.0], [1.2, 0.0], [-1.2, 0.0], [0.0, 1.2], [0.0, -1.2]];
        let free = clear.iter().all(|[x, y]| self.building([trunk[0] + x, trunk[1] + y]).is_none());
        if !open || !free {
            return;
        }
        let index = self.trees.len() as u32;
        self.trees.push(Tree { trunk, radius, id: hash(self.seed, i, j, 77) });
        self.spread(trunk, [radius, radius], |bucket| bucket.trees.push(index));
    }

    /// The roads near a place.
    pub fn roads(&self, place: Point) -> impl Iterator<Item = &Road> {
        self.bucket(place).roads.iter().map(|&at| &self.roads[at as usize])
    }

    /// The block that a place lies in.
    pub fn block(&self, place: Point) -> Option<&Block> {
        self.bucket(place).blocks.iter().map(|&at| &self.blocks[at as usize]).find(|block| block.holds(place))
    }

    /// The building that a place lies in, with the coordinates inside.
    pub fn building(&self, place: Point) -> Option<(&Building, Point)> {
        let candidates = self.bucket(place).buildings.iter().map(|&at| &self.buildings[at as usize]);
        candidates.filter_map(|building| Some((building, building.inside(place)?))).next()
    }

    fn bucket(&self, place: Point) -> &Bucket {
        let index = |at: f64, from: f64, count: usize| (((at - from) / BUCKET).max(0.0) as usize).min(count - 1);
        &self.buckets[index(place[1], self.top, self.rows) * self.columns + index(place[0], self.left, self.columns)]
    }

    /// Calls `put` on all buckets that a rectangle touches.
    fn spread(&mut self, middle: Point, reach: Point, put: impl Fn(&mut Bucket)) {
        let span = |middle: f64, reach: f64, from: f64, count: usize| {
            let first = ((middle - reach - from) / BUCKET).floor().max(0.0) as usize;
            let last = ((middle + reach - from) / BUCKET).floor();
            (last >= 0.0).then(|| first..(last as usize + 1).min(count))
        };
        let (Some(columns), Some(rows)) =
            (span(middle[0], reach[0], self.left, self.columns), span(middle[1], reach[1], self.top, self.rows))
        else {
            return;
        };
        for row in rows {
            for column in columns.clone() {
                put(&mut self.buckets[row * self.columns + column]);
            }
        }
    }

    fn crossing(&self, i: i64, j: i64) -> Point {
        let stray = |salt| (unit(self.seed, i, j, salt) - 0.5) * 2.0 * STRAY;
        [(i as f64 + stray(1)) * CELL, (j as f64 + stray(2)) * CELL]
    }

    /// What runs along line `index` of the lattice; `down` tells columns from rows.
    fn class(&self, index: i64, down: bool) -> Class {
        let offset = (hash(self.seed, 0, 0, 30 + u64::from(down)) % 11) as i64;
        match (index + offset).rem_euclid(11) {
            0 if down => Class::Motorway,
            3 | 8 => Class::Main,
            _ => Class::Street,
        }
    }

    /// The kind of the block whose top left crossing is (i, j).
    fn kind(&self, i: i64, j: i64) -> Kind {
        let (x, y) = (i as f64, j as f64);
        let wild = smooth(self.seed, x / 7.0, y / 7.0, 41);
        let dense = smooth(self.seed, x / 5.0, y / 5.0, 42);
        let works = smooth(self.seed, x / 4.0, y / 4.0, 43);
        let chance = unit(self.seed, i, j, 44);
        match () {
            () if wild > 0.74 => {
                if chance < 0.55 {
                    Kind::Wood
                } else {
                    Kind::Field
                }
            }
            () if chance < 0.10 => Kind::Park,
            () if chance < 0.15 => Kind::Pitch,
            () if chance < 0.19 => Kind::Parking,
            () if works > 0.66 => Kind::Works,
            () if dense > 0.55 => Kind::Dense,
            () => Kind::Houses,
        }
    }

    fn add_cell(&mut self, i: i64, j: i64) {
        let corners =
            [self.crossing(i, j), self.crossing(i + 1, j), self.crossing(i + 1, j + 1), self.crossing(i, j + 1)];
        self.add_road(i, j, corners[0], corners[1], false);
        self.add_road(i, j, corners[0], corners[3], true);
        let kind = self.kind(i, j);
        let center = std::array::from_fn(|c| corners.iter().map(|corner| corner[c]).sum::<f64>() / 4.0);
        // Along the mean of the upper and the lower side.
        let along: Point = std::array::from_fn(|c| corners[1][c] - corners[0][c] + corners[2][c] - corners[3][c]);
        let length = (along[0] * along[0] + along[1] * along[1]).sqrt();
        let mut block = Block {
            kind,
            id: hash(self.seed, i, j, 45),
            center,
            axis: [along[0] / length, along[1] / length],
            half: [0.0; 2],
            corners,
        };
        let local = corners.map(|corner| block.local(corner));
        // Room for the roads around it, whatever their class.
        let margin = |index: i64, down: bool| self.class(index, down).half_width() + 3.2;
        let reach = |axis: usize| local.iter().map(|corner| corner[axis].abs()).fold(f64::INFINITY, f64::min);
        let room_x = margin(i, true).max(margin(i + 1, true));
        let room_y = margin(j, false).max(margin(j + 1, false));
        block.half = [(reach(0) - room_x).max(0.0), (reach(1) - room_y).max(0.0)];
        let index = self.blocks.len() as u32;
        self.blocks.push(block);
        let span: Point = std::array::from_fn(|c| {
            corners.iter().map(|corner| (corner[c] - center[c]).abs()).fold(0.0, f64::max) + 1.0
        });
        self.spread(center, span, |bucket| bucket.blocks.push(index));
        self.add_buildings(&block);
    }

    fn add_road(&mut self, i: i64, j: i64, from: Point, to: Point, down: bool) {
        let class = if down { self.class(i, true) } else { self.class(j, false) };
        // Some streets are missing, more of them outside the town.
        let rural = |i, j| matches!(self.kind(i, j), Kind::Wood | Kind::Field);
        let neighbour = if down { (i - 1, j) } else { (i, j - 1) };
        let missing = match (rural(i, j), rural(neighbour.0, neighbour.1)) {
            (true, true) => 0.85,
            (false, false) => 0.10,
            _ => 0.25,
        };
        let id = hash(self.seed, i, j, 50 + u64::from(down));
        if class == Class::Street && unit(self.seed, i, j, 52 + u64::from(down)) < missing {
            return;
        }
        let index = self.roads.len() as u32;
        self.roads.push(Road { from, to, class, id });
        let middle = std::array::from_fn(|c| (from[c] + to[c]) / 2.0);
        let reach = std::array::from_fn(|c| (from[c] - to[c]).abs() / 2.0 + class.half_width() + 5.0);
        self.spread(middle, reach, |bucket| bucket.roads.push(index));
    }

    fn add_buildings(&mut self, block: &Block) {
        let random = |salt: u64, at: i64| unit(block.id, at, 0, salt);
        match block.kind {
            Kind::Houses => {
                // Two rows of houses with gardens between them.
                let pitch = 15.0 + 5.0 * random(1, 0);
                let count = (2.0 * block.half[0] / pitch).floor() as i64;
                for lot in 0..count.max(0) {
                    for side in [-1.0, 1.0] {
                        let at = 2 * lot + i64::from(side > 0.0);
                        if random(2, at) < 0.08 {
                            continue;
                        }
                        let half = [4.0 + 1.9 * random(3, at), 3.6 + 1.6 * random(4, at)];
                        let x = (lot as f64 + 0.5) * pitch - count as f64 * pitch / 2.0 + (random(5, at) - 0.5) * 2.5;
                        let y = side * (block.half[1] - half[1] - 1.0 - 3.0 * random(6, at));
                        let roof = if random(7, at) < 0.65 { Roof::Gable } else { Roof::Hip };
                        let turned = random(8, at) < 0.3;
                        let half = if turned { [half[1], half[0].min(half[1] + 1.5)] } else { half };
                        self.add_building(
                            block,
                            Footprint { local: [x, y], half, height: 5.5 + 2.5 * random(9, at), roof, at },
                        );
                    }
                }
            }
            Kind::Dense => {
                // Terraces along both sides, higher, with a court between them.
                let pitch = 17.0 + 8.0 * random(1, 0);
                let count = (2.0 * block.half[0] / pitch).floor().max(1.0);
                let pitch = 2.0 * block.half[0] / count;
                for lot in 0..count as i64 {
                    for side in [-1.0, 1.0] {
                        let at = 2 * lot + i64::from(side > 0.0);
                        if random(2, at) < 0.10 {
                            continue;
                        }
                        let half = [
                            pitch / 2.0 - 0.25 - 2.0 * random(10, at) * f64::from(u8::from(random(3, at) < 0.3)),
                            5.0 + 2.5 * random(4, at),
                        ];
                        let x = (lot as f64 + 0.5) * pitch - block.half[0];
                        let y = side * (block.half[1] - half[1]);
                        let roof = if random(7, at) < 0.6 { Roof::Flat } else { Roof::Gable };
                        self.add_building(
                            block,
                            Footprint { local: [x, y], half, height: 10.0 + 9.0 * random(9, at), roof, at },
                        );
                    }
                }
            }
            Kind::Works => {
                let count = 1 + (random(1, 0) * 2.4) as i64;
                let pitch = 2.0 * block.half[0] / count as f64;
                for at in 0..count {
                    let half = [pitch / 2.0 - 2.0 - 3.0 * random(3, at), block.half[1] * (0.5 + 0.4 * random(4, at))];
                    let x = (at as f64 + 0.5) * pitch - block.half[0];
                    let y = (random(5, at) - 0.5) * 2.0 * (block.half[1] - half[1]);
                    self.add_building(
                        block,
                        Footprint { local: [x, y], half, height: 8.0 + 4.0 * random(9, at), roof: Roof::Flat, at },
                    );
                }
            }
            Kind::Park | Kind::Pitch | Kind::Parking | Kind::Field if random(1, 0) < 0.3 => {
                // A pavilion, a club house, a barn, in a corner.
                let half = [5.0, 3.8];
                let corner = [block.half[0] - half[0] - 2.0, -(block.half[1] - half[1] - 2.0)];
                self.add_building(block, Footprint { local: corner, half, height: 5.0, roof: Roof::Gable, at: 0 });
            }
            _ => {}
        }
    }

    fn add_building(&mut self, block: &Block, footprint: Footprint) {
        let Footprint { local, half, height, roof, at } = footprint;
        let fits = half[0] > 2.2
            && half[1] > 2.2
            && local[0].abs() + half[0] <= block.half[0] + 0.01
            && local[1].abs() + half[1] <= block.half[1] + 0.01;
        let [ax, ay] = block.axis;
        let center = [block.center[0] + local[0] * ax - local[1] * ay, block.center[1] + local[0] * ay + local[1] * ax];
        // The river is where it is on the ground; the plan is bent by less than the bank is wide.
        let ground = unbend(self.seed, center);
        if !fits || river(self.seed, ground) < DRY {
            return;
        }
        let id = hash(block.id, at, 1, 60);
        let large = matches!(block.kind, Kind::Works | Kind::Dense);
        let building = Building { center, axis: block.axis, half, height, roof, id, large };
        let index = self.buildings.len() as u32;
        self.buildings.push(building);
        let reach = half[0] + half[1];
        self.spread(center, [reach, reach], |bucket| bucket.buildings.push(index));
    }
}

/// The place on the ground of a place in the plan, near enough.
fn unbend(seed: u64, place: Point) -> Point {
    let mut ground = place;
    for _ in 0..3 {
        let bent = bend(seed, ground);
        ground = [ground[0] + place[0] - bent[0], ground[1] + place[1] - bent[1]];
    }
    ground
}

/// Distance of a place from a segment, and how far along it lies, in metres from its start.
pub(super) fn to_segment(place: Point, from: Point, to: Point) -> (f64, f64) {
    let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    let [x, y] = [place[0] - from[0], place[1] - from[1]];
    let length = (dx * dx + dy * dy).sqrt();
    let along = ((x * dx + y * dy) / (length * length)).clamp(0.0, 1.0);
    let [ex, ey] = [x - along * dx, y - along * dy];
    ((ex * ex + ey * ey).sqrt(), along * length)
}
