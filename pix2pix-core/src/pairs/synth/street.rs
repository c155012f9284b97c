//! Street scenes from a driver's seat: photo-like picture, label ids, colours of the labels and instance ids.
//!
//! Ids and colours are those of Cityscapes; instance ids follow its convention, `label * 1000 + number` for things that are counted.
//! A scene is drawn from far to near at twice the size, then halved: colours are mixed, ids are taken as they are.

use super::noise::{Color, hash, lit, mix, rough, smooth, step, unit};
use crate::pixel::{LabelMap, Picture, Samples};

/// One street scene.
#[derive(Clone, Debug, PartialEq)]
pub struct StreetScene {
    /// The photo-like picture, RGB.
    pub photo: Picture,
    /// Label ids, 0 to 33.
    pub labels: LabelMap,
    /// Instance ids.
    pub instances: LabelMap,
    /// The labels in their colours, RGB.
    pub color: Picture,
}

/// A label: id and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label(u32, [u8; 3]);

const EGO: Label = Label(1, [0, 0, 0]);
const ROAD: Label = Label(7, [128, 64, 128]);
const SIDEWALK: Label = Label(8, [244, 35, 232]);
const BUILDING: Label = Label(11, [70, 70, 70]);
const POLE: Label = Label(17, [153, 153, 153]);
const LIGHT: Label = Label(19, [250, 170, 30]);
const SIGN: Label = Label(20, [220, 220, 0]);
const VEGETATION: Label = Label(21, [107, 142, 35]);
const TERRAIN: Label = Label(22, [152, 251, 152]);
const SKY: Label = Label(23, [70, 130, 180]);
const PERSON: Label = Label(24, [220, 20, 60]);
const CAR: Label = Label(26, [0, 0, 142]);
const BUS: Label = Label(28, [0, 60, 100]);
const BICYCLE: Label = Label(33, [119, 11, 32]);
const LABELS: [Label; 14] =
    [EGO, ROAD, SIDEWALK, BUILDING, POLE, LIGHT, SIGN, VEGETATION, TERRAIN, SKY, PERSON, CAR, BUS, BICYCLE];

/// Height of the eye above the road, in metres.
const EYE: f64 = 1.45;
/// Where the world fades into haze, in metres.
const HAZE: f64 = 150.0;
/// Times that a scene is drawn larger than it is kept.
const FINER: usize = 2;

/// Renders the scene of this number.
///
/// # Panics
/// When a side is zero.
pub fn render_street(seed: u64, number: u64, width: usize, height: usize) -> StreetScene {
    assert!(width > 0 && height > 0, "a picture has pixels");
    let mut canvas = Canvas::new(hash(seed, number as i64, 0, 500), width * FINER, height * FINER);
    canvas.background();
    let mut things = canvas.things();
    things.sort_by(|a, b| b.z.total_cmp(&a.z));
    let mut counts = std::collections::BTreeMap::<u32, u32>::new();
    for thing in &things {
        let count = counts.entry(thing.kind.label().0).or_default();
        canvas.draw(thing, *count);
        *count += 1;
    }
    canvas.bonnet();
    canvas.finish(width, height)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    House,
    Tree,
    Car,
    Bus,
    Person,
    Bicycle,
    Lamp,
    Sign,
    Signal,
}

impl Kind {
    const fn label(self) -> Label {
        match self {
            Self::House => BUILDING,
            Self::Tree => VEGETATION,
            Self::Car => CAR,
            Self::Bus => BUS,
            Self::Person => PERSON,
            Self::Bicycle => BICYCLE,
            Self::Lamp => POLE,
            Self::Sign => SIGN,
            Self::Signal => LIGHT,
        }
    }
}

/// Something that stands on the ground: middle, distance and size in metres.
#[derive(Clone, Copy, Debug)]
struct Thing {
    kind: Kind,
    x: f64,
    z: f64,
    width: f64,
    height: f64,
    /// Length along the street, for houses.
    depth: f64,
    id: u64,
}

/// What is drawn at a place: colour, label and instance.
type Dot = (Color, Label, u32);

