//! How a place looks from above, and how the map draws it.

use super::{
    super::noise::{Color, lit, mix, rough, smooth, step, unit},
    TOWN_PALETTE,
    plan::{BANK, Block, Building, Class, Kind, Plan, Point, RIVER, Road, Roof, bend, river, to_segment},
};

/// Where shadows fall: away from the sun, which stands in the north-west of the picture.
const AWAY: Point = [0.6, 0.8];
/// Length of a shadow over the height that throws it.
const SHADOW: f64 = 0.62;
/// What light is left in the shade.
const SHADE: Color = [0.46, 0.50, 0.58];
/// Width of a pavement, in metres.
const PAVEMENT: f64 = 1.9;
/// Width of a road's edge on the map, in metres.
const EDGE: f64 = 0.9;

/// Looks at places of one plan.
pub(super) struct Painter<'a> {
    seed: u64,
    plan: &'a Plan,
}

/// A place, and what was found there.
struct Spot<'a> {
    ground: Point,
    place: Point,
    river: f64,
    block: Option<&'a Block>,
    /// The road of the highest class whose carriageway lies here.
    road: Option<OnRoad<'a>>,
    /// Distance to the edge of the nearest carriageway, in metres.
    to_road: f64,
    /// The highest class within a road's edge.
    edge: Option<Class>,
}

struct OnRoad<'a> {
    road: &'a Road,
    across: f64,
    along: f64,
}

fn named(name: &str) -> Color {
    let found = TOWN_PALETTE.iter().find(|(known, _)| *known == name);
    found.map_or([0.0; 3], |(_, color)| color.map(f64::from))
}

impl<'a> Painter<'a> {
    pub fn new(seed: u64, plan: &'a Plan) -> Self {
        Self { seed, plan }
    }

    /// Colours of a place on the ground: from above, and on the map.
    pub fn look(&self, ground: Point) -> (Color, Color) {
        let spot = self.spot(ground);
        (self.seen(&spot), self.drawn(&spot))
    }

