//! The page on which a map is browsed, as one file that needs nothing else.

use pix2pix_core::tiles::Metadata;
use serde_json::{Value, json};

/// Parts of the page and what they replace, in the order of the template.
const PARTS: [(&str, &str); 5] = [
    ("/*{{leaflet.css}}*/", include_str!("../page/leaflet/leaflet.css")),
    ("/*{{page.css}}*/", include_str!("../page/page.css")),
    ("/*{{leaflet.js}}*/", include_str!("../page/leaflet/leaflet.js")),
    ("/*{{translate.js}}*/", include_str!("../page/translate.js")),
    ("/*{{page.js}}*/", include_str!("../page/page.js")),
];
const TEMPLATE: &str = include_str!("../page/index.html");
const CONFIG: &str = "{{config}}";

/// What the page shows.
#[derive(Default)]
pub struct Page {
    /// The map, and the address of its tiles.
    pub map: Option<(Metadata, String)>,
    /// What it was translated from.
    pub source: Option<(Metadata, String)>,
    /// `{"url": ...}` or `{"data": ...}`.
    pub vector: Option<Value>,
    /// Most bytes of a picture that is taken.
    pub translate: Option<u64>,
}

impl Page {
    /// The whole page.
    pub fn html(&self) -> String {
        let layer = |layer: &(Metadata, String)| {
            let (metadata, tiles) = layer;
            json!({
                "tiles": tiles,
                "scheme": metadata.scheme.name(),
                "minzoom": metadata.min_zoom,
                "maxzoom": metadata.max_zoom,
                "tile_size": metadata.tile_size,
                "bounds": metadata.bounds,
                "attribution": metadata.attribution,
            })
        };
        let config = json!({
            "title": self.map.as_ref().map_or("map", |(metadata, _)| metadata.name.as_str()),
            "map": self.map.as_ref().map(layer),
            "source": self.source.as_ref().map(layer),
            "vector": self.vector,
            "translate": self.translate.map(|max_bytes| json!({ "url": "translate", "max_bytes": max_bytes })),
        });
        // Nothing in the text ends the script that it stands in.
        let config = config.to_string().replace('<', "\\u003c");
        let mut parts = PARTS.iter().chain([&(CONFIG, config.as_str())]).copied().collect::<Vec<_>>();
        // One pass: what stands in a part is not looked at again.
        parts.sort_by_key(|(name, _)| TEMPLATE.find(name));
        let (mut html, mut rest) = (String::new(), TEMPLATE);
        for (name, part) in parts {
            if let Some((before, after)) = rest.split_once(name) {
                html.push_str(before);
                html.push_str(part);
                rest = after;
            }
        }
        html + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_its_settings_cannot_end_their_script() {
        let metadata = Metadata::from_tile_json(&json!({ "name": "</script>{{config}}", "bounds": [1, 2, 3, 4] }));
        let metadata = metadata.expect("metadata");
        let page = Page { map: Some((metadata, "{z}/{x}/{y}.png".into())), translate: Some(7), ..Default::default() };
        let html = page.html();
        assert!(PARTS.iter().all(|(name, part)| !html.contains(name) && html.contains(part)));
        assert!(html.contains(r#""title":"\u003c/script>{{config}}""#));
        assert!(html.contains(r#""max_bytes":7"#) && html.ends_with("</html>\n"));
    }
}