struct Canvas {
    seed: u64,
    width: usize,
    height: usize,
    horizon: f64,
    /// Pixels of one metre at a distance of one metre.
    focal: f64,
    /// Half of the carriageway, in metres.
    road: f64,
    /// Outer edge of the pavements, in metres.
    walk: f64,
    sun: f64,
    colors: Vec<Color>,
    ids: Vec<u32>,
    instances: Vec<u32>,
}

impl Canvas {
    fn new(seed: u64, width: usize, height: usize) -> Self {
        let random = |salt| unit(seed, 0, 0, salt);
        let road = 3.6 + 2.8 * random(1);
        Self {
            seed,
            width,
            height,
            horizon: height as f64 * (0.40 + 0.06 * random(2)),
            focal: width.max(height) as f64 * 0.62,
            road,
            walk: road + 2.2 + 1.6 * random(3),
            sun: 0.86 + 0.26 * random(4),
            colors: vec![[0.0; 3]; width * height],
            ids: vec![SKY.0; width * height],
            instances: vec![SKY.0; width * height],
        }
    }

    fn random(&self, salt: u64) -> f64 {
        unit(self.seed, 0, 0, salt)
    }

    fn column(&self, x: f64, z: f64) -> f64 {
        self.width as f64 / 2.0 + self.focal * x / z
    }

    fn row(&self, y: f64, z: f64) -> f64 {
        self.horizon + self.focal * (EYE - y) / z
    }

    fn haze(&self, color: Color, z: f64) -> Color {
        mix(lit(color, self.sun), self.sky(self.horizon), (z / HAZE).clamp(0.0, 0.85))
    }

    fn sky(&self, row: f64) -> Color {
        let up = (1.0 - row / self.horizon.max(1.0)).clamp(0.0, 1.0);
        let clear = self.random(5);
        let top = mix([150.0, 164.0, 178.0], [92.0, 142.0, 198.0], clear);
        mix([214.0, 220.0, 224.0], top, up)
    }

    fn put(&mut self, x: usize, y: usize, color: Color, label: Label, instance: u32) {
        let at = y * self.width + x;
        self.colors[at] = color;
        self.ids[at] = label.0;
        self.instances[at] = instance;
    }

    fn background(&mut self) {
        for y in 0..self.height {
            for x in 0..self.width {
                let (row, column) = (y as f64 + 0.5, x as f64 + 0.5);
                if row < self.horizon {
                    let scale = 2.6 / self.height as f64;
                    let cloud = rough(self.seed, column * scale, row * scale * 2.6, 601, 4);
                    let color = mix(self.sky(row), [240.0, 242.0, 244.0], step(0.5, 0.75, cloud) * 0.8);
                    self.put(x, y, color, SKY, SKY.0);
                } else {
                    let z = self.focal * EYE / (row - self.horizon).max(0.2);
                    let (color, label) = self.ground((column - self.width as f64 / 2.0) * z / self.focal, z);
                    let color = self.haze(color, z);
                    self.put(x, y, color, label, label.0);
                }
            }
        }
    }

    /// The ground at a place: colour and label.
    fn ground(&self, x: f64, z: f64) -> (Color, Label) {
        let grain = rough(self.seed, x * 9.0, z * 9.0, 611, 2) - 0.5;
        let worn = rough(self.seed, x / 1.6, z / 7.0, 613, 3) - 0.5;
        let side = x.abs();
        if side < self.road {
            let asphalt = mix([84.0, 84.0, 88.0], [118.0, 115.0, 110.0], self.random(6));
            let dash = z.rem_euclid(9.0) < 4.0;
            let line = side < 0.08 && dash || (side - self.road + 0.35).abs() < 0.07;
            let crossing_at = 12.0 + 40.0 * self.random(7);
            let crossing = self.random(8) < 0.5 && (z - crossing_at).abs() < 1.6 && x.rem_euclid(1.0) < 0.5;
            if line || crossing {
                return (lit([214.0, 214.0, 208.0], 0.96 + 0.2 * grain), ROAD);
            }
            let tracks = 0.05 * (1.0 - ((side - self.road / 2.0).abs() - 0.75).abs().min(1.0));
            return (lit(asphalt, 1.0 - tracks + 0.16 * grain + 0.22 * worn), ROAD);
        }
        if side < self.walk {
            let kerb = side < self.road + 0.18;
            let joint = (z.rem_euclid(1.2) < 0.05) || ((side - self.road).rem_euclid(1.2) < 0.04);
            let stone = if kerb {
                1.12
            } else if joint {
                0.82
            } else {
                1.0
            };
            return (lit([156.0, 152.0, 146.0], stone + 0.12 * grain + 0.12 * worn), SIDEWALK);
        }
        let green = mix([92.0, 112.0, 58.0], [128.0, 130.0, 76.0], self.random(9));
        (lit(green, 1.0 + 0.4 * grain + 0.3 * worn), TERRAIN)
    }

