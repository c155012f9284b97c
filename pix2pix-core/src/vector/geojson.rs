//! Writes polygons as GeoJSON (RFC 7946), one after the other. Knows nothing of projections: the caller says where
//! pixel corners lie.

use std::io::{self, Write};

use super::{
    VectorError,
    palette::Class,
    polygons::{Point, Polygons, Region},
};

/// How GeoJSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeoJsonOptions {
    /// Whether all polygons of a class are one feature.
    pub merge_classes: bool,
    /// Digits after the point; 7 are a centimetre on the ground, 8 a millimetre.
    pub decimals: usize,
}

impl Default for GeoJsonOptions {
    fn default() -> Self {
        Self { merge_classes: false, decimals: 8 }
    }
}

/// Writes the polygons of all classes that are kept as a `FeatureCollection`.
///
/// `place` gives longitude and latitude (WGS 84, in degrees) of a pixel corner. Rings are turned as RFC 7946 wants
/// them, outer ones counter-clockwise with latitude upwards, whichever way `place` turns the picture. The properties of
/// a feature are the name of its `class`, its first `color`, its pixels before simplification `area_px`, and a running
/// number `id`. Polygons over the antimeridian are not cut. Pieces are small: a buffered writer is worth it.
///
/// # Errors
/// A corner without a place, and whatever the writer refuses.
pub fn write_geojson(
    polygons: &Polygons,
    options: GeoJsonOptions,
    place: impl Fn([f64; 2]) -> [f64; 2],
    to: impl Write,
) -> Result<(), VectorError> {
    let mut pen = Pen { to, place, decimals: options.decimals, features: 0, text: Vec::new() };
    pen.to.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
    let classes = polygons.palette().classes();
    if options.merge_classes {
        for (at, class) in classes.iter().enumerate().filter(|(_, class)| class.keep) {
            let regions = || polygons.regions().filter(move |region| region.class() == at);
            let area = regions().map(|region| u64::from(region.num_pixels())).sum();
            if area > 0 {
                pen.begin(class, area, "MultiPolygon")?;
                pen.list(regions(), |pen, region| pen.polygon(&region))?;
                pen.end()?;
            }
        }
    } else {
        for region in polygons.regions() {
            let class = &classes[region.class()];
            if class.keep {
                pen.begin(class, region.num_pixels().into(), "Polygon")?;
                pen.polygon(&region)?;
                pen.end()?;
            }
        }
    }
    pen.to.write_all(b"\n]}\n")?;
    Ok(pen.to.flush()?)
}

/// The places of pixel corners under a transform of six numbers, as GDAL and world files have it: `x = t[0] + column *
/// t[1] + row * t[2]`, `y = t[3] + column * t[4] + row * t[5]`.
pub fn affine(transform: [f64; 6]) -> impl Fn([f64; 2]) -> [f64; 2] {
    let [x, a, b, y, c, d] = transform;
    move |[column, row]| [x + column * a + row * b, y + column * c + row * d]
}

struct Pen<W, P> {
    to: W,
    place: P,
    decimals: usize,
    features: usize,
    /// Room for what is written next.
    text: Vec<u8>,
}

impl<W: Write, P: Fn([f64; 2]) -> [f64; 2]> Pen<W, P> {
    fn begin(&mut self, class: &Class, area: u64, kind: &str) -> Result<(), VectorError> {
        let comma = if self.features > 0 { "," } else { "" };
        let name = serde_json::to_string(&class.name).map_err(io::Error::from)?;
        let (id, color) = (self.features, class.colors[0]);
        write!(
            self.to,
            "{comma}\n{{\"type\":\"Feature\",\"id\":{id},\"properties\":{{\"class\":{name},\"color\":\"{color}\",\
             \"area_px\":{area},\"id\":{id}}},\"geometry\":{{\"type\":\"{kind}\",\"coordinates\":",
        )?;
        self.features += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), VectorError> {
        Ok(self.to.write_all(b"}}")?)
    }

    fn polygon(&mut self, region: &Region<'_>) -> Result<(), VectorError> {
        let mut is_outer = true;
        self.list(region.rings(), |pen, ring| {
            pen.ring(&ring, is_outer)?;
            is_outer = false;
            Ok(())
        })
    }

    fn ring(&mut self, ring: &[Point], is_outer: bool) -> Result<(), VectorError> {
        let mut places = Vec::with_capacity(ring.len());
        for &[x, y] in ring {
            let place = (self.place)([f64::from(x), f64::from(y)]);
            if !place.iter().all(|value| value.is_finite()) {
                return Err(VectorError::Place { x, y, place });
            }
            places.push(place);
        }
        if (turn(&places) > 0.0) != is_outer {
            places.reverse();
        }
        self.text.clear();
        for (at, [longitude, latitude]) in places.into_iter().enumerate() {
            self.text.extend_from_slice(if at > 0 { b",[" } else { b"[[" });
            push_number(&mut self.text, longitude, self.decimals)?;
            self.text.push(b',');
            push_number(&mut self.text, latitude, self.decimals)?;
            self.text.push(b']');
        }
        self.text.push(b']');
        Ok(self.to.write_all(&self.text)?)
    }

    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), VectorError>,
    ) -> Result<(), VectorError> {
        self.to.write_all(b"[")?;
        for (at, item) in items.enumerate() {
            if at > 0 {
                self.to.write_all(b",")?;
            }
            write(self, item)?;
        }
        Ok(self.to.write_all(b"]")?)
    }
}

/// Twice the area inside a ring, positive where it goes counter-clockwise with y upwards.
fn turn(ring: &[[f64; 2]]) -> f64 {
    let [x, y] = ring.first().copied().unwrap_or_default();
    // Seen from the first point, so that small rings far from the origin do not drown.
    let cross = |[x0, y0]: [f64; 2], [x1, y1]: [f64; 2]| (x0 - x) * (y1 - y) - (x1 - x) * (y0 - y);
    ring.windows(2).map(|two| cross(two[0], two[1])).sum()
}

