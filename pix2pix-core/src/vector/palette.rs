//! Which colours stand for which class. Knows nothing of pictures or files: the text of a palette comes from the
//! caller.

use std::{collections::HashMap, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

use super::VectorError;

/// Most classes of a palette: a label is one byte, and one value of it stands for no class.
pub const MOST_CLASSES: usize = 254;

/// A colour, red, green and blue of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color(pub [u8; 3]);

/// What a colour of the map stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name in the palette and in what is written.
    pub name: String,
    /// Colours that stand for it, at least one; the first one is written beside its polygons.
    pub colors: Vec<Color>,
    /// Whether its polygons are written; backgrounds are recognised and left out.
    pub keep: bool,
    /// Smallest region of this class in pixels, in place of the one for all.
    pub min_area: Option<u32>,
}

/// The classes of a map. They have different names and no colour in common.
///
/// ```text
/// [[class]]
/// name = "water"
/// color = "#9ecae1"
///
/// [[class]]
/// name = "road"
/// colors = ["#ffffff", [252, 221, 131]]
/// min_area = 40
///
/// [[class]]
/// name = "land"
/// color = [244, 241, 234]
/// keep = false
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    classes: Vec<Class>,
}

impl Palette {
    /// A palette from its classes.
    ///
    /// # Errors
    /// No class, too many, one without a name or colour, or a name or colour that occurs twice.
    pub fn new(classes: Vec<Class>) -> Result<Self, VectorError> {
        if classes.is_empty() {
            return Err(VectorError::NoClass);
        }
        if classes.len() > MOST_CLASSES {
            return Err(VectorError::TooManyClasses { found: classes.len(), limit: MOST_CLASSES });
        }
        let mut owners = HashMap::new();
        for (at, class) in classes.iter().enumerate() {
            let name = &class.name;
            if name.trim().is_empty() {
                return Err(VectorError::NoName { position: at + 1 });
            }
            if classes[..at].iter().any(|other| other.name == *name) {
                return Err(VectorError::SameName { name: name.clone() });
            }
            if class.colors.is_empty() {
                return Err(VectorError::NoColor { name: name.clone() });
            }
            for color in &class.colors {
                if let Some(first) = owners.insert(*color, name) {
                    let (color, first, second) = (color.to_string(), first.clone(), name.clone());
                    return Err(VectorError::SameColor { color, first, second });
                }
            }
        }
        Ok(Self { classes })
    }

    /// A palette from its text in TOML.
    ///
    /// # Errors
    /// Text that is no TOML, keys that are not known, bad colours, and as [`Self::new`].
    pub fn from_toml(text: &str) -> Result<Self, VectorError> {
        let file: PaletteFile = toml::from_str(text).map_err(|source| VectorError::PaletteText { source })?;
        Self::new(file.class.into_iter().map(Class::from).collect())
    }

    /// The classes; a label is a place in them.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }
}

impl fmt::Display for Color {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(to, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl FromStr for Color {
    type Err = VectorError;

    fn from_str(text: &str) -> Result<Self, VectorError> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, color @ ..] = number.ok_or_else(|| VectorError::Color { found: text.into() })?.to_be_bytes();
        Ok(Self(color))
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ColorVisitor)
    }
}

struct ColorVisitor;

impl<'de> Visitor<'de> for ColorVisitor {
    type Value = Color;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a colour, as \"#rrggbb\" or as [red, green, blue] from 0 to 255")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Color, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Color, A::Error> {
        let mut color = [0; 3];
        for (at, value) in color.iter_mut().enumerate() {
            *value = values.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self))?;
        }
        match values.next_element::<u8>()? {
            None => Ok(Color(color)),
            Some(_) => Err(A::Error::invalid_length(4, &self)),
        }
    }
}

/// A palette as it lies in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaletteFile {
    #[serde(default)]
    class: Vec<ClassEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassEntry {
    name: String,
    color: Option<Color>,
    #[serde(default)]
    colors: Vec<Color>,
    #[serde(default = "kept")]
    keep: bool,
    min_area: Option<u32>,
}

fn kept() -> bool {
    true
}