    /// Everything that stands in the street.
    fn things(&self) -> Vec<Thing> {
        let mut things = Vec::new();
        let seed = self.seed;
        for side in [-1.0, 1.0] {
            let salt = if side < 0.0 { 700 } else { 800 };
            let open = unit(seed, 0, 0, salt) < 0.25;
            let mut z = 3.0;
            let mut number = 0;
            while z < 140.0 {
                let random = |part| unit(seed, number, part, salt + 1);
                let depth = 9.0 + 12.0 * random(0);
                let gap = random(1) < if open { 0.6 } else { 0.16 };
                if !gap {
                    let set_back = self.walk + if open { 4.0 + 5.0 * random(2) } else { 0.6 * random(2) };
                    let height = 6.0 + 13.0 * random(3);
                    let id = hash(seed, number, 0, salt + 2);
                    things.push(Thing {
                        kind: Kind::House,
                        x: side * set_back,
                        z: z + depth,
                        width: 14.0,
                        height,
                        depth,
                        id,
                    });
                } else {
                    for tree in 0..3 {
                        let place = |part| unit(seed, number * 4 + tree, part, salt + 3);
                        let (x, z) = (side * (self.walk + 1.5 + 7.0 * place(0)), z + depth * place(1));
                        let height = 5.0 + 5.0 * place(2);
                        let id = hash(seed, number * 4 + tree, 0, salt + 4);
                        things.push(Thing { kind: Kind::Tree, x, z, width: height * 0.8, height, depth: 0.0, id });
                    }
                }
                z += depth;
                number += 1;
            }
            let leafy = unit(seed, 0, 1, salt) < 0.6;
            for place in 0..9_i64 {
                let random = |part| unit(seed, place, part, salt + 5);
                let id = hash(seed, place, 1, salt + 6);
                let z = 7.0 + 13.0 * place as f64 + 4.0 * random(0);
                let edge = side * (self.road + 0.6);
                if leafy && random(1) < 0.6 {
                    let height = 4.5 + 3.0 * random(2);
                    things.push(Thing {
                        kind: Kind::Tree,
                        x: side * (self.road + 1.1),
                        z,
                        width: height * 0.7,
                        height,
                        depth: 0.0,
                        id,
                    });
                }
                let other = match random(3) {
                    r if r < 0.25 => Some((Kind::Lamp, 0.16, 6.5)),
                    r if r < 0.40 => Some((Kind::Sign, 0.7, 2.6)),
                    r if r < 0.48 => Some((Kind::Signal, 0.4, 3.4)),
                    _ => None,
                };
                if let Some((kind, width, height)) = other {
                    things.push(Thing { kind, x: edge, z: z + 3.0, width, height, depth: 0.0, id: id ^ 1 });
                }
                if random(4) < 0.34 {
                    let x = side * (self.road + 0.9 + (self.walk - self.road - 1.2) * random(5));
                    let height = 1.6 + 0.28 * random(6);
                    things.push(Thing {
                        kind: Kind::Person,
                        x,
                        z: z + 6.0 * random(7),
                        width: 0.55,
                        height,
                        depth: 0.0,
                        id: id ^ 2,
                    });
                }
                if random(8) < 0.12 {
                    let x = side * (self.road + 0.5);
                    things.push(Thing {
                        kind: Kind::Bicycle,
                        x,
                        z: z + 5.0 * random(9),
                        width: 1.5,
                        height: 1.05,
                        depth: 0.0,
                        id: id ^ 3,
                    });
                }
                // Parked along the kerb, driving in the lane.
                if random(10) < 0.42 {
                    things.push(Thing {
                        kind: Kind::Car,
                        x: side * (self.road - 0.95),
                        z: z + 1.0,
                        width: 1.8,
                        height: 1.45,
                        depth: 4.2,
                        id: id ^ 4,
                    });
                }
                if place > 0 && random(11) < 0.18 {
                    let bus = random(12) < 0.2;
                    let (kind, width, height) = if bus { (Kind::Bus, 2.5, 3.1) } else { (Kind::Car, 1.8, 1.45) };
                    things.push(Thing {
                        kind,
                        x: side * self.road * 0.36,
                        z: z + 4.0,
                        width,
                        height,
                        depth: 4.2,
                        id: id ^ 5,
                    });
                }
            }
        }
        things
    }