    fn spot(&self, ground: Point) -> Spot<'a> {
        let place = bend(self.seed, ground);
        let water = river(self.seed, ground);
        let mut spot = Spot {
            ground,
            place,
            river: water,
            block: self.plan.block(place),
            road: None,
            to_road: f64::INFINITY,
            edge: None,
        };
        for road in self.plan.roads(place) {
            // Streets end at the river; larger roads cross it on bridges.
            if road.class == Class::Street && water < BANK - 0.004 {
                continue;
            }
            let (across, along) = to_segment(place, road.from, road.to);
            let outside = across - road.class.half_width();
            spot.to_road = spot.to_road.min(outside);
            if outside <= 0.0 && spot.road.as_ref().is_none_or(|on| on.road.class < road.class) {
                spot.road = Some(OnRoad { road, across, along });
            }
            if outside <= EDGE && spot.edge.is_none_or(|class| class < road.class) {
                spot.edge = Some(road.class);
            }
        }
        spot
    }

    // ---- the map

    fn drawn(&self, spot: &Spot<'_>) -> Color {
        if spot.river >= BANK
            && spot.road.is_none()
            && let Some((building, local)) = self.plan.building(spot.place)
        {
            let fill = named(if building.large { "large building" } else { "building" });
            let inside = (building.half[0] - local[0].abs()).min(building.half[1] - local[1].abs());
            return if inside < 0.7 { lit(fill, 0.86) } else { fill };
        }
        if let Some(on) = &spot.road {
            return match on.road.class {
                Class::Street => named("street"),
                Class::Main => named("main road"),
                Class::Motorway => named("motorway"),
            };
        }
        match spot.edge {
            Some(Class::Motorway) => return lit(named("motorway"), 0.8),
            Some(Class::Main) => return lit(named("main road"), 0.82),
            Some(Class::Street) => return [208.0, 204.0, 198.0],
            None => {}
        }
        if spot.river < RIVER {
            return named("water");
        }
        let Some(block) = spot.block else {
            return named("land");
        };
        let local = block.local(spot.place);
        match block.kind {
            Kind::Park => match self.park(block, local) {
                Park::Pond => named("water"),
                Park::Path => named("path"),
                Park::Grass => named("park"),
            },
            Kind::Wood => named("wood"),
            Kind::Field => named("field"),
            Kind::Works => named("yard"),
            Kind::Parking if inside(block, local, 0.0) => named("parking"),
            Kind::Pitch if inside(block, local, 3.0) => named("pitch"),
            Kind::Pitch => named("park"),
            _ => named("land"),
        }
    }

    fn park(&self, block: &Block, [x, y]: Point) -> Park {
        let random = |salt| unit(block.id, 0, 0, salt);
        let [hx, hy] = block.half;
        if random(81) < 0.5 && hx > 8.0 && hy > 8.0 {
            let (cx, cy) = (hx * 0.5 * (random(82) - 0.5), hy * 0.5 * (random(83) - 0.5));
            let (rx, ry) = (hx * (0.24 + 0.2 * random(84)), hy * (0.24 + 0.2 * random(85)));
            let wobble = 0.35 * (smooth(block.id, x / 9.0, y / 9.0, 86) - 0.5);
            let distance = ((x - cx) / rx) * ((x - cx) / rx) + ((y - cy) / ry) * ((y - cy) / ry);
            if distance < 1.0 + wobble {
                return Park::Pond;
            }
        }
        // Two winding paths, crossing.
        let sway = |along: f64, salt| (smooth(block.id, along / 17.0, 0.5, salt) - 0.5) * 13.0;
        let near = |across: f64| across.abs() < 1.1;
        if near(y - sway(x, 87)) || near(x - sway(y, 88)) { Park::Path } else { Park::Grass }
    }

    // ---- from above

    fn seen(&self, spot: &Spot<'_>) -> Color {
        let mut shade = 0.0_f64;
        let color = if let Some((tree, dome)) = self.plan.tree(spot.place).filter(|_| spot.river >= RIVER) {
            self.crown(spot, tree.id, [spot.place[0] - tree.trunk[0], spot.place[1] - tree.trunk[1]], tree.radius, dome)
        } else if spot.river >= BANK
            && spot.road.is_none()
            && let Some((building, local)) = self.plan.building(spot.place)
        {
            self.roof(building, local)
        } else {
            shade = self.shade(spot.place);
            self.floor(spot)
        };
        let shaded: Color = std::array::from_fn(|c| color[c] * (1.0 - shade * (1.0 - SHADE[c])));
        // Neighbourhoods and days differ a little in tone.
        let tone = rough(self.seed, spot.ground[0] / 700.0, spot.ground[1] / 700.0, 201, 2) - 0.5;
        let warm = smooth(self.seed, spot.ground[0] / 900.0, spot.ground[1] / 900.0, 203) - 0.5;
        let tint = [1.0 + 0.30 * tone + 0.10 * warm, 1.0 + 0.28 * tone, 1.0 + 0.24 * tone - 0.12 * warm];
        std::array::from_fn(|c| shaded[c] * tint[c])
    }

    /// How deep a place on the floor lies in shade, 0 to 1.
    fn shade(&self, place: Point) -> f64 {
        let towards_sun = |metres: f64| [place[0] - AWAY[0] * metres, place[1] - AWAY[1] * metres];
        let buildings = [0.8, 2.0, 3.5, 5.2, 7.2, 9.5, 11.5];
        let built = buildings.iter().any(|&metres| {
            self.plan.building(towards_sun(metres)).is_some_and(|(building, _)| building.height * SHADOW > metres)
        });
        if built {
            return 1.0;
        }
        let leafy =
            [1.4, 2.8].iter().any(|&metres| self.plan.tree(towards_sun(metres)).is_some_and(|(_, dome)| dome > 0.25));
        if leafy { 0.8 } else { 0.0 }
    }

    fn crown(&self, spot: &Spot<'_>, id: u64, offset: Point, radius: f64, dome: f64) -> Color {
        let random = |salt| unit(id, 0, 0, salt);
        let kinds: [Color; 4] = [[74.0, 98.0, 52.0], [60.0, 86.0, 50.0], [92.0, 112.0, 60.0], [54.0, 76.0, 54.0]];
        let base = kinds[(id % 4) as usize];
        let base = mix(base, [118.0, 116.0, 62.0], 0.35 * random(91) * random(92));
        // A dome lit from the sun's side, broken by leaves.
        let sunward = -(offset[0] * AWAY[0] + offset[1] * AWAY[1]) / radius;
        let leaves = rough(self.seed, spot.place[0] / 1.1, spot.place[1] / 1.1, 93, 2) - 0.5;
        lit(base, 0.66 + 0.30 * sunward + 0.26 * dome + 0.75 * leaves)
    }

    fn roof(&self, building: &Building, [x, y]: Point) -> Color {
        let random = |salt| unit(building.id, 0, 0, salt);
        let tiles: [Color; 7] = [
            [166.0, 98.0, 74.0],
            [148.0, 84.0, 66.0],
            [128.0, 92.0, 76.0],
            [104.0, 98.0, 96.0],
            [88.0, 88.0, 94.0],
            [176.0, 128.0, 100.0],
            [138.0, 120.0, 106.0],
        ];
        let flats: [Color; 6] = [
            [176.0, 174.0, 170.0],
            [150.0, 150.0, 152.0],
            [206.0, 204.0, 200.0],
            [128.0, 126.0, 126.0],
            [188.0, 178.0, 164.0],
            [116.0, 128.0, 138.0],
        ];
        let [hx, hy] = building.half;
        let grain = rough(building.id, x / 1.3, y / 1.3, 95, 2) - 0.5;
        match building.roof {
            Roof::Flat => {
                let base = lit(flats[(random(96) * 6.0) as usize], 0.94 + 0.14 * random(97));
                let wall = (hx - x.abs()).min(hy - y.abs());
                // The parapet, then boxes on the roof with little shadows of their own.
                if wall < 0.6 {
                    return lit(base, if x + y < 0.0 { 1.16 } else { 0.78 });
                }
                let (cell_x, cell_y) = ((x / 7.0).floor(), (y / 6.0).floor());
                let (bx, by) = (x - (cell_x + 0.5) * 7.0, y - (cell_y + 0.5) * 6.0);
                let boxed = unit(building.id, cell_x as i64, cell_y as i64, 98) < 0.34;
                if boxed && bx.abs() < 1.2 && by.abs() < 0.9 {
                    return lit(base, 1.18);
                }
                if boxed && (bx - 0.8).abs() < 1.4 && (by - 0.9).abs() < 1.1 {
                    return lit(base, 0.66);
                }
                let stains = rough(building.id, x / 8.0, y / 8.0, 99, 2) - 0.5;
                lit(base, 1.0 + 0.10 * grain + 0.24 * stains)
            }
            Roof::Gable | Roof::Hip => {
                let base = lit(tiles[(random(96) * 7.0) as usize], 0.90 + 0.22 * random(97));
                let lengthwise = hx >= hy;
                let (along, across, half_along, half_across) = if lengthwise { (x, y, hx, hy) } else { (y, x, hy, hx) };
                // Downhill on the roof, in the building's own axes.
                let at_end = building.roof == Roof::Hip && half_along - along.abs() < half_across - across.abs();
                let downhill = match (at_end, lengthwise) {
                    (false, true) => [0.0, across.signum()],
                    (false, false) => [across.signum(), 0.0],
                    (true, true) => [along.signum(), 0.0],
                    (true, false) => [0.0, along.signum()],
                };
                let [ax, ay] = building.axis;
                let downhill = [downhill[0] * ax - downhill[1] * ay, downhill[0] * ay + downhill[1] * ax];
                let light = -(downhill[0] * AWAY[0] + downhill[1] * AWAY[1]);
                let ridge = if !at_end && across.abs() < 0.35 { 1.12 } else { 1.0 };
                let chimney = unit(building.id, 1, 0, 94) < 0.5
                    && (along - half_along * 0.4).abs() < 0.6
                    && (across - 1.0).abs() < 0.6;
                if chimney {
                    return [92.0, 70.0, 62.0];
                }
                lit(base, (0.92 + 0.26 * light + 0.22 * grain) * ridge)
            }
        }
    }

    fn floor(&self, spot: &Spot<'_>) -> Color {
        let [gx, gy] = spot.ground;
        let fine = rough(self.seed, gx / 1.7, gy / 1.7, 101, 2) - 0.5;
        let patches = rough(self.seed, gx / 14.0, gy / 14.0, 103, 3) - 0.5;
        if let Some(on) = &spot.road {
            return self.carriageway(spot, on, fine, patches);
        }
        // Bridges have a rail beside the carriageway.
        let rail = matches!(spot.edge, Some(Class::Main | Class::Motorway)) && spot.river < BANK;
        if rail {
            return lit([186.0, 182.0, 174.0], 1.0 + 0.2 * fine);
        }
        if spot.river < RIVER {
            let deep = step(RIVER, RIVER * 0.3, spot.river);
            let tint = smooth(self.seed, gx / 400.0, gy / 400.0, 105);
            let shallow = mix([96.0, 108.0, 84.0], [84.0, 110.0, 112.0], tint);
            let far = mix([58.0, 76.0, 66.0], [44.0, 74.0, 92.0], tint);
            return lit(mix(shallow, far, deep), 1.0 + 0.10 * fine + 0.12 * patches);
        }
        let grass = |dry: f64| {
            let green = mix([98.0, 116.0, 66.0], [126.0, 134.0, 78.0], dry);
            lit(green, 1.0 + 0.26 * fine + 0.42 * patches)
        };
        if spot.river < BANK {
            return mix(grass(0.6), [134.0, 122.0, 92.0], 0.5 + patches);
        }
        let Some(block) = spot.block else {
            return grass(0.5);
        };
        let local = block.local(spot.place);
        let rural = matches!(block.kind, Kind::Wood | Kind::Field);
        if spot.to_road < PAVEMENT && !rural {
            let slabs = 0.05 * f64::from(u8::from((gx / 1.5).floor() as i64 % 2 == 0));
            return lit([170.0, 166.0, 160.0], 0.96 + slabs + 0.14 * fine + 0.10 * patches);
        }
        self.land(block, local, fine, patches, &grass)
    }

    fn carriageway(&self, spot: &Spot<'_>, on: &OnRoad<'_>, fine: f64, patches: f64) -> Color {
        let OnRoad { road, across, along } = on;
        let worn = unit(road.id, 0, 0, 111);
        let asphalt = mix([108.0, 108.0, 110.0], [140.0, 137.0, 132.0], worn);
        let base = lit(asphalt, 1.0 + 0.12 * fine + 0.20 * patches);
        let dash = |length: f64| (along / length).floor() as i64 % 2 == 0;
        // Junctions have neither marks nor cars.
        let length = to_segment(road.to, road.from, road.to).1;
        let open = *along > 9.0 && *along < length - 9.0;
        // Which side of the middle line.
        let [dx, dy] = [road.to[0] - road.from[0], road.to[1] - road.from[1]];
        let side = (dx * (spot.place[1] - road.from[1]) - dy * (spot.place[0] - road.from[0])).signum();
        if open {
            let lane = match road.class {
                Class::Street => 1.8,
                Class::Main => 2.6,
                Class::Motorway => {
                    if *across < 4.8 {
                        3.2
                    } else {
                        6.4
                    }
                }
            };
            let slot = (along / 13.0).floor();
            let car = unit(road.id, slot as i64, (side * (1.0 + lane)) as i64, 113);
            let middle = (slot + 0.3 + 0.4 * unit(road.id, slot as i64, side as i64, 114)) * 13.0;
            let (x, y) = (along - middle, across - lane);
            if car < 0.26 && x.abs() < 2.2 && y.abs() < 0.95 {
                return paint(road.id ^ (slot as i64 as u64) << 3 ^ u64::from(side > 0.0), x);
            }
        }
        match road.class {
            Class::Motorway if *across < 1.1 => lit([104.0, 112.0, 74.0], 1.0 + 0.3 * fine),
            Class::Motorway if (across - 4.8).abs() < 0.16 && dash(5.0) && open => [214.0, 214.0, 210.0],
            Class::Motorway if (across - 8.3).abs() < 0.16 => [206.0, 206.0, 202.0],
            Class::Main if *across < 0.16 && dash(3.5) && open => [210.0, 210.0, 206.0],
            Class::Main if (across - 4.9).abs() < 0.12 && open => [190.0, 190.0, 186.0],
            _ => base,
        }
    }

    fn land(&self, block: &Block, local: Point, fine: f64, patches: f64, grass: &dyn Fn(f64) -> Color) -> Color {
        let [x, y] = local;
        let random = |salt| unit(block.id, 0, 0, salt);
        let paved = |base: Color| lit(base, 1.0 + 0.12 * fine + 0.22 * patches);
        match block.kind {
            Kind::Houses => {
                // Gardens: hedges between lots, patios, bare beds.
                let lot = (x / 16.0).floor() as i64;
                let own = unit(block.id, lot, i64::from(y > 0.0), 121);
                let hedge = (x - (x / 16.0).round() * 16.0).abs() < 0.5 || y.abs() < 0.5;
                if hedge {
                    return lit([70.0, 88.0, 52.0], 1.0 + 0.5 * fine);
                }
                if patches > 0.17 {
                    return paved([158.0, 146.0, 130.0]);
                }
                grass(own)
            }
            Kind::Dense => {
                if patches > 0.08 {
                    grass(0.4)
                } else {
                    paved([158.0, 152.0, 144.0])
                }
            }
            Kind::Works => {
                let lines = (x.rem_euclid(9.0) - 4.5).abs() < 0.12 && y.abs() > block.half[1] - 6.0;
                if lines {
                    [196.0, 194.0, 188.0]
                } else {
                    paved(mix([150.0, 147.0, 142.0], [124.0, 123.0, 122.0], random(122)))
                }
            }
            Kind::Park => match self.park(block, local) {
                Park::Pond => lit([62.0, 84.0, 82.0], 1.0 + 0.10 * fine + 0.2 * patches),
                Park::Path => paved([178.0, 160.0, 130.0]),
                Park::Grass => grass(0.25 * random(123)),
            },
            Kind::Wood => lit([58.0, 66.0, 42.0], 1.0 + 0.4 * fine),
            Kind::Field => {
                let crops: [Color; 4] =
                    [[156.0, 146.0, 98.0], [118.0, 130.0, 72.0], [140.0, 120.0, 92.0], [104.0, 122.0, 66.0]];
                let furrows = 0.08 * f64::from(u8::from(y.rem_euclid(3.2) < 1.6));
                lit(crops[(random(124) * 4.0) as usize], 0.95 + furrows + 0.16 * fine + 0.36 * patches)
            }
            Kind::Parking if inside(block, local, 0.0) => {
                let asphalt = paved([122.0, 122.0, 124.0]);
                // Rows of bays, two by two, with lanes between them.
                let row = y.rem_euclid(16.5);
                let bay = (x / 2.7).floor();
                if row < 11.0 {
                    let line = (x - (x / 2.7).round() * 2.7).abs() < 0.10 || (row - 5.5).abs() < 0.10;
                    let upper = row < 5.5;
                    let slot = (y / 16.5).floor() as i64 * 2 + i64::from(upper);
                    let (cx, cy) = (x - (bay + 0.5) * 2.7, if upper { row - 2.9 } else { row - 8.2 });
                    if unit(block.id, bay as i64, slot, 125) < 0.52 && cx.abs() < 0.92 && cy.abs() < 2.15 {
                        return paint(block.id ^ (bay as i64 as u64) << 8 ^ slot as u64, cy);
                    }
                    if line {
                        return [204.0, 204.0, 200.0];
                    }
                }
                asphalt
            }
            Kind::Pitch if inside(block, local, 3.0) => {
                let mown = 0.07 * f64::from(u8::from(x.rem_euclid(9.0) < 4.5));
                let line = |at: f64, to: f64| (at.abs() - to).abs() < 0.22;
                let [hx, hy] = [block.half[0] - 5.0, block.half[1] - 5.0];
                let within = x.abs() <= hx + 0.2 && y.abs() <= hy + 0.2;
                let circle = ((x * x + y * y).sqrt() - hy.min(hx) * 0.28).abs() < 0.25;
                if within && (line(x, hx) || line(y, hy) || x.abs() < 0.22 || circle) {
                    return [216.0, 222.0, 208.0];
                }
                lit([88.0, 126.0, 62.0], 0.95 + mown + 0.14 * fine + 0.16 * patches)
            }
            Kind::Parking | Kind::Pitch => grass(0.4),
        }
    }
}

enum Park {
    Pond,
    Path,
    Grass,
}

fn inside(block: &Block, [x, y]: Point, margin: f64) -> bool {
    x.abs() <= block.half[0] - margin && y.abs() <= block.half[1] - margin
}

/// A car's colour at a place along it, from its middle.
fn paint(id: u64, along: f64) -> Color {
    let colors: [Color; 8] = [
        [226.0, 226.0, 224.0],
        [204.0, 206.0, 208.0],
        [52.0, 54.0, 58.0],
        [88.0, 92.0, 98.0],
        [136.0, 38.0, 34.0],
        [44.0, 66.0, 112.0],
        [160.0, 162.0, 160.0],
        [84.0, 74.0, 62.0],
    ];
    let color = colors[(unit(id, 0, 0, 131) * 8.0) as usize];
    // Windscreens in front and behind.
    if (along.abs() - 1.15).abs() < 0.28 { [44.0, 52.0, 60.0] } else { color }
}