impl From<ClassEntry> for Class {
    fn from(entry: ClassEntry) -> Self {
        let ClassEntry { name, color, colors, keep, min_area } = entry;
        Self { name, colors: color.into_iter().chain(colors).collect(), keep, min_area }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    /// The whole chain of an error, as a command prints it.
    fn refusal(text: &str) -> String {
        let error = Palette::from_toml(text).expect_err("a bad palette");
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    }

    #[test]
    fn a_palette_is_read_with_all_its_keys() {
        let text = "
            [[class]]
            name = 'water'
            color = '#9ECAe1'
            [[class]]
            name = 'road'
            color = [255, 255, 255]
            colors = ['#fcdd83', [240, 160, 104]]
            min_area = 40
            [[class]]
            name = 'land'
            colors = [[244, 241, 234]]
            keep = false";
        let palette = Palette::from_toml(text).expect("a good palette");
        let [water, road, land] = palette.classes() else { panic!("three classes, found {palette:?}") };
        assert_eq!((water.colors.as_slice(), water.keep, water.min_area), (&[Color([158, 202, 225])][..], true, None));
        assert_eq!(road.colors, [Color([255; 3]), Color([252, 221, 131]), Color([240, 160, 104])]);
        assert_eq!(road.min_area, Some(40));
        assert_eq!((land.name.as_str(), land.keep), ("land", false));
        assert_eq!(water.colors[0].to_string(), "#9ecae1");
    }

    #[test]
    fn what_is_wrong_with_a_palette_is_said() {
        assert!(refusal("").contains("no class"));
        assert!(refusal("[[class]]\nname = 'a'").contains("class \"a\" has no colour"));
        assert!(
            refusal("[[class]]\nname = ' '\ncolor = '#000000'").contains("class 1 of the palette has an empty name")
        );
        let twice = "[[class]]\nname = 'a'\ncolor = '#000000'\n[[class]]\nname = 'a'\ncolor = '#000001'";
        assert!(refusal(twice).contains("names class \"a\" twice"));
        let shared = "[[class]]\nname = 'a'\ncolor = '#0000ff'\n[[class]]\nname = 'b'\ncolor = [0, 0, 255]";
        assert!(refusal(shared).contains("colour #0000ff stands for class \"a\" and again for class \"b\""));
        assert!(refusal("[[class]]\nname = 'a'\ncolour = '#000000'").contains("unknown field `colour`"));
        assert!(refusal("[[klass]]\nname = 'a'").contains("unknown field `klass`"));
        assert!(refusal("[[class]]\nname = 'a'\ncolor = '#000000'\nmin_area = -1").contains("line 4"));
        assert!(refusal("[[class]]\ncolor = '#000000'").contains("missing field `name`"));
    }

    #[test]
    fn the_palettes_that_come_with_the_toolkit_are_good() {
        for (text, count) in
            [(include_str!("../../palettes/town.toml"), 14), (include_str!("../../palettes/maps.toml"), 10)]
        {
            let palette = Palette::from_toml(text).expect("a good palette");
            assert_eq!(palette.classes().len(), count);
            let left_out: Vec<_> = palette.classes().iter().filter(|class| !class.keep).collect();
            assert!(matches!(left_out[..], [class] if class.name == "land"), "{left_out:?}");
        }
    }

    #[test]
    fn bad_colours_are_refused_with_their_text() {
        for bad in ["'red'", "'#12345'", "'#1234567'", "'#+12345'", "'#ééé'"] {
            let said = refusal(&format!("[[class]]\nname = 'a'\ncolor = {bad}"));
            assert!(said.contains("is no colour, expected \"#rrggbb\"") && said.contains("line 3"), "{said}");
        }
        for bad in ["[1, 2]", "[1, 2, 3, 4]"] {
            let said = refusal(&format!("[[class]]\nname = 'a'\ncolor = {bad}"));
            assert!(said.contains("expected a colour"), "{said}");
        }
        assert!(refusal("[[class]]\nname = 'a'\ncolor = [1, 2, 256]").contains("256"));
    }

    #[test]
    fn a_palette_takes_as_many_classes_as_labels_tell_apart() {
        let classes = |count: usize| {
            let class = |at: usize| Class {
                name: format!("class {at}"),
                colors: vec![Color([at as u8, (at >> 8) as u8, 0])],
                keep: true,
                min_area: None,
            };
            Palette::new((0..count).map(class).collect())
        };
        assert!(classes(MOST_CLASSES).is_ok());
        let error = classes(MOST_CLASSES + 1).expect_err("one too many");
        assert_eq!(error.to_string(), "the palette holds 255 classes, at most 254 are taken");
    }
}