    fn draw(&mut self, thing: &Thing, number: u32) {
        let label = thing.kind.label();
        let counted = matches!(thing.kind, Kind::Car | Kind::Bus | Kind::Person | Kind::Bicycle);
        let instance = if counted { label.0 * 1000 + number.min(999) } else { label.0 };
        match thing.kind {
            Kind::House => self.house(thing),
            Kind::Car | Kind::Bus => {
                self.shadow(thing);
                // The side that is seen past the rear, towards the middle of the picture.
                self.vehicle(thing, label, instance);
            }
            _ => {
                if thing.kind != Kind::Lamp {
                    self.shadow(thing);
                }
                let random = |salt| unit(thing.id, 0, 0, salt);
                self.flat(thing, thing.z, &|canvas, u, v| {
                    canvas.standing(thing, &random, u, v).map(|(color, part)| {
                        (
                            color,
                            part.unwrap_or(label),
                            match part {
                                Some(part) if part != label => part.0,
                                _ => instance,
                            },
                        )
                    })
                });
            }
        }
    }

    /// Draws an upright rectangle; `look` gets (u, v) from the lower left, -1 to 1 across and 0 to 1 up.
    fn flat(&mut self, thing: &Thing, z: f64, look: &dyn Fn(&Self, f64, f64) -> Option<Dot>) {
        let (left, right) = (self.column(thing.x - thing.width / 2.0, z), self.column(thing.x + thing.width / 2.0, z));
        let (top, bottom) = (self.row(thing.height, z), self.row(0.0, z));
        let clip = |from: f64, to: f64, count: usize| {
            (from.max(0.0) as usize).min(count)..(to.max(0.0).ceil() as usize).min(count)
        };
        for y in clip(top, bottom, self.height) {
            for x in clip(left, right, self.width) {
                let u = ((x as f64 + 0.5 - left) / (right - left)) * 2.0 - 1.0;
                let v = 1.0 - (y as f64 + 0.5 - top) / (bottom - top);
                if !(-1.0..=1.0).contains(&u) || !(0.0..=1.0).contains(&v) {
                    continue;
                }
                if let Some((color, label, instance)) = look(self, u, v) {
                    let color = self.haze(color, z);
                    self.put(x, y, color, label, instance);
                }
            }
        }
    }

    /// Darkens the ground under a thing.
    fn shadow(&mut self, thing: &Thing) {
        let reach = if matches!(thing.kind, Kind::Car | Kind::Bus) { 0.62 } else { 0.5 };
        let z = thing.z;
        let (left, right) =
            (self.column(thing.x - thing.width * reach, z), self.column(thing.x + thing.width * reach, z));
        let middle = self.row(0.0, z);
        let thick = (self.focal * 0.16 / z).max(1.0);
        for y in (middle - thick).max(0.0) as usize..((middle + thick).max(0.0) as usize).min(self.height) {
            for x in left.max(0.0) as usize..(right.max(0.0) as usize).min(self.width) {
                let at = y * self.width + x;
                if matches!(self.ids[at], 7 | 8 | 22) {
                    let off = (y as f64 - middle) / thick;
                    self.colors[at] = lit(self.colors[at], 0.55 + 0.35 * off * off);
                }
            }
        }
    }