/// A number with at most so many digits after the point.
fn push_number(text: &mut Vec<u8>, value: f64, decimals: usize) -> io::Result<()> {
    let start = text.len();
    write!(text, "{value:.decimals$}")?;
    if text[start..].contains(&b'.') {
        let zeros = text.iter().rev().take_while(|&&digit| digit == b'0').count();
        text.truncate(text.len() - zeros);
        text.pop_if(|last| *last == b'.');
    }
    if text[start..] == *b"-0" {
        text.remove(start);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::*, *};

    fn grays(count: u8) -> Palette {
        let class = |at: u8| Class {
            name: format!("class {at}"),
            colors: vec![Color([at * 20; 3])],
            keep: true,
            min_area: None,
        };
        Palette::new((0..count).map(class).collect()).expect("a good palette")
    }

    fn outlined(width: usize, classes: &[u8], palette: &Palette) -> Polygons {
        let labels = Labels::new(width, classes.len() / width, classes.to_vec()).expect("labels fit");
        outline(&labels, palette, 0.0).expect("outlined")
    }

    fn text(polygons: &Polygons, options: GeoJsonOptions, place: impl Fn([f64; 2]) -> [f64; 2]) -> String {
        let mut bytes = Vec::new();
        write_geojson(polygons, options, place, &mut bytes).expect("written");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn geojson_is_written_as_the_standard_wants_it() {
        let mut classes = grays(3).classes().to_vec();
        classes[0].keep = false;
        classes[1].name = "say \"hi\"\n".into();
        classes[1].colors[0] = Color([158, 202, 225]);
        let palette = Palette::new(classes).expect("a good palette");
        #[rustfmt::skip]
        let made = outlined(5, &[
            1, 1, 1, 0, 1,
            1, 2, 1, 0, 0,
            1, 1, 1, 0, 0,
        ], &palette);
        let place = affine([10.0, 0.5, 0.0, 50.0, 0.0, -0.25]);
        let expected = concat!(
            "{\"type\":\"FeatureCollection\",\"features\":[\n",
            "{\"type\":\"Feature\",\"id\":0,\"properties\":{\"class\":\"say \\\"hi\\\"\\n\",\"color\":\"#9ecae1\",",
            "\"area_px\":8,\"id\":0},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":",
            "[[[11.5,50],[10,50],[10,49.25],[11.5,49.25],[11.5,50]],",
            "[[10.5,49.75],[11,49.75],[11,49.5],[10.5,49.5],[10.5,49.75]]]}},\n",
            "{\"type\":\"Feature\",\"id\":1,\"properties\":{\"class\":\"say \\\"hi\\\"\\n\",\"color\":\"#9ecae1\",",
            "\"area_px\":1,\"id\":1},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":",
            "[[[12.5,50],[12,50],[12,49.75],[12.5,49.75],[12.5,50]]]}},\n",
            "{\"type\":\"Feature\",\"id\":2,\"properties\":{\"class\":\"class 2\",\"color\":\"#282828\",",
            "\"area_px\":1,\"id\":2},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":",
            "[[[10.5,49.75],[10.5,49.5],[11,49.5],[11,49.75],[10.5,49.75]]]}}\n]}\n",
        );
        assert_eq!(text(&made, GeoJsonOptions::default(), &place), expected);
        let merged = text(&made, GeoJsonOptions { merge_classes: true, decimals: 7 }, place);
        let merged: Value = serde_json::from_str(&merged).expect("JSON");
        let features = merged["features"].as_array().expect("features");
        assert_eq!(features.len(), 2);
        assert_eq!(features[0]["geometry"]["type"], "MultiPolygon");
        assert_eq!(features[0]["properties"]["area_px"], 9);
        assert_eq!(features[0]["geometry"]["coordinates"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn rings_are_turned_right_whichever_way_the_picture_lies() {
        let made = outlined(3, &[0, 0, 0, 0, 1, 0, 0, 0, 0], &grays(2));
        for transform in
            [[0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [0.0, 1.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]]
        {
            let json: Value =
                serde_json::from_str(&text(&made, GeoJsonOptions::default(), affine(transform))).expect("JSON");
            let rings = &json["features"][0]["geometry"]["coordinates"];
            assert!(area(&rings[0]) == 9.0 && area(&rings[1]) == -1.0, "{transform:?}: {rings}");
        }
    }

    #[test]
    fn numbers_are_short_and_places_must_be_numbers() {
        let made = outlined(1, &[0], &grays(1));
        let place = |[x, y]: [f64; 2]| [x / 3.0 - 1e-12, 1e-12 - y * 100.0];
        let written = text(&made, GeoJsonOptions { decimals: 7, ..GeoJsonOptions::default() }, place);
        assert!(written.contains("[[0.3333333,0],[0,0],[0,-100],[0.3333333,-100],[0.3333333,0]]"), "{written}");
        let error = write_geojson(&made, GeoJsonOptions::default(), |[x, y]| [1.0 / x, y], Vec::new());
        let error = error.expect_err("no place").to_string();
        assert!(error.contains("column 0, row 0 has no place"), "{error}");
    }

    /// The signed area of a ring in JSON.
    fn area(ring: &Value) -> f64 {
        let number = |value: &Value| value.as_f64().expect("a number");
        let points: Vec<_> =
            ring.as_array().expect("a ring").iter().map(|at| (number(&at[0]), number(&at[1]))).collect();
        points.windows(2).map(|two| two[0].0 * two[1].1 - two[1].0 * two[0].1).sum::<f64>() / 2.0
    }
}