    /// What of a standing thing is at (u, v), and of which label when it is not the thing's own.
    fn standing(&self, thing: &Thing, random: &dyn Fn(u64) -> f64, u: f64, v: f64) -> Option<(Color, Option<Label>)> {
        let own = |color: Color| Some((color, None));
        match thing.kind {
            Kind::Tree => {
                let trunk = u.abs() < 0.07 && v < 0.5;
                let (cu, cv) = (u, (v - 0.62) / 0.40);
                let ragged = rough(thing.id, u * 5.0, v * 5.0, 621, 3) - 0.5;
                if cu * cu + cv * cv < 0.86 + 0.75 * ragged {
                    let kinds: [Color; 3] = [[74.0, 98.0, 48.0], [94.0, 112.0, 56.0], [62.0, 84.0, 52.0]];
                    let leaves = rough(thing.id, u * 17.0, v * 17.0, 623, 2) - 0.5;
                    let light = 0.84 + 0.32 * (v - 0.6) - 0.16 * u + 0.9 * leaves + 0.5 * ragged;
                    return own(lit(kinds[(thing.id % 3) as usize], light));
                }
                if trunk { own(lit([82.0, 68.0, 54.0], 0.9 - 2.0 * u)) } else { None }
            }
            Kind::Person => {
                let clothes: [Color; 6] = [
                    [46.0, 50.0, 62.0],
                    [120.0, 44.0, 46.0],
                    [66.0, 92.0, 126.0],
                    [186.0, 178.0, 164.0],
                    [58.0, 78.0, 58.0],
                    [150.0, 122.0, 76.0],
                ];
                let upper = clothes[(random(1) * 6.0) as usize];
                let lower = clothes[(random(2) * 3.0) as usize];
                let head = u * u * 6.0 + (v - 0.925) * (v - 0.925) * 190.0 < 1.0;
                let torso = (0.48..0.86).contains(&v) && u.abs() < 0.62 - 0.25 * (v - 0.5).abs();
                let stride = 0.18 + 0.3 * random(3) * (0.5 - v).max(0.0);
                let legs = v < 0.5 && (u.abs() - stride).abs() < 0.2;
                if head {
                    return own(if v > 0.945 { [58.0, 46.0, 38.0] } else { [198.0, 158.0, 132.0] });
                }
                if torso {
                    own(lit(upper, 1.0 - 0.25 * u))
                } else if legs {
                    own(lit(lower, 0.8))
                } else {
                    None
                }
            }
            Kind::Bicycle => {
                let wheel = |middle: f64| {
                    let distance = ((u - middle) * (u - middle) + (v - 0.32) * (v - 0.32) * 2.0).sqrt();
                    (0.33..0.46).contains(&distance)
                };
                let frame = (v - 0.35 - 0.5 * (0.5 - u.abs()).max(0.0)).abs() < 0.06 && u.abs() < 0.55;
                let posts = (u.abs() - 0.42).abs() < 0.05 && (0.3..0.95).contains(&v);
                (wheel(-0.52) || wheel(0.52) || frame || posts).then_some(([44.0, 44.0, 50.0], None))
            }
            Kind::Lamp => own(lit([104.0, 106.0, 108.0], 1.0 - 0.3 * u)),
            Kind::Sign => {
                let pole = u.abs() < 0.09;
                let board = v > 0.76 && (u * u + (v - 0.88) * (v - 0.88) * 60.0 < 0.95);
                if board {
                    let rim = u * u + (v - 0.88) * (v - 0.88) * 60.0 > 0.6;
                    let face: [Color; 3] = [[226.0, 226.0, 222.0], [40.0, 76.0, 148.0], [226.0, 196.0, 60.0]];
                    let color = if rim { [176.0, 36.0, 36.0] } else { face[(random(1) * 3.0) as usize] };
                    return own(color);
                }
                pole.then_some(([120.0, 122.0, 124.0], Some(POLE)))
            }
            Kind::Signal => {
                if v > 0.70 {
                    let lamp = [0.77, 0.85, 0.93].iter().position(|at| (v - at).abs() < 0.03 && u.abs() < 0.5);
                    let lit_one = (random(1) * 3.0) as usize;
                    let glow: [Color; 3] = [[60.0, 220.0, 120.0], [240.0, 190.0, 60.0], [240.0, 60.0, 50.0]];
                    let color = match lamp {
                        Some(at) if at == lit_one => glow[at],
                        Some(_) => [60.0, 58.0, 56.0],
                        None => [34.0, 34.0, 36.0],
                    };
                    return own(color);
                }
                (u.abs() < 0.16).then_some(([96.0, 98.0, 100.0], Some(POLE)))
            }
            Kind::House | Kind::Car | Kind::Bus => None,
        }
    }

    /// A house: its front along the street, and the wall that faces the eye.
    fn house(&mut self, thing: &Thing) {
        let near = (thing.z - thing.depth).max(1.2);
        let far = thing.z;
        // The wall across the street's direction, then the front that the street sees.
        let outward = thing.x.signum();
        let across = Thing { x: thing.x + outward * thing.width / 2.0, ..*thing };
        self.flat(&across, near.max(1.2), &|canvas, u, v| {
            let (x, y) = ((u + 1.0) * thing.width / 2.0, v * thing.height);
            Some((lit(canvas.facade(thing, x, y, 3.4), 0.74), BUILDING, BUILDING.0))
        });
        let (start, end) = (self.column(thing.x, near), self.column(thing.x, far));
        let (left, right) = (start.min(end), start.max(end));
        for column in left.max(0.0) as usize..(right.max(0.0).ceil() as usize).min(self.width) {
            let offset = column as f64 + 0.5 - self.width as f64 / 2.0;
            let z = self.focal * thing.x / offset;
            if !z.is_finite() || z < near || z > far {
                continue;
            }
            let (top, bottom) = (self.row(thing.height, z), self.row(0.0, z));
            for y in (top.max(0.0) as usize).min(self.height)..(bottom.max(0.0).ceil() as usize).min(self.height) {
                let up = (bottom - y as f64 - 0.5) / (bottom - top) * thing.height;
                if up < 0.0 || up > thing.height {
                    continue;
                }
                let color = self.facade(thing, z - (thing.z - thing.depth), up, 3.0);
                let color = self.haze(color, z);
                self.put(column, y, color, BUILDING, BUILDING.0);
            }
        }
    }

    /// A wall at a place along it and up, in metres, with windows every `bay`.
    fn facade(&self, thing: &Thing, along: f64, up: f64, bay: f64) -> Color {
        let random = |salt| unit(thing.id, 0, 0, salt);
        let walls: [Color; 8] = [
            [196.0, 184.0, 160.0],
            [168.0, 120.0, 96.0],
            [204.0, 200.0, 192.0],
            [150.0, 146.0, 142.0],
            [186.0, 160.0, 112.0],
            [140.0, 96.0, 80.0],
            [172.0, 178.0, 176.0],
            [206.0, 190.0, 170.0],
        ];
        let base = walls[(random(1) * 8.0) as usize];
        let grain = rough(thing.id, along * 1.3, up * 1.3, 631, 3) - 0.5;
        let story = 3.1;
        let (floor, bay_at) = ((up / story).floor(), (along / bay).floor());
        let (v, u) = (up / story - floor, along / bay - bay_at);
        let shop = floor == 0.0 && random(2) < 0.5;
        let eaves = thing.height - up < 0.5;
        if eaves {
            return lit(base, 0.68);
        }
        let window = if shop {
            (0.08..0.80).contains(&v) && (0.06..0.94).contains(&u)
        } else {
            (0.30..0.82).contains(&v) && (0.28..0.72).contains(&u)
        };
        if window {
            let frame = !shop && ((u - 0.5).abs() < 0.025 || !(0.33..=0.79).contains(&v) || !(0.31..0.69).contains(&u));
            if frame {
                return [206.0, 204.0, 198.0];
            }
            let curtain = unit(thing.id, bay_at as i64, floor as i64, 633);
            let glass = mix([50.0, 60.0, 72.0], [124.0, 142.0, 158.0], smooth(thing.id, along / 4.0, up / 3.0, 634));
            return if curtain < 0.25 { mix(glass, [196.0, 188.0, 172.0], 0.6) } else { glass };
        }
        let band = v < 0.05 && floor > 0.0;
        lit(base, if band { 0.86 } else { 1.0 } + 0.20 * grain)
    }

    fn vehicle(&mut self, thing: &Thing, label: Label, instance: u32) {
        let random = |salt| unit(thing.id, 0, 0, salt);
        let colors: [Color; 8] = [
            [214.0, 214.0, 212.0],
            [44.0, 46.0, 52.0],
            [128.0, 132.0, 138.0],
            [140.0, 34.0, 34.0],
            [40.0, 66.0, 118.0],
            [176.0, 178.0, 178.0],
            [70.0, 86.0, 74.0],
            [186.0, 160.0, 96.0],
        ];
        let body = colors[(random(1) * 8.0) as usize];
        let bus = thing.kind == Kind::Bus;
        // Flank: the long side, from the rear of the body to its front, where the eye sees it.
        let inner = thing.x - thing.x.signum() * thing.width / 2.0;
        let (near, far) = (thing.z, thing.z + if bus { 10.0 } else { thing.depth });
        let (start, end) = (self.column(inner, near), self.column(inner, far));
        for column in start.min(end).max(0.0) as usize..(start.max(end).max(0.0).ceil() as usize).min(self.width) {
            let offset = column as f64 + 0.5 - self.width as f64 / 2.0;
            let z = self.focal * inner / offset;
            if !z.is_finite() || z < near || z > far {
                continue;
            }
            let along = (z - near) / (far - near);
            let (top, bottom) = (self.row(thing.height, z), self.row(0.0, z));
            for y in (top.max(0.0) as usize).min(self.height)..(bottom.max(0.0).ceil() as usize).min(self.height) {
                let v = (bottom - y as f64 - 0.5) / (bottom - top);
                let roofline = if bus { 1.0 } else { 0.62 + 0.38 * step(0.0, 0.16, along.min(0.86 - along)) };
                let wheel = |at: f64| {
                    let (dx, dy) = ((along - at) * (far - near) / 0.36, (v * thing.height - 0.3) / 0.32);
                    dx * dx + dy * dy < 1.0
                };
                let wheels = wheel(0.2) || wheel(0.8);
                if !(0.16..=roofline).contains(&v) && !wheels {
                    continue;
                }
                let glass = if bus {
                    (0.45..0.85).contains(&v)
                } else {
                    (0.62..0.93).contains(&v) && (0.06..0.80).contains(&along)
                };
                let color = if wheels {
                    [30.0, 30.0, 32.0]
                } else if glass {
                    [46.0, 54.0, 64.0]
                } else {
                    lit(body, 0.78 + 0.2 * v)
                };
                let color = self.haze(color, z);
                self.put(column, y, color, label, instance);
            }
        }
        // Rear or front, towards the eye.
        let coming = thing.x < 0.0;
        self.flat(thing, thing.z, &|_, u, v| {
            let slope = if bus { 0.0 } else { 0.24 * step(0.58, 1.0, v) };
            if u.abs() > 1.0 - slope || (v < 0.14 && u.abs() < 0.58) || (v < 0.02) {
                return None;
            }
            let tyre = v < 0.2 && u.abs() > 0.6;
            let glass = if bus {
                (0.42..0.88).contains(&v) && u.abs() < 0.86
            } else {
                (0.60..0.92).contains(&v) && u.abs() < 0.80 - slope
            };
            let lamp = (0.38..0.50).contains(&v) && u.abs() > 0.66;
            let plate = (0.24..0.32).contains(&v) && u.abs() < 0.26;
            let color = match () {
                () if tyre => [26.0, 26.0, 28.0],
                () if glass => mix([40.0, 48.0, 58.0], [120.0, 136.0, 150.0], (v - 0.6).max(0.0)),
                () if lamp && coming => [236.0, 234.0, 220.0],
                () if lamp => [186.0, 30.0, 28.0],
                () if plate => [216.0, 214.0, 204.0],
                () => lit(body, 0.80 + 0.34 * v - 0.08 * u),
            };
            Some((color, label, instance))
        });
    }

    /// The bonnet of the car that the eye sits in.
    fn bonnet(&mut self) {
        let (width, height) = (self.width as f64, self.height as f64);
        for y in (height * 0.90) as usize..self.height {
            for x in 0..self.width {
                let u = (x as f64 + 0.5) / width * 2.0 - 1.0;
                let edge = height * (0.93 + 0.07 * u * u);
                if y as f64 > edge {
                    let shine = 0.5 + 0.7 * smooth(self.seed, u * 3.0, y as f64 / height * 9.0, 641);
                    self.put(x, y, lit([48.0, 50.0, 54.0], shine), EGO, EGO.0);
                }
            }
        }
    }

    fn finish(self, width: usize, height: usize) -> StreetScene {
        let mut photo = Vec::with_capacity(width * height * 3);
        let (mut ids, mut instances) = (Vec::with_capacity(width * height), Vec::with_capacity(width * height));
        for y in 0..height {
            for x in 0..width {
                let at = |dx: usize, dy: usize| (y * FINER + dy) * self.width + x * FINER + dx;
                let bits = hash(self.seed, x as i64, y as i64, 651);
                for c in 0..3 {
                    let sum = (0..FINER * FINER).map(|i| self.colors[at(i % FINER, i / FINER)][c]).sum::<f64>();
                    let grain = (((bits & 255) as f64 / 255.0) - 0.5) * 8.0
                        + (((bits >> (8 + 8 * c)) & 255) as f64 / 255.0 - 0.5) * 5.0;
                    photo.push((sum / (FINER * FINER) as f64 + grain).round().clamp(0.0, 255.0) as u8);
                }
                ids.push(self.ids[at(0, 0)]);
                instances.push(self.instances[at(0, 0)]);
            }
        }
        let color_of = |id: &u32| LABELS.iter().find(|label| label.0 == *id).map_or([0; 3], |label| label.1);
        let color = ids.iter().flat_map(color_of).collect();
        let picture =
            |values| Picture::new(width, height, 3, Samples::U8(values)).expect("three values for each pixel");
        let map = |ids| LabelMap::new(width, height, ids).expect("one id for each pixel");
        StreetScene { photo: picture(photo), labels: map(ids), instances: map(instances), color: picture(color) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_scene_holds_many_labels_and_every_instance_belongs_to_its_label() {
        let mut all = BTreeSet::new();
        for number in 0..6 {
            let scene = render_street(1, number, 128, 64);
            for (&label, &instance) in scene.labels.ids().iter().zip(scene.instances.ids()) {
                assert!(instance == label || instance / 1000 == label, "{instance} is no {label}");
                all.insert(label);
            }
            assert!(scene.labels.first_out_of_range(34).is_none());
        }
        assert!(all.len() >= 11, "{all:?}");
    }

    #[test]
    fn the_colours_are_those_of_the_labels() {
        let scene = render_street(2, 0, 96, 64);
        for at in 0..96 * 64 {
            let (x, y) = (at % 96, at / 96);
            let label = LABELS.iter().find(|label| label.0 == scene.labels.id(x, y)).expect("a known label");
            assert_eq!(scene.color.pixel(x, y), label.1);
        }
    }

    #[test]
    fn the_same_numbers_give_the_same_scene_and_others_another() {
        assert_eq!(render_street(1, 2, 64, 64), render_street(1, 2, 64, 64));
        assert_ne!(render_street(1, 2, 64, 64).photo, render_street(1, 3, 64, 64).photo);
        assert_ne!(render_street(1, 2, 64, 64).photo, render_street(2, 2, 64, 64).photo);
    }
}
